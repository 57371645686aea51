"""A budget of false discoveries, per agent and day: what is beyond it is kept for observation only.

A case is false with a chance of `1 - confidence`, its *doubt*. Over the cases that an agent opens on one day of event
time the doubts may add up to `share` times their number, or to `spare` where that is more: so the expected share of
false ones among them is bounded (the Bayesian false discovery rate: Efron, Large-Scale Inference, 2010, section 2.4;
Müller, Parmigiani and Rice, 2006), as far as confidences are right. A case that is refused is open and seen, and
decided about as `observe` until more evidence, or a new day, makes it bearable.

P-values have no place here: an agent reports what passed its own threshold already, and a test of selected p-values
would hold nothing. A detector that looks at many series controls them where it sees all (`detectors/discovery.py`).

Counted per key group of the case stage. The expectation of a sum is the sum of expectations, whatever the cases have to
do with each other, so a share that is kept in each group is kept in all, and `spare` counts once per group. Counting
all of an agent's cases in one place instead would bring every finding to one worker, and one more hop; groups, unlike
workers, are fixed for the life of a job. Within a group the order is that of event time.
"""

from __future__ import annotations

import msgspec

from config.agents.load import Budget
from config.clock import DAY


class Spent(msgspec.Struct, array_like=True):
    """What an agent has spent of one day's budget."""

    day: int
    cases: int = 0
    doubt: float = 0.0
    """Expected false ones among them."""
    refused: int = 0


def bears(budget: Budget, spent: dict[str, Spent], agent: str, now: int, confidence: float) -> bool:
    """Return whether the budget of the day bears one more case, and note it in `spent` (by agent)."""
    day = now // DAY
    today = spent.get(agent)
    if today is None or today.day != day:
        today = spent[agent] = Spent(day)
    doubt = today.doubt + 1.0 - confidence
    # Sums of floats: what was to be just enough must not fail by the last digit.
    if round(doubt, 9) > round(max(budget.spare, budget.share * (today.cases + 1)), 9):
        today.refused += 1
        return False
    today.cases, today.doubt = today.cases + 1, doubt
    return True
