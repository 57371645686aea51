"""Target systems: where remedies act, how they are reached, and what each can be relied on for.

A file names them all. Where a request goes is decided here and nowhere else: nothing that an event or an action says
becomes a host or a path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from config.clock import MINUTE, SECOND, micros
from config.credentials import Secret, ca_mistakes, read_secret, secret_mistakes
from config.duration import parse_duration
from config.effects import Traits
from config.errors import SettingsError
from config.yaml_text import read_file

Kind = Literal["http", "topic", "sql"]
Network = IPv4Network | IPv6Network

BYTES_MAX = 16 << 20
CONCURRENCY_MAX = 256
WAITING_MAX = 100_000
SQL_SETTLE = MINUTE
"""So long a transaction that was begun may take, locks included: see `sinks/postgres.py`."""


class BreakerDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a target is not asked any more, and for how long: see `BreakerSettings`."""

    failures: int = 5
    window: str = "1m"
    open_first: str = "10s"
    open_most: str = "5m"
    probes: int = 1


class TargetDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A target as its file has it."""

    kind: Kind
    url: str = ""
    """`https://host/base` of an HTTP target; of an SQL target its database, `postgresql://user@host/database`."""
    key_id: str = "forestall"
    """What the target calls the secret."""
    secret_file: str = ""
    """The secret that requests are signed with; a relative path begins at this file's folder."""
    ca_file: str = ""
    """Authorities that its certificate must be signed by; the system's if not given."""
    networks: list[str] = []
    """Addresses that its name may resolve to, beside public ones: `10.1.0.0/16`."""
    keyed: bool = True
    """It honours idempotency keys."""
    queryable: bool = True
    """It tells what became of an effect by its key."""
    measurable: bool = True
    """It tells the state of an entity."""
    settle: str = "5s"
    """So long after a request expired it may still take effect."""
    concurrency: int = 4
    """Requests at a time."""
    waiting: int = 4_000
    """Requests that may wait for their turn, at the most: two transactions of a shard's. With fewer, actions stand in
    line at a quick target, and each then has one move more to write down."""
    response_bytes: int = 65_536
    """An answer beyond this size is not read."""
    sandbox: bool = False
    """It is there to be tried on: a replay may act on it without being told so."""
    topic: str = ""
    """Of a topic target: where commands go."""
    table: str = "forestall_commands"
    """Of an SQL target: the table that commands are written into."""
    breaker: BreakerDocument = BreakerDocument()


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    owner: str
    targets: dict[str, TargetDocument]


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a circuit breaker opens, and for how long. Spans are microseconds."""

    failures_max: int = 5
    """So many failures within `window` open it."""
    window: int = MINUTE
    open_first: int = 10 * SECOND
    """How long it stays open at first."""
    open_most: int = 5 * MINUTE
    """How long it stays open at the most."""
    probes: int = 1
    """How many are let through at a time while it is half-open, and how many must do well to close it."""
    probe_timeout: int = MINUTE
    """A probe of which nothing was heard for so long is given up."""
    jitter: float = 0.2
    """Share by which the time it stays open varies, so that not all who wait come back at once."""


@dataclass(frozen=True)
class Target:
    """A target system, ready to be reached."""

    name: str
    kind: Kind
    url: str
    key_id: str
    secret: Secret | None
    secret_file: Path | None
    ca_file: Path | None
    networks: tuple[Network, ...]
    traits: Traits
    concurrency: int
    waiting: int
    response_bytes: int
    sandbox: bool
    topic: str
    table: str
    breaker: BreakerSettings


@dataclass(frozen=True)
class Targets:
    """All targets of a file, by name."""

    file: Path
    owner: str
    by_name: Mapping[str, Target]

    def traits(self, name: str) -> Traits:
        """Return what a target can be relied on for."""
        target = self.by_name.get(name)
        return Traits() if target is None else target.traits


def load_targets(file: Path) -> Targets:
    """Read and check a file of targets.

    Raises:
        SettingsError: the file cannot be read, or a target, or a file that it names, is at fault; names all mistakes.
    """
    document = read_file(file, _Document, "a file of targets", "See docs/remediation.md for its fields.")
    mistakes = ["owner is empty"] if not document.owner.strip() else []
    mistakes += [] if document.targets else ["targets names none"]
    targets = {}
    for name, target in document.targets.items():
        found = [*_mistakes(target, file.parent)]
        mistakes += [f"targets.{name}.{mistake}" for mistake in found]
        if not found:
            targets[name] = _target(name, target, file.parent)
    if mistakes:
        raise SettingsError(
            f"{file}: {'; '.join(mistakes)}.", remedy="Correct it; secrets stand in files that it names."
        )
    return Targets(file, document.owner, targets)


def _target(name: str, document: TargetDocument, folder: Path) -> Target:
    breaker = document.breaker
    return Target(
        name=name,
        kind=document.kind,
        url=document.url.rstrip("/"),
        key_id=document.key_id,
        secret=read_secret(folder / document.secret_file) if document.secret_file else None,
        secret_file=folder / document.secret_file if document.secret_file else None,
        ca_file=folder / document.ca_file if document.ca_file else None,
        networks=tuple(ip_network(network) for network in document.networks),
        traits=_traits(document),
        concurrency=document.concurrency,
        waiting=document.waiting,
        response_bytes=document.response_bytes,
        sandbox=document.sandbox,
        topic=document.topic,
        table=document.table,
        breaker=BreakerSettings(
            failures_max=breaker.failures,
            window=micros(parse_duration(breaker.window)),
            open_first=micros(parse_duration(breaker.open_first)),
            open_most=micros(parse_duration(breaker.open_most)),
            probes=breaker.probes,
        ),
    )


def _traits(document: TargetDocument) -> Traits:
    settle = micros(parse_duration(document.settle))
    if document.kind == "topic":
        return Traits(keyed=True, queryable=False, measurable=False, settle=settle)
    if document.kind == "sql":
        # A transaction may wait for another one for a while before it commits.
        return Traits(keyed=True, queryable=True, measurable=False, settle=max(settle, SQL_SETTLE))
    return Traits(document.keyed, document.queryable, document.measurable, settle)


def _mistakes(target: TargetDocument, folder: Path) -> Iterator[str]:
    match target.kind:
        case "http":
            yield from _http_mistakes(target, folder)
        case "topic":
            if not target.topic:
                yield "topic is not set"
        case "sql":
            if not target.url:
                yield "url is not set"
            if not (target.table.isascii() and target.table.isidentifier()):
                yield f"table = {target.table!r} is no name of a table"
    spans = {"settle": target.settle} | {
        f"breaker.{name}": getattr(target.breaker, name) for name in ("window", "open_first", "open_most")
    }
    for name, text in spans.items():
        try:
            parse_duration(text)
        except ValueError as error:
            yield f"{name}: {error}"
    bounds = {
        "concurrency": (target.concurrency, CONCURRENCY_MAX),
        "waiting": (target.waiting, WAITING_MAX),
        "response_bytes": (target.response_bytes, BYTES_MAX),
        "breaker.failures": (target.breaker.failures, 1_000),
        "breaker.probes": (target.breaker.probes, 100),
    }
    for name, (value, most) in bounds.items():
        if not 1 <= value <= most:
            yield f"{name} = {value} is not 1 to {most}"


def _http_mistakes(target: TargetDocument, folder: Path) -> Iterator[str]:
    parts = urlsplit(target.url)
    if parts.username is not None or parts.password is not None:
        yield "url holds a name or a password, which do not belong there"
    elif parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        yield f"url = {target.url!r} is no http:// or https:// address"
    if not target.secret_file:
        yield "secret_file is not set: requests are signed"
    yield from secret_mistakes("secret_file", folder / target.secret_file if target.secret_file else None)
    if target.ca_file:
        yield from ca_mistakes(folder / target.ca_file)
    for network in target.networks:
        try:
            ip_network(network)
        except ValueError:
            yield f"networks: {network!r} is no network such as 10.1.0.0/16"
