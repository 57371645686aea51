"""The cause stage with one watch and one channel, to put an entity's events through."""

from __future__ import annotations

from collections.abc import Iterable

from config.clock import from_text
from config.events import Event
from config.findings import Finding
from operators.cause import DEFAULTS, CauseLogic
from operators.cause_state import CauseState
from operators.fleet_watch import Watch
from operators.frame import Frame
from operators.keyed import KeyedGroup

START = from_text("2025-03-03T10:00:00Z")


def watched(watch: Watch, events: Iterable[Event], until: int) -> list[Finding]:
    """Put `events` through, let event time go to `until`; return the findings that went to cases by then."""
    group: KeyedGroup[CauseState] = KeyedGroup(CauseLogic(DEFAULTS, [watch]), ["all"])
    group.receive(Frame(0, "all", until, sorted(events, key=lambda each: each.at)))
    return [Finding.of(event) for to, event in group.advance() if to == "case" and event.type == "finding"]
