"""How long actions take, stage by stage: what they waited for, and what was work.

The times are those of the ledger, and of what was decided on; a live job's are of the wall clock from the stage
`taken_in` on, a trial's of event time throughout.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import sqlalchemy as sa

from config.clock import HOUR, SECOND
from config.quantiles import nearest_rank
from sinks.ledger import Ledger
from sinks.ledger_schema import actions

Row = dict[str, Any]

STAGES: Mapping[str, tuple[str, str]] = {
    "decision": ("wait", "found to decided: for more evidence, a turn, a guardrail"),
    "people": ("wait", "asked to consented: for people"),
    "taken_in": ("wait", "decided to taken in: for the remediation flow"),
    "begin": ("wait", "taken in to sent: for the entity, room or a breaker of the target, a look beforehand"),
    "target": ("work", "sent to acknowledged: by the target, repeated or asked about where need be"),
    "settling": ("wait", "acknowledged to judged: until it can be seen whether it helped"),
    "end": ("work", "judged to ended: taking back, or the next step"),
}
"""What each stage is, wait or work, and from when to when."""
_LEVELS = {"p50": 50, "p95": 95, "most": 100}
_READ = 1_000


@dataclass(slots=True)
class _Times:
    """What was measured of a remedy's actions."""

    spans: dict[str, array[int]] = field(default_factory=dict)
    """By stage, microseconds."""
    left: array[int] = field(default_factory=lambda: array("q"))
    """How long before the harm each was acknowledged, microseconds; below 0: after it, or not at all."""


def timings(ledger: Ledger, asked: Mapping[str, int], remedy: str | None = None) -> list[Row]:
    """Return how long each stage took, by remedy.

    Each row has `remedy`, and `stages` in their order, those that any action passed: `stage`, `kind` (wait or work),
    `actions`, and `p50_s`, `p95_s`, `most_s`, quantiles by nearest rank in seconds. Beside them of how many actions the
    harm lay `ahead` when they were decided, how many of these were acknowledged before it (`in_time`), and the median
    of the hours that were left then (`left_p50_hours`, None for none).

    Args:
        ledger: What became of actions.
        asked: When people were asked, microseconds, by request; without, the stage `people` is part of `decision`.
        remedy: Only its actions.
    """
    a = actions.c
    times = (a.at, a.intended_at, a.dispatched_at, a.acknowledged_at, a.judged_at, a.ended_at)
    query = sa.select(a.remedy, a.body, *times)
    if remedy is not None:
        query = query.where(a.remedy == remedy)
    found: dict[str, _Times] = {}
    with ledger.read() as connection:
        for name, body, *reached in connection.execution_options(yield_per=_READ).execute(query):
            of, decided = found.setdefault(name, _Times()), orjson.loads(body)
            for stage, span in _spans(decided, reached, asked).items():
                of.spans.setdefault(stage, array("q")).append(span)
            left = _left(decided, reached)
            if left is not None:
                of.left.append(left)
    return [{"remedy": name} | _told(found[name]) for name in sorted(found)]


def _told(of: _Times) -> Row:
    stages = []
    for stage in STAGES:
        if stage in of.spans:
            spans = sorted(of.spans[stage])
            quantiles = {f"{name}_s": nearest_rank(spans, level) / SECOND for name, level in _LEVELS.items()}
            stages.append({"stage": stage, "kind": STAGES[stage][0], "actions": len(spans)} | quantiles)
    left = sorted(span for span in of.left if span >= 0)
    hours = round(nearest_rank(left, 50) / HOUR, 1) if left else None
    return {"stages": stages, "ahead": len(of.left), "in_time": len(left), "left_p50_hours": hours}


def _spans(decided: Row, reached: Sequence[int | None], asked: Mapping[str, int]) -> dict[str, int]:
    at = decided["at"]
    request = (decided.get("approval") or {}).get("request_id", "")
    asked_at = asked.get(request, at)
    age = decided.get("facts", {}).get("evidence_age_hours")
    spans = {}
    if isinstance(age, int | float):
        spans["decision"] = max(asked_at - at + round(age * HOUR), 0)
    if request in asked:
        spans["people"] = at - asked_at
    stages = list(STAGES)[2:]
    for stage, begin, end in zip(stages, reached, reached[1:], strict=False):
        # What was not sent, or not judged, has no times of the stages behind.
        if begin is None or end is None:
            break
        spans[stage] = max(end - begin, 0)
    return spans


def _left(decided: Row, reached: Sequence[int | None]) -> int | None:
    harm_at = decided.get("facts", {}).get("harm_at")
    if not isinstance(harm_at, int) or harm_at <= decided["at"]:
        return None
    acknowledged = reached[3]
    return -1 if acknowledged is None else harm_at - acknowledged
