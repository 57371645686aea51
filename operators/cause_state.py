"""What the cause stage keeps of a fleet entity, and by which settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import msgspec

from config.findings import Finding
from operators.fan_in import FanIn, FanInSettings
from operators.watch_state import Heard, Stock, Tries


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseSettings:
    """How causes are told, and how far they reach."""

    fan_in: dict[str, FanInSettings]
    """By kind of entity: `lane`, `seller`; other kinds are linked, but found degraded by their own agent only."""
    fan_out_max: int = 1_000
    """Customers told per episode; further ones are counted only. Bounds state and messages."""
    touched_for: timedelta = timedelta(minutes=15)
    """Customers touched so long before a fleet finding count as touched by it: detection lags behind the fault."""
    touched_max: int = 1_000
    """Customers remembered while no episode is open; the most recently touched."""
    reopen_within: timedelta = timedelta(hours=1)
    """A fleet finding so soon after an episode ended goes on with it: what flaps is one incident, with one case."""
    blamed_for: timedelta = timedelta(hours=1)
    """An entity that names this one as its cause is remembered so long, should this one's own trouble be told later."""
    blamed_max: int = 64
    """Such entities remembered; the most recent."""
    episode_max: timedelta = timedelta(days=30)
    """An episode whose end is never told is over so long after it began."""
    idle_ttl: timedelta = timedelta(days=60)
    """An entity of which nothing is heard is forgotten after this span, its usual rate with it."""
    dedupe_ttl: timedelta = timedelta(days=1)
    """Event ids are remembered per entity for this span, to drop duplicates."""


class Episode(msgspec.Struct, array_like=True):
    """A fleet trouble under way."""

    opening: str
    """The finding that opened it."""
    open: list[str] = []
    """Slots of the fleet findings that are not resolved."""
    fan_in: str = ""
    """Occurrence of the fan-in finding of this episode while it is open."""
    fleet: Finding | None = None
    """The agent's finding, the most severe one, that fan-out findings refer to."""
    told: dict[str, bool] = {}
    """Customers with a fan-out finding (True), or with a link only (False); and entities that name this one."""
    again: int = 0
    """How often it went on after it had ended."""


class Past(msgspec.Struct, array_like=True, frozen=True):
    """An episode that ended."""

    opening: str
    at: int
    """When."""
    again: int


class CauseState(msgspec.Struct):
    """All that is kept of one fleet entity."""

    fan_in: FanIn = msgspec.field(default_factory=FanIn)
    touched: dict[str, int] = {}
    """When each customer was touched last, oldest first."""
    episode: Episode | None = None
    past: Past | None = None
    """The last episode, while it may go on."""
    blamed: dict[str, int] = {}
    """When each entity named this one as its cause, the oldest first."""
    stock: Stock | None = None
    """Of a product whose stock is measured."""
    tries: Tries | None = None
    """Of a device or an instrument."""
    heard: Heard | None = None
    """Of a product, a seller or a lane that customers spoke of."""
    look_at: dict[str, int] = {}
    """When each watch looks next, by its name."""
