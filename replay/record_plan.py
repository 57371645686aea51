"""What is to be recorded, and how far a recording has come: what one that was stopped goes on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from config.clock import to_text
from replay.border import Border
from replay.broker_log import Holes, Key
from replay.manifest import Idle, Manifest, Sampled


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to record."""

    topics: tuple[str, ...]
    from_: int | None = None
    """First instant, microseconds; None for the first record that there is."""
    until: int | None = None
    """Last instant, exclusive, microseconds, which may be to come; None for all there is now."""
    starts: Mapping[Key, int] | None = None
    """Offsets to begin at, of all partitions; None for where the first instant is."""
    idle: tuple[Idle, ...] = ()
    """Decisions of a live job that a partition was idle."""
    sampled: tuple[Sampled, ...] = ()
    """Its decisions of how much of a partition was looked into."""


@dataclass(frozen=True)
class Missing:
    """Offsets of one partition without a record."""

    offsets: int
    aborted: int
    """Of those, how many have a record of an aborted transaction."""
    compacted: bool
    """Whether the topic is compacted, so that any number may be missing."""
    unexplained: int
    """How many more are missing than transactions can have marked."""


@dataclass(frozen=True)
class Recorded:
    """What was recorded."""

    manifest: Manifest
    missing: dict[str, Missing]
    """By `topic/partition`, where offsets have no record."""
    trimmed: dict[str, int]
    """First offset of partitions whose earlier records are gone, which retention took; by `topic/partition`."""
    resumed: bool


class Plan(msgspec.Struct):
    """What a recording that goes on has to know."""

    topics: list[str]
    from_: int | None
    until: int | None
    asked_at: int
    """When recording began, microseconds."""
    ids: dict[str, str]
    starts: dict[str, int]
    """Where to begin reading."""
    begins: dict[str, int]
    """The same, or where the hole before it begins."""
    stops: dict[str, int] | None
    """End offsets; None while the end is to come."""
    trimmed: dict[str, int]
    holes: dict[str, Holes] = {}


@dataclass
class Part:
    """One partition that is being recorded."""

    key: Key
    holes: Holes
    entry: Border | None
    """Finds where it begins; None once it is found."""
    exit: Border | None
    stop: int | None = None
    position: int = 0
    begins: int = 0
    done: bool = False


def name_of(key: Key) -> str:
    """Return the name of a partition's channel."""
    return f"{key[0]}/{key[1]}"


def millis(at: int) -> int:
    """Return the millisecond not before `at`: a whole stamp is before the one if and only if before the other."""
    return -(-at // 1000)


def shown(at: int | None) -> str:
    """Return an instant as people read it."""
    return "the end" if at is None else to_text(at)
