"""What a world hears beside its own cases: what came of the actions of other days, and what a model reads that drifts.

Some remedies of some agents help, others do not, and in the middle of a world that may change: so levels are earned and
lost. Outcomes come late, twice, corrected, out of order, and of names that nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from config.clock import HOUR, MINUTE
from config.events import Event
from operators.feature_drift import BEGUN, ENDED
from operators.outcomes import OUTCOME
from tests.support.procedure_policy import AUTONOMY, BEGINS, MODELS, SPAN_H

SEGMENTS = ("other", *(each["name"] for each in AUTONOMY["segments"]), "urgent")
DONE = ("tell", "tell", "ship", "ship", "ticket", "ticket", "credit", "refund")
FINDERS = ("fulfilment", "fulfilment", "billing", "outage")
"""Agents whose findings are acted on, as often as they find something."""
HELPS = (1.0, 0.97, 0.9, 0.6, 0.1)
"""How often a remedy helps."""
End = dict[str, Any]
GOOD: tuple[End, ...] = ({"state": "settled", "verdict": "verified"}, {"state": "verified", "verdict": "verified"})
BAD: tuple[End, ...] = (
    {"state": "escalated", "verdict": "ineffective"},
    {"state": "escalated", "verdict": "inconclusive"},
    {"state": "escalated"},
    {"state": "compensated", "verdict": "ineffective"},
    {"state": "settled", "verdict": "inconclusive"},
    {"state": "settled", "verdict": "verified", "collateral": True},
    {"state": "refused"},
)


def history(draw: Random, instant: Callable[[int, int], int]) -> Iterator[Event]:
    """Yield outcomes of actions that no case of the world has.

    Args:
        draw: Of the world.
        instant: Draws an instant between two that nothing else happens at.
    """
    number = 0
    for _ in range(draw.randint(6, 12)):
        names = {"agent": draw.choice(FINDERS), "remedy": draw.choice(DONE), "segment": draw.choice(SEGMENTS)}
        if draw.random() < 0.06:
            names[draw.choice([*names])] = draw.choice(("nobody", "a/b"))
        begins = BEGINS + draw.randint(0, SPAN_H // 3 * HOUR)
        for _ in range(draw.randint(1, 3)):
            helps, count = draw.choice(HELPS), draw.randint(3, 9)
            for _ in range(count):
                number += 1
                at = instant(begins, begins + 3 * HOUR)
                yield from _of_action(draw, instant, f"h{number}", at, names, draw.random() < helps)
            begins += draw.randint(2 * HOUR, 9 * HOUR)


def _of_action(
    draw: Random, instant: Callable[[int, int], int], action: str, at: int, names: dict[str, str], is_good: bool
) -> Iterator[Event]:
    end = draw.choice(GOOD if is_good else BAD)
    told = dict.fromkeys(("verdict", "collateral", "reason", "bundle", "effects", "at"))
    told |= {"action_id": action, "case_id": "of-another-day", "case_key": "c0", "seq": 3} | names | end
    if draw.random() < 0.3:
        told["at"] = at - draw.randint(0, 2 * HOUR)
    yield outcome_event(at, f"history|{action}", told)
    if draw.random() < 0.15:
        # It is told again, or more is known now: of what helped, too, that it did not.
        later = told | {"seq": draw.choice((2, 3, 4))} | draw.choice((*GOOD, *BAD))
        again = instant(at, at + 2 * HOUR)
        yield outcome_event(again, f"history|{action} again", {"verdict": None, "collateral": None} | later)


def outcome_event(at: int, name: str, told: dict[str, Any], number: int = 0) -> Event:
    """Return an outcome as it takes effect."""
    return Event(at, name, told["case_key"], OUTCOME, told, "outcomes/0", number)


def drifts(draw: Random, instant: Callable[[int, int], int]) -> Iterator[Event]:
    """Yield beginnings of drifts, and the ends of some."""
    for number in range(draw.choice((0, 0, 1, 1, 2))):
        model = draw.choice([*MODELS])
        at = instant(BEGINS, BEGINS + (SPAN_H - 4) * HOUR)
        said = {"model": model, "feature": f"view.n{number}", "since": at - HOUR}
        yield Event(at, f"drift|{number}", model, BEGUN, said)
        if draw.random() < 0.7:
            yield Event(over := instant(at + MINUTE, at + 12 * HOUR), f"drift over|{number}", model, ENDED, said)
            assert over > at
