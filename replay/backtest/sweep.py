"""How the findings on orders would look at other thresholds, and how true the probabilities are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from operators.risk import Judgement
from replay.backtest.order_truth import Outcome
from replay.backtest.orders import point
from replay.backtest.run import Row

STEPS = tuple(round(-0.25 + 0.05 * step, 2) for step in range(13))
"""What is added to the threshold of every stage."""
BANDS = 10


def swept(
    truth: Mapping[str, Outcome], judgements: Sequence[Judgement], since: int | None, steps: Sequence[float] = STEPS
) -> list[Row]:
    """Return precision, recall and lead of the complaint risk at thresholds `steps` above the present ones.

    Args:
        truth: What became of all orders.
        judgements: All checkpoints judged, in order.
        since: Only orders placed from then on are judged, µs.
    """
    kept = placed_since(truth, since)
    rows = []
    for step in steps:
        first: dict[str, int] = {}
        for judgement in judgements:
            if judgement.order in kept and judgement.probability >= judgement.needed + step:
                first.setdefault(judgement.order, judgement.at)
        rows.append({"above_threshold": step, **point(kept, first)})
    return rows


def calibration(truth: Mapping[str, Outcome], judgements: Sequence[Judgement], since: int | None) -> list[Row]:
    """Return for each tenth of the scale the mean probability given and the share that complained.

    Checkpoints before the answer count, those of one order together as one; orders nobody answered for do not.
    """
    kept = placed_since(truth, since)
    usable = [
        (judgement, outcome)
        for judgement in judgements
        if (outcome := kept.get(judgement.order)) is not None
        and outcome.answered_at is not None
        and judgement.at < outcome.answered_at
    ]
    count: dict[str, int] = {}
    for judgement, _ in usable:
        count[judgement.order] = count.get(judgement.order, 0) + 1
    sums = [[0.0, 0.0, 0.0] for _ in range(BANDS)]
    for judgement, outcome in usable:
        weight, band = 1 / count[judgement.order], sums[min(int(judgement.probability * BANDS), BANDS - 1)]
        band[0] += weight
        band[1] += weight * judgement.probability
        band[2] += weight * (outcome.complained_at is not None)
    return [
        {"orders": round(orders, 1), "probability": round(given / orders, 4), "complaints": round(came / orders, 4)}
        for orders, given, came in sums
        if orders > 0
    ]


def placed_since(truth: Mapping[str, Outcome], since: int | None) -> dict[str, Outcome]:
    """Return the orders placed from `since` on."""
    return {
        order: outcome
        for order, outcome in truth.items()
        if since is None or (outcome.placed_at is not None and outcome.placed_at >= since)
    }
