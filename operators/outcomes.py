"""Outcomes: what came of a case's action, as the remediation flow tells. Pure.

An action that is being carried out is its case's plan, and no second one is begun. The plan ends with the first outcome
that says how it ended, and only the plan's own outcomes count, in their order. What is done next, the policy decides
anew, which knows the last outcome: where an action did not help, or may have, or was given up, a person looks.

What was refused was not done. A person is shown it; by itself it is tried once more, as another action, where a limit
over all customers withheld it and has room again. Not more often: many may wait for the same room.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.clock import DAY
from operators.case import Case, Undone

OUTCOME = "action.outcome"
"""Type of the record."""

ENDS = frozenset({"verified", "settled", "compensated", "refused", "escalated"})
"""States after which the action is not carried out any further."""
TRIES_MAX = 2
"""So often an action that is withheld is decided to be done."""
REASON_MAX = 300
"""Characters of a reason that are kept."""
PATIENCE = DAY
"""So long a plan is held open after it was last heard of, though its action is not worth beginning any more."""


def note_outcome(case: Case, told: Mapping[str, Any], now: int) -> str:
    """Take note of an outcome in `case`; return why it does not count, "" where it does.

    Args:
        case: The case of the action.
        told: Data of the record.
        now: When it takes effect, microseconds.
    """
    plan = case.plan
    if plan is None or plan.action_id != told["action_id"]:
        return "the action is not, or no longer, what this case waits for"
    if told["seq"] <= plan.seq:
        return "a later outcome of the action was known already"
    # Only what was handed over can be withheld, and of what is withheld nothing else is ever heard.
    withheld = plan.guarded and plan.seq == 0 and bool(told.get("guardrails"))
    plan.seq, plan.state = told["seq"], told["state"]
    if plan.state not in ENDS:
        plan.until = max(plan.until, now + PATIENCE)
        return ""
    if plan.state == "refused":
        _note_undone(case, plan.remedy, told, withheld=withheld)
    verdict = told.get("verdict")
    # What was taken back or never done has no effect left, whatever the verdict on it was.
    settled = verdict is not None and plan.state not in ("compensated", "refused")
    case.last_outcome = str(verdict) if settled else plan.state
    case.plan = None
    return ""


def _note_undone(case: Case, remedy: str, told: Mapping[str, Any], *, withheld: bool) -> None:
    """Note that a remedy was not done."""
    before = case.undone.get(remedy)
    times = 1 if before is None else before.times + 1
    why = (told.get("reason") or "It was refused")[:REASON_MAX].rstrip(".")
    case.undone[remedy] = Undone(times, f"{why}.", told.get("again_at") if withheld and times < TRIES_MAX else None)
    case.used = [each for each in case.used if each != remedy]
