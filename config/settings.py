"""Settings: frozen values with units, read once at the edge and passed down.

`load` lays a file over `config/defaults.toml`, and variables of the environment over both. This is the one module
that looks at the environment. Secrets are no settings: they never appear in a file of this form.
"""

from __future__ import annotations

import os
import tomllib
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from config.clock import micros
from config.errors import SettingsError
from config.identity import derived_id
from config.kafka import Kafka
from config.layers import Key, Layer, Leaf, build, flatten, leaves
from config.policies.documents import Outcome
from config.registry import Registry
from config.remediation import Remediation
from config.restarts import Restarts
from config.spec import Affects, Spec
from config.topics import Topics

DEFAULTS = Path(__file__).with_name("defaults.toml")
PREFIX = "FORESTALL_"
NOT_SETTINGS = frozenset(PREFIX + name for name in ("DATA", "REQUIRE", "TEST_KAFKA", "TEST_POSTGRES", "TEST_REGISTRY"))
"""Variables that the test suite reads; they are none of the job's."""

_INSTANT, _TICK, _CENTURY = timedelta(0), timedelta(milliseconds=1), timedelta(days=36_525)


@dataclass(frozen=True, kw_only=True)
class KeyGroups:
    """Key groups per stage: the unit of keyed state, as Flink's maximum parallelism."""

    telemetry: Annotated[int, Spec("layout", 1, 1024)]
    """Groups of the stage keyed by service, lane or product."""
    journey: Annotated[int, Spec("layout", 1, 1024)]
    """Groups of the stage keyed by customer."""
    cause: Annotated[int, Spec("layout", 1, 1024)]
    """Groups of the stage keyed by fleet entity."""
    case: Annotated[int, Spec("layout", 1, 1024)]
    """Groups of the stage keyed by customer or cause."""


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """How the job is cut up and how fast it goes."""

    key_groups: KeyGroups
    sink_parts: Annotated[int, Spec("layout", 1, 256)]
    """Parts of the outbox, each with its own sequence, chain and fence."""
    batch_records: Annotated[int, Spec("pace", 1, 1_000_000)]
    """Records that a source partition hands over at once, at most."""
    epoch_interval: Annotated[timedelta, Spec("pace", _INSTANT, timedelta(minutes=10))]
    """Wall time between two snapshots; outputs leave half of it later on average."""
    emit_interval: Annotated[timedelta, Spec("pace", _INSTANT, timedelta(seconds=10))]
    """Wall time between two frames of one key group to the same receiver that only raise the watermark, at least."""
    state_inline_bytes: Annotated[int, Spec("pace", 0, 2**30)]
    """State of a key group up to this size rests in the snapshot itself; beyond it, in the group's state log."""


@dataclass(frozen=True, kw_only=True)
class Time:
    """How event time is told from the records."""

    lateness_max: Annotated[timedelta, Spec("results", _INSTANT, _CENTURY)]
    """How far behind the newest event of its own partition an event may be before it is late."""
    lateness_max_by_topic: Annotated[Mapping[str, timedelta], Spec("results", _INSTANT, _CENTURY)]
    """`lateness_max` of single topics, by topic name."""
    jump_max: Annotated[timedelta, Spec("results", timedelta(minutes=1), _CENTURY)]
    """An event further ahead of its partition than this has a wild clock: quarantined, it moves no watermark."""
    alignment_max: Annotated[timedelta, Spec("pace", timedelta(seconds=1), _CENTURY)]
    """Event time that a partition may read ahead of the slowest one."""
    idle_timeout: Annotated[timedelta, Spec("results", timedelta(seconds=1), _CENTURY)]
    """Wall time of silence, live and at the end offset, after which a partition no longer holds others back."""

    def lateness(self, topic: str) -> timedelta:
        """Return the lateness bound of `topic`."""
        return self.lateness_max_by_topic.get(topic, self.lateness_max)


@dataclass(frozen=True, kw_only=True)
class Control:
    """By which topics people and other systems tell the job itself what to do: see `docs/control.md`."""

    topics: Annotated[tuple[str, ...], Spec("results")]
    """Those of the topics read, of a recording or live, that are control topics."""


