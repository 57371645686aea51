"""What a world is to be like: how often each trouble and each decoy occurs, noise, seasons, bad sources, size.

A scenario is a YAML file. Those that come along lie in `replay/world/scenarios/` and are called by their names; a file
may extend one of them and say only what differs. `docs/worlds.md` explains each field.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta

from config.errors import UsageError
from config.yaml_text import read_yaml, syntax_fault
from replay.world.kinds import DECOYS, ISSUES

FOLDER = Path(__file__).parent / "scenarios"

Factor = Annotated[float, Meta(ge=0, le=10)]
Rate = Annotated[float, Meta(ge=0, le=200)]
Day = Annotated[int, Meta(ge=0, le=365)]
Mix = Literal["full", "telemetry"]


class Season(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How busy the shop is, and when."""

    daily: Factor = 1.0
    """How much of the usual difference between day and night there is; 0: none."""
    weekly: Factor = 1.0
    """How much of the usual difference between working days and weekends there is."""
    holidays: list[Day] = []
    """Days, counted from 0, on which the shop is quiet and products are hardly used."""
    peaks: list[Day] = []
    """Days on which three times as many orders are placed as usual."""
    drift_percent_per_week: Annotated[float, Meta(ge=-10, le=10)] = 0.0
    """By how much services get slower from week to week, and nobody minds."""


class Sources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is wrong with those who report, not with what they report."""

    duplicates: Factor = 1.0
    """How many times as many records as usual come twice."""
    clock_skew_seconds: Annotated[float, Meta(ge=0, le=50)] = 0.0
    """One service's clock goes this much ahead: more than a minute, and its records would be held back."""
    silent_hours: Annotated[float, Meta(ge=0, le=24)] = 0.0
    """For so long one service measures nothing, once, while all is well."""
    usage_gap_days: Annotated[int, Meta(ge=0, le=14)] = 0
    """For so many days nobody's use is measured, though all use what they pay for."""
    schema_drift: bool = True
    """Whether a field appears that no contract knows, in the last third of the world."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A world's parameters. Nothing that judges events may read them."""

    name: str = "plain"
    description: str = ""
    days: Annotated[int, Meta(ge=7, le=366)] | None = None
    """How long a world is unless it is said otherwise."""
    events: Annotated[int, Meta(ge=2_000, le=1_000_000_000)] | None = None
    """How many records it has unless it is said otherwise."""
    mix: Mix = "full"
    """What ships: `full` is orders, CRM and telemetry; `telemetry` nothing else, and only services have issues."""
    telemetry_days: Annotated[int, Meta(ge=3, le=366)] | None = None
    """Services are measured in the last days only, for telemetry is kept for a shorter time than orders are."""
    business_share: Annotated[float, Meta(gt=0, le=0.9)] = 0.1
    """Of all records those that orders and customers bring about, stories apart."""
    noise: Factor = 1.0
    """How many times as much as usual measurements, use and durations scatter."""
    rates: dict[str, Rate] = {}
    """How often each kind of issue occurs. A kind not named does not occur, but for what mere bad luck brings about."""
    rates_factor: Factor = 1.0
    """All rates are multiplied by this."""
    decoys: dict[str, Rate] = {}
    """How often each decoy occurs; those not named do not."""
    decoys_factor: Factor = 1.0
    season: Season = Season()
    sources: Sources = Sources()

    def rate(self, kind: str) -> float:
        """Return how often a kind of issue occurs: per 1,000 orders, or per week for those of the fleet."""
        return self.rates.get(kind, 0.0) * self.rates_factor

    def decoy(self, what: str) -> float:
        """Return how often a decoy occurs: per 1,000 orders, or per week for those of the fleet."""
        return self.decoys.get(what, 0.0) * self.decoys_factor

    @property
    def told(self) -> bool:
        """Whether stories are told: issues and decoys beyond those of orders, lanes and services."""
        return self != PLAIN


PLAIN = Scenario()
"""Orders, lanes and services only, as many as the job needs to be tried and measured with."""


def names() -> list[str]:
    """Return the names of the scenarios that come along."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_scenario(place: str | Path) -> Scenario:
    """Return the scenario of that name, or in that file.

    Raises:
        UsageError: There is none, or a field is unknown, of another type or out of bounds; the message names it.
    """
    shipped = FOLDER / f"{place}.yaml"
    path = shipped if str(place) in names() else Path(place)
    document = {"name": path.stem} | _document(path)
    try:
        scenario = msgspec.convert(document, Scenario)
        _check_names(scenario.rates, ISSUES, "rates")
        _check_names(scenario.decoys, DECOYS, "decoys")
    except (msgspec.ValidationError, ValueError) as error:
        raise UsageError(f"{path}: {error}.", remedy="Correct the field; docs/worlds.md explains each.") from error
    return scenario


def _document(path: Path, depth: int = 0) -> dict[str, Any]:
    try:
        document = read_yaml(path.read_bytes())
    except OSError as error:
        known = ", ".join(names())
        raise UsageError(f"There is no scenario {path}.", remedy=f"Name a file, or one of {known}.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(syntax_fault(path, error), remedy="Correct the syntax at that line.") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path} holds no fields.", remedy="Write a scenario as `field: value`; see docs/worlds.md.")
    base = document.pop("extends", None)
    if base is None:
        return document
    if base not in names() or depth:
        raise UsageError(
            f"{path}: extends: {base!r} cannot be extended.",
            remedy=f"Extend one of {', '.join(names())} that extends none itself.",
        )
    return merged(_document(FOLDER / f"{base}.yaml", depth + 1), document)


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the fields of `more` over it; `season` and `sources` field by field, all others whole."""
    result = dict(base)
    for name, value in more.items():
        inner = name in ("season", "sources") and isinstance(value, dict) and isinstance(base.get(name), dict)
        result[name] = {**base[name], **value} if inner else value
    return result


def _check_names(given: Mapping[str, float], known: Mapping[str, str], field: str) -> None:
    for name in given:
        if name not in known:
            raise ValueError(f"`$.{field}.{name}`: unknown; known are {', '.join(known)}")
