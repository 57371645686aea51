"""The examples of the complaint risk as they came, for learners to be compared on: what was read, and when known.

As in the job (`operators/risk.py`): a checkpoint is scored with what was learned by then; an order is learned when its
customer answers, or as content after a span of silence since its delivery, which a later complaint corrects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from config.clock import DAY
from config.identity import key_group
from config.settings import load
from operators.agents.experience import ComplaintRiskParameters
from operators.features.vector import vector
from operators.risk import Judgement
from replay.backtest.order_truth import Outcome, outcomes
from replay.judgements import judge

Floats = npt.NDArray[np.float64]
SCORE, LEARN, CORRECT = "score", "learn", "correct"


@dataclass(frozen=True)
class Examples:
    """All checkpoints of a recording, in the order in which they were judged."""

    judgements: list[Judgement]
    numbers: Floats
    """(checkpoints, numbers) of the vector."""
    rows: dict[str, list[int]]
    """Of each order."""
    truth: dict[str, Outcome]
    moments: list[tuple[int, str, str, int]]
    """(when, what happens, order, row): all scores and lessons in order; the row is -1 for a lesson."""

    def without(self, part: int, parts: int) -> Examples:
        """Return the examples without those of one of `parts` even parts of all customers."""
        kept = {
            order for order, rows in self.rows.items() if key_group(self.judgements[rows[0]].customer, parts) != part
        }
        return Examples(
            self.judgements,
            self.numbers,
            {order: rows for order, rows in self.rows.items() if order in kept},
            {order: outcome for order, outcome in self.truth.items() if order in kept},
            [moment for moment in self.moments if moment[2] in kept],
        )


def examples_of(recording: Path, parameters: ComplaintRiskParameters) -> Examples:
    """Return the examples of a recording.

    Raises:
        ForestallError: the recording is at fault.
    """
    judgements, truth = judge(recording, load()).judgements, outcomes(recording)
    rows: dict[str, list[int]] = {}
    for row, judgement in enumerate(judgements):
        rows.setdefault(judgement.order, []).append(row)
    moments = [(judgement.at, SCORE, judgement.order, row) for row, judgement in enumerate(judgements)]
    until = judgements[-1].at
    for order, mine in rows.items():
        lessons = _lessons([judgements[row] for row in mine], truth.get(order, Outcome()), parameters)
        moments += [(at, what, order, -1) for at, what in lessons if at <= until]
    # What is learned at an instant is known to what is scored then.
    moments.sort(key=lambda moment: (moment[0], moment[1] == SCORE, moment[2], moment[3]))
    numbers = np.array([vector(judgement.progress, judgement.history) for judgement in judgements])
    return Examples(judgements, numbers, rows, truth, moments)


def _lessons(
    judged: list[Judgement], outcome: Outcome, parameters: ComplaintRiskParameters
) -> Iterator[tuple[int, str]]:
    """Yield when an order is learned, and when that is corrected."""
    last = judged[-1]
    delivered = last.progress["since_delivered_days"]
    silent_at = None if delivered is None else last.at - int(delivered * DAY) + parameters.silent_us
    answered_at = outcome.answered_at
    if answered_at is not None and (silent_at is None or answered_at <= silent_at):
        yield answered_at, LEARN
    elif silent_at is not None:
        yield silent_at, LEARN
        if outcome.complained_at is not None:
            yield outcome.complained_at, CORRECT