@dataclass(frozen=True, kw_only=True)
class State:
    """What keyed state remembers, whatever the stage."""

    dedupe_ttl: Annotated[timedelta, Spec("results", _INSTANT, _CENTURY)]
    """Event time for which an event's id is remembered, to drop its duplicates."""


@dataclass(frozen=True, kw_only=True)
class Overload:
    """When telemetry whose contract allows it is sampled, live: see `docs/overload.md`."""

    lag_max: Annotated[int, Spec("results", 0)]
    """Records that a partition may be behind before it looks at a part of them only; 0 for no sampling ever."""
    steps: Annotated[tuple[int, ...], Spec("results", 2, 1_000)]
    """One record in so many is looked at, step by step, rising; never fewer than a contract's floor says."""
    held_bytes_max: Annotated[int, Spec("pace", 2**20, 2**36)]
    """Bytes of outputs that may wait for their release, in all processes; beyond it nothing is read."""
    step_interval: Annotated[timedelta, Spec("results", timedelta(seconds=1), timedelta(days=1))]
    """Wall time that a lag must last for one step more, and a half of `lag_max` for one step less."""

    def __post_init__(self) -> None:
        if not self.steps or list(self.steps) != sorted(set(self.steps)):
            raise SettingsError(
                f"overload.steps: {list(self.steps)} does not rise.", remedy="Write steps such as [2, 5, 10]."
            )


@dataclass(frozen=True, kw_only=True)
class Telemetry:
    """Windows over measures, per service, lane or product."""

    pane: Annotated[timedelta, Spec("results", timedelta(seconds=1), timedelta(days=1))]
    """The grain of aggregation: windows are made of whole panes."""
    pane_by_type: Annotated[Mapping[str, timedelta], Spec("results", timedelta(seconds=1), timedelta(days=1))]
    """`pane` of single types of events, by type: the sparse ones want longer panes."""
    windows: Annotated[tuple[timedelta, ...], Spec("results", timedelta(seconds=1), timedelta(days=366))]
    """Lengths of the sliding windows that detectors look at; multiples of `pane`."""
    window_by_type: Annotated[Mapping[str, timedelta], Spec("results", timedelta(seconds=1), timedelta(days=366))]
    """The one window of types that have another than `windows`, by type; a multiple of the type's pane."""
    signal_interval: Annotated[timedelta, Spec("results", timedelta(minutes=1), _CENTURY)]
    """Types with panes at least this long are fleet signals: all journeys are told. Shorter ones would be too many."""
    entity_ttl: Annotated[timedelta, Spec("results", timedelta(hours=1), _CENTURY)]
    """Event time without a measure after which an entity is forgotten."""


@dataclass(frozen=True, kw_only=True)
class JourneyLimits:
    """How much is remembered; beyond each limit the least telling goes first: what has ended, then the oldest."""

    orders_max: Annotated[int, Spec("results", 1, 100_000)]
    """Orders per customer."""
    refunds_max: Annotated[int, Spec("results", 1, 100_000)]
    """Refunds per customer."""
    contacts_max: Annotated[int, Spec("results", 1, 100_000)]
    """Contacts, tickets and reviews per customer."""
    products_max: Annotated[int, Spec("results", 1, 100_000)]
    """Products per customer whose usage is remembered."""
    sellers_max: Annotated[int, Spec("results", 1, 100_000)]
    """Sellers per order."""
    records_max: Annotated[int, Spec("results", 1, 100_000)]
    """Records per order or refund that evidence can name."""
    payments_max: Annotated[int, Spec("results", 1, 100_000)]
    """Payments per order that are told apart."""
    items_max: Annotated[int, Spec("results", 1, 100_000)]
    """Products per order that are told apart."""
    subscriptions_max: Annotated[int, Spec("results", 1, 100_000)]
    """Subscriptions per customer, and changes of the terms of each."""
    invoices_max: Annotated[int, Spec("results", 1, 100_000)]
    """Invoices of subscriptions per customer."""
    attempts_max: Annotated[int, Spec("results", 1, 100_000)]
    """Attempts to pay per customer."""
    sign_ins_max: Annotated[int, Spec("results", 1, 100_000)]
    """Devices, countries, failed and strange sign-ins, changed fields and payouts per customer."""
    matters_max: Annotated[int, Spec("results", 1, 100_000)]
    """Matters a customer got in touch about, and contacts about each."""
    days_max: Annotated[int, Spec("results", 1, 100_000)]
    """Days of use of a product."""
    signals_max: Annotated[int, Spec("results", 1, 10_000_000)]
    """Fleet entities whose signals are remembered, per key group."""


