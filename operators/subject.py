"""What a finding can be about, and what is noted of the findings made on it.

These are states: compact MessagePack arrays of built-in values. None of them refers back to another, so none needs the
garbage collector, which would otherwise visit them all.
"""

from __future__ import annotations

import msgspec

Record = tuple[str, int]
"""A record that was used: its channel `topic/partition`, and its offset."""


class Reported(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A finding that was made and has not ended: what it takes to end it."""

    occurrence: str
    causes: list[str]


class Subject(msgspec.Struct, array_like=True, gc=False):
    """What a finding can be about: which records told of it, and what was found."""

    since: int
    """When the first record told of it,"""
    seen_at: int
    """and the last."""
    records: list[Record] = []
    """The records that told of it, bounded."""
    findings: dict[str, Reported] = {}
    """The findings made on it and not ended, by kind."""
