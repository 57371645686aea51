"""From the views to the numbers a linear model can weigh.

What depends on time bends — a day late is worse than the same day while there is time — so spans become pieces: each
piece rises from 0 to 1 over its range and stays there (a linear spline). What means something else in another stage
stands there once per stage. Shares are taken as log odds, less those of an average order.
"""

from __future__ import annotations

from itertools import pairwise
from math import log

from operators.features.order_progress import DELIVERED, WITH_CARRIER, WITH_SELLER, Row

OPEN_STAGES = (WITH_SELLER, WITH_CARRIER)

PIECES: tuple[tuple[str, tuple[int, ...], tuple[float, ...]], ...] = (
    ("left_days", OPEN_STAGES, (-20, -10, -5, -2, -0.5, 0.5, 2, 4, 6, 10, 20)),
    ("ship_overdue_days", OPEN_STAGES, (-4, -1, 0, 1, 3, 7, 14)),
    ("transit_days", (WITH_CARRIER,), (0, 4, 10, 20, 40)),
    ("lane_slack_days", (WITH_CARRIER,), (-10, -4, 0, 4, 8, 20)),
    ("transit_ratio", (WITH_CARRIER,), (0, 1, 2, 4)),
    ("delivered_late_days", (DELIVERED,), (-25, -15, -8, -4, -1, 1, 3, 7, 15)),
    ("delivered_after_days", (DELIVERED,), (0, 4, 8, 15, 30)),
    ("since_delivered_days", (DELIVERED,), (0, 1, 3, 6)),
)
"""Span, the stages it counts in, and the borders of its pieces, in days (`transit_ratio`: in usual transits)."""

SHARES = (
    "complaints", "complaints_on_time", "late", "seller_complaints", "seller_complaints_on_time", "seller_late",
    "seller_ship_late", "lane_late", "category_complaints", "category_complaints_on_time",
)  # fmt: skip
USUAL = -2.0
"""Log odds of 0.12, of which shares are reckoned from."""
SHARE_MIN = 0.005
"""Shares are kept this far from 0 and 1: their log odds have no end."""

IF_BAD = {"seller_complaints": "seller_bad", "seller_complaints_on_time": "seller_bad_on_time"}
"""Shares of sellers, and how likely a seller is of the few bad ones. Those of ordinary sellers differ by chance more
than by anything else, and weigh little; those of bad ones say nearly all there is to say. So each is a number of its
own, and a share counts in either by that likelihood."""

GRACE_DAYS = 1.0
"""A promise is a day, named by its first instant."""


def _names() -> tuple[str, ...]:
    names = [f"stage {stage}" for stage in (WITH_SELLER, WITH_CARRIER, DELIVERED)]
    names += [
        f"{span} {low:g}…{high:g} in stage {stage}"
        for span, stages, borders in PIECES
        for stage in stages
        for low, high in pairwise(borders)
    ]
    for when in ("under way", "delivered"):
        names += [f"{what} {when}" for what in ("many sellers", "many items", "more than two items", "many products")]
        names += [f"{share} {when}" for share in SHARES]
    return (*names, "no items", "no items, days since the promise was made", BAD)


BAD = "bad seller or product"
NAMES = _names()
"""What each number of a vector is."""
MEANS = tuple(1.0 if name == BAD else 0.0 for name in NAMES)
"""What each weighs before anything was learned. The share of a bad seller is itself an estimate of the probability
sought, so it stands with weight one until it is known better: bad sellers are few, and a model that must first have
seen some to believe in them misses the first (an informative prior, as in empirical Bayes)."""


def vector(progress: Row, history: Row) -> list[float]:
    """Return the numbers of an order, by the two views of it."""
    stage = int(progress["stage"] or 0)
    transit, left, usual = progress["transit_days"], progress["left_days"], history["lane_transit_days"] or 1.0
    spans = {
        **progress,
        "lane_slack_days": None if transit is None or left is None else left + GRACE_DAYS + transit - usual,
        "transit_ratio": None if transit is None else transit / max(usual, 0.5),
    }
    numbers = [float(stage == each) for each in (WITH_SELLER, WITH_CARRIER, DELIVERED)]
    for span, stages, borders in PIECES:
        value = spans[span]
        for each in stages:
            if stage != each or value is None:
                numbers += [0.0] * (len(borders) - 1)
            else:
                numbers += [min(max((value - low) / (high - low), 0.0), 1.0) for low, high in pairwise(borders)]
    items, products = progress["items"] or 0.0, progress["products"] or 0.0
    basket = [
        float((progress["sellers"] or 0.0) > 1), float(items > 1), float(items > 2), float(products > 1),
        *((1 - (history[IF_BAD[share]] or 0.0) if share in IF_BAD else 1.0) * (_log_odds(history[share]) - USUAL)
          for share in SHARES),
    ]  # fmt: skip
    nothing = [0.0] * len(basket)
    numbers += nothing + basket if stage == DELIVERED else basket + nothing
    without = float(items == 0)
    waited = 0.0 if left is None else min(max(-left + 20, 0.0), 40.0) / 40
    of_bad = "seller_complaints_on_time" if stage == DELIVERED else "seller_complaints"
    return [
        *numbers,
        without,
        without * waited,
        (history[IF_BAD[of_bad]] or 0.0) * (_log_odds(history[of_bad]) - USUAL),
    ]


def _log_odds(share: float | None) -> float:
    kept = min(max(share or 0.0, SHARE_MIN), 1 - SHARE_MIN)
    return log(kept / (1 - kept))