@dataclass(frozen=True, kw_only=True)
class Journey:
    """Orders, CRM and usage joined per customer: how long they are remembered, in event time, and how much of them."""

    settle: Annotated[timedelta, Spec("results", timedelta(microseconds=1), timedelta(days=1))]
    """A journey is looked at so long after a record or deadline: records this close together may come in any order."""
    finished_ttl: Annotated[timedelta, Spec("results", timedelta(hours=1), _CENTURY)]
    """An order delivered or cancelled, and a refund posted, is forgotten so long after its end."""
    unfinished_ttl: Annotated[timedelta, Spec("results", timedelta(hours=1), _CENTURY)]
    """An order not ended is forgotten so long after its promise or last record, a refund or ticket after its last."""
    contact_ttl: Annotated[timedelta, Spec("results", timedelta(hours=1), _CENTURY)]
    """A contact, review or closed ticket is forgotten after this span."""
    usage_ttl: Annotated[timedelta, Spec("results", timedelta(hours=1), _CENTURY)]
    """The last measure of usage is forgotten after this span."""
    subscription_ttl: Annotated[timedelta, Spec("results", timedelta(hours=1), _CENTURY)]
    """A subscription is forgotten so long after its last change or invoice: plans may be billed by the year."""
    signal_ttl: Annotated[timedelta, Spec("results", timedelta(hours=1), _CENTURY)]
    """A fleet signal older than this is no longer used."""
    limits: JourneyLimits


@dataclass(frozen=True, kw_only=True)
class Contracts:
    """The data contracts that records are decoded by."""

    folders: Annotated[tuple[Path, ...], Spec("place")]
    """Folders of contracts beside those that come with Forestall; a later one replaces the types it holds."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The rules that decide."""

    bundle: Annotated[Path, Spec("place")]
    """Folder of a policy: `bundle.yaml` and its decision tables, or folders of such, one for each version."""
    candidate: Annotated[Path | None, Spec("place")]
    """Folder of a policy that decides beside it in shadow, for the record only; "" for none."""
    enforce: Annotated[bool, Spec("results")]
    """Whether a version decides only when the people it takes have signed it (`approvals.keys`); else it shadows."""
    mode: Annotated[Outcome, Spec("results")]
    """The most that the job does without a person: observe, recommend, approve or act."""


@dataclass(frozen=True, kw_only=True)
class Approvals:
    """Who may answer where the policy asks a person."""

    keys: Annotated[Path | None, Spec("place")]
    """File of the public keys and roles of people; without one nobody can sign."""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What is known of the services besides what they measure."""

    service_map: Annotated[Path, Spec("place")]
    """File that tells which service calls which."""


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Where the job tells how it is: `/metrics` for Prometheus, `/health/live` and `/health/ready`."""

    host: Annotated[str, Spec("place")]
    """Address to listen on. What is told there, it tells to everybody who can reach it."""
    port: Annotated[int, Spec("place", 0, 65_535)]
    """Port to listen on; 0 for not at all: then nothing is counted either."""
    stalled_after: Annotated[timedelta, Spec("place", timedelta(seconds=1), timedelta(days=1))]
    """Wall time after which the job is no longer ready: that a worker stands still, or, beyond `time.idle_timeout`,
    that a partition makes no progress and no broker confirms its silence."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a job."""

    runtime: Runtime
    time: Time
    control: Control
    state: State
    overload: Overload
    telemetry: Telemetry
    journey: Journey
    contracts: Contracts
    policy: Policy
    approvals: Approvals
    fleet: Fleet
    kafka: Kafka
    registry: Registry
    metrics: Metrics
    restarts: Restarts
    topics: Topics
    remediation: Remediation

    def __post_init__(self) -> None:
        for window in self.telemetry.windows:
            if window % self.telemetry.pane:
                raise SettingsError(
                    f"telemetry.windows: {window} is no multiple of telemetry.pane = {self.telemetry.pane}.",
                    remedy="Make every window a whole number of panes.",
                )

    def digest(self) -> str:
        """Return a hash of what affects results; pace, places and how state is cut up leave it as it is."""
        return self._digest("results")

    def layout_digest(self) -> str:
        """Return a hash of what a recovery folder is cut up by: it must be the same at every start on that folder."""
        return self._digest("layout")

    def layout(self) -> dict[str, str]:
        """Return what `layout_digest` is made of, by name."""
        return {leaf.name: _canonical(self._value(leaf)) for leaf in leaves(Settings) if leaf.spec.affects == "layout"}

    def _digest(self, affects: Affects) -> str:
        parts = [
            f"{leaf.name}={_canonical(self._value(leaf))}" for leaf in leaves(Settings) if leaf.spec.affects == affects
        ]
        return derived_id("settings", affects, *sorted(parts))

    def _value(self, leaf: Leaf) -> object:
        part: object = self
        for name in leaf.key:
            part = getattr(part, name)
        return part


