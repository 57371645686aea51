"""How far a decision may go by what its remedy has earned: the case stage's side of autonomy. Pure.

Levels come from the autonomy stage (`operators/autonomy_stage.py`) and hold from their event time on, so a replay comes
to the same decisions. They only take away: between what the rule says and the level the stricter one holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from config.clock import to_text
from config.events import Event
from config.policies.autonomy import LEVELS, Level, Limit
from config.policies.bundle import Bundle
from config.policies.documents import Outcome
from operators.policy import Verdict

CHANGED = "autonomy.changed"
"""Type of the event by which the case stage learns of a level."""
ALL = "*"


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """A level that is not, or no longer, the one that the policy begins with."""

    level: Level
    since: int
    """Event time, microseconds."""
    reason: str

    def say(self) -> str:
        """Return since when and why."""
        return f"since {to_text(self.since)}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a decision may go, and why not further."""

    segment: str
    level: Level
    why: str
    """For a person: what holds it there, and who may change that; "" where nothing is held back."""


def key_of(agent: str, remedy: str, segment: str) -> str:
    """Return what levels are kept under."""
    return f"{agent}/{remedy}/{segment}"


def note(standings: dict[str, Standing], event: Event) -> None:
    """Take note of a level in `standings`."""
    said = event.data
    key = key_of(said["agent"], said["remedy"], said["segment"])
    if said["level"]:
        standings[key] = Standing(said["level"], event.at, said["reason"])
    else:
        standings.pop(key, None)


def reach(
    bundle: Bundle,
    verdict: Verdict,
    facts: Mapping[str, Any],
    quality: object,
    standings: Mapping[str, Standing],
    now: int,
) -> Reach | None:
    """Return how far a verdict may go, None where the policy does not bound it.

    Args:
        bundle: It names the segments and says what holds for them.
        verdict: What it says.
        facts: What it was decided on.
        quality: Of the data that the leading finding stands on, 0 to 1.
        standings: The levels that have changed, by key.
        now: Event time, microseconds.
    """
    if verdict.wanted not in ("approve", "act") or not verdict.remedy or not bundle.autonomy.limits:
        return None
    agent = str(facts["agent"])
    segment = bundle.autonomy.segment(bundle.bindable(facts))
    limit = bundle.autonomy.limit(agent, verdict.remedy, segment)
    if limit is None:
        return None
    standing = standings.get(key_of(agent, verdict.remedy, segment))
    if standing is not None and standing.since < limit.anew_from <= now:
        standing = None
    level, why = (limit.start, limit.reason) if standing is None else (standing.level, standing.say())
    if _is_lower(limit.ceiling, level):
        level, why = limit.ceiling, limit.reason
    hold = standings.get(key_of(agent, ALL, ALL))
    if hold is not None and _is_lower(hold.level, level):
        level, why = hold.level, hold.say()
    if isinstance(quality, int | float) and not quality >= limit.quality_min and _is_lower("supervised", level):
        level, why = "supervised", f"its data are of quality {quality:g}, and {limit.quality_min:g} is asked for."
    return Reach(segment, level, _said(limit, verdict.remedy, segment, agent, level, why))


def within(reach: Reach | None, outcome: Outcome) -> Outcome:
    """Return what is left of an outcome."""
    if reach is None or outcome not in ("approve", "act"):
        return outcome
    if reach.level == "recommend":
        return "recommend"
    return "approve" if reach.level == "supervised" else outcome


def _is_lower(level: Level, than: Level) -> bool:
    return LEVELS.index(level) < LEVELS.index(than)


def _said(limit: Limit, remedy: str, segment: str, agent: str, level: Level, why: str) -> str:
    if level == "autonomous":
        return ""
    of = f"{remedy} of {agent} (segment {segment})"
    return f"The autonomy of {of} is {level}, {why.rstrip('.')}; {limit.owner} may change that (autonomy)."