def environment() -> Mapping[str, str]:
    """Return the variables of the environment as they are now."""
    return dict(os.environ)


@contextmanager
def variables_set(given: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment, for this process and those that it starts meanwhile; then restore them."""
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def set_variable(name: str, value: str) -> None:
    """Set a variable that a library used in this process looks at."""
    os.environ[name] = value


def load(file: Path | None = None, variables: Mapping[str, str] | None = None) -> Settings:
    """Return the defaults, overridden by `file` (TOML), overridden by `variables` named `FORESTALL_…`.

    Args:
        file: TOML; settings that differ from the defaults; relative paths in it start at its folder.
        variables: Of the environment; None overrides nothing. Lists are written `5m,1h`, tables `orders=5s,crm=1m`,
            and relative paths start at the working directory.

    Raises:
        SettingsError: `file` cannot be read, a key is unknown, or a value has the wrong type or is out of bounds.
    """
    layers = [_file_layer(DEFAULTS)]
    if file is not None:
        layers.append(_file_layer(file))
    layers.append(Layer("environment", _from_variables(variables or {}), Path.cwd()))
    return build(Settings, layers)


def _file_layer(file: Path) -> Layer:
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}.", remedy="Name a settings file that can be read.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: not TOML: {error}.", remedy="Correct the file at that place.") from None
    return Layer(str(file), flatten(Settings, str(file), table), file.resolve().parent)


def _from_variables(variables: Mapping[str, str]) -> dict[Key, object]:
    known = {PREFIX + "_".join(leaf.key).upper(): leaf for leaf in leaves(Settings)}
    values: dict[Key, object] = {}
    for name in sorted(variables):
        if name in known:
            values[known[name].key] = _from_text(known[name].type, variables[name])
        elif name.startswith(PREFIX) and name not in NOT_SETTINGS:
            near = get_close_matches(name, known, n=1, cutoff=0.8)
            remedy = f"Did you mean {near[0]}?" if near else "Unset it."
            raise SettingsError(f"environment: unknown variable {name}.", remedy=remedy)
    return values


def _from_text(kind: Any, text: str) -> object:
    origin = typing.get_origin(kind)
    if origin is Literal:
        return text
    if origin is tuple:
        return [_from_text(typing.get_args(kind)[0], item.strip()) for item in text.split(",") if item.strip()]
    if origin is not None and issubclass(origin, Mapping):
        pairs = (item.partition("=") for item in text.split(",") if item.strip())
        return {name.strip(): value.strip() for name, _, value in pairs}
    if kind is bool:
        return {"true": True, "false": False}.get(text, text)
    return int(text) if kind is int and text.isascii() and text.isdigit() else text


def _canonical(value: object) -> str:
    if isinstance(value, timedelta):
        return f"{micros(value)}us"
    if isinstance(value, tuple):
        return "[" + ",".join(_canonical(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name!r}:{_canonical(value[name])}" for name in sorted(value)) + "}"
    return repr(value)
