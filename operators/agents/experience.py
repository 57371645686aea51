"""Experience: orders whose customers will probably complain, whatever the reason.

The model that tells them is learned (`operators/risk.py`); here stand what it goes by and how a person is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from config.clock import micros, to_text
from config.findings import Evidence, Finding, finding_id
from config.money import MONEY_SCALE
from detectors.classifier import RecursiveLogisticParameters
from operators.agents.base import Features, day
from operators.features.order_progress import DELIVERED, Row
from operators.features.vector import NAMES

AGENT, KIND = "experience", "order.complaint_likely"
REASONS_MAX = 3

Share = Annotated[float, Meta(ge=0, le=1)]


class ComplaintRiskParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the model goes by. In the manifest, spans are ISO 8601: `P60D`."""

    threshold: Share = 0.35
    """Probability of a complaint from which a finding is made, once the promise has passed."""
    early_margin: Share = 0.35
    """So much more is asked for while the promise can still be kept: waiting costs little then, and tells much."""
    delivered_margin: Annotated[float, Meta(ge=-1, le=1)] = -0.05
    """So much more (less, where negative) is asked for once it is delivered: complaints come within days."""
    early_until: timedelta = timedelta(days=1)
    """From so long after the promised day began, the promise has passed."""
    complaints_min: Annotated[int, Meta(ge=1)] = 50
    """Complaints to learn from before it speaks."""
    label_within: timedelta = timedelta(days=60)
    """A customer who has said nothing so long after promise and first checkpoint has not complained, for good."""
    silent_after: timedelta = timedelta(days=7)
    """One who has said nothing so long after the delivery counts as content: nearly all who complain have by then, and
    if one does later the example is corrected."""
    pending_max: Annotated[int, Meta(ge=1)] = 4_000
    """Orders remembered until their customers answer; of more, an even sample."""
    entities_max: Annotated[int, Meta(ge=1)] = 10_000
    """Sellers, lanes and categories whose history is kept."""
    prior: Annotated[float, Meta(gt=0)] = 0.5
    """Variance of each weight before anything was learned."""

    @property
    def learner(self) -> RecursiveLogisticParameters:
        """How the model learns."""
        return RecursiveLogisticParameters(prior=self.prior)

    @property
    def label_us(self) -> int:
        """`label_within` in microseconds."""
        return micros(self.label_within)

    @property
    def silent_us(self) -> int:
        """`silent_after` in microseconds."""
        return micros(self.silent_after)

    def needed(self, progress: Row) -> float:
        """Return the probability from which an order is reported at this stage of its life."""
        if progress["stage"] == DELIVERED:
            return self.threshold + self.delivered_margin
        left = progress["left_days"]
        passed = left is not None and -left >= self.early_until / timedelta(days=1)
        return self.threshold + (0.0 if passed else self.early_margin)


@dataclass(frozen=True, slots=True)
class Judged:
    """What the model says of an order at one checkpoint."""

    probability: float
    numbers: list[float]
    contributions: list[float]
    """Of each number to the log odds."""
    progress: Row
    history: Row
    model_hash: str


def finding_of(data: dict[str, Any], occurrence: str, now: int, judged: Judged, passes_after: timedelta) -> Finding:
    """Return the finding on the order that a checkpoint's `data` tells of; its promise, a day named by its first
    instant, passes after a while."""
    order, probability = data["order"], round(judged.probability, 4)
    entity, promised_at = f"order:{data['order']}", data["promised_at"]
    passes_at = None if promised_at is None or data["delivered"] else promised_at + micros(passes_after)
    records = []
    for channel, offset in data["records"]:
        topic, _, partition = channel.rpartition("/")
        records.append((topic, int(partition), offset))
    features: Features = {**judged.progress, **judged.history, "model": judged.model_hash}
    why = ", ".join(reasons(judged)) or "orders like it often do"
    return Finding(
        finding_id=finding_id(AGENT, KIND, entity, occurrence, data["customer"], data["since"]),
        agent=AGENT,
        kind=KIND,
        entity=entity,
        customer=data["customer"],
        occurrence=occurrence,
        at=now,
        severity="medium",
        confidence=probability,
        harm_at=passes_at if passes_at is not None and passes_at > now else None,
        money_at_risk=data["money"] / MONEY_SCALE,
        causes=[*data["sellers"], *data["lanes"]],
        evidence=Evidence(records=records, features=features),
        reason=f"The customer of order {order} will probably complain (chance {probability:.0%}): {why}.",
    )


def end_of(order: str, customer: str, since: int, occurrence: str, causes: list[str], now: int, why: str) -> Finding:
    """Return the end of the finding that was made on `order`."""
    entity, until = f"order:{order}", f"{occurrence} until {to_text(now)}"
    return Finding(
        finding_id=finding_id(AGENT, KIND, entity, until, customer, since),
        agent=AGENT,
        kind=KIND,
        entity=entity,
        customer=customer,
        occurrence=until,
        at=now,
        severity="low",
        confidence=1.0,
        causes=causes,
        resolves=True,
        reason=f"No complaint of order {order} is awaited any more since {day(now)}: {why}.",
    )


WORDS = (
    ("left_days", "little time is left until the promise, or it has passed"),
    ("ship_overdue_days", "it is or was handed over late"),
    ("transit_days", "it has been with the carrier for long"),
    ("lane_slack_days", "the lane is slow for what is left"),
    ("transit_ratio", "it has been under way for longer than others of its lane"),
    ("delivered_late_days", "it came late"),
    ("delivered_after_days", "it took long"),
    ("since_delivered_days", "the customer has been silent since the delivery"),
    ("many sellers", "several sellers ship a part each"),
    ("many items", "it has several items"),
    ("more than two items", "it has several items"),
    ("many products", "it has different products"),
    ("seller", "its seller's orders do badly of late"),
    ("bad seller or product", "most customers of its seller, or of this product, complain"),
    ("lane_late", "its lane is often late"),
    ("category", "its category draws complaints"),
    ("no items", "the shop lists no item of it"),
    ("complaints", "complaints are frequent of late"),
    ("late", "orders are often late of late"),
)
"""What to say of a number, by the beginning of its name."""


def reasons(judged: Judged) -> list[str]:
    """Return what speaks most for a complaint, the strongest first, in words."""
    strength: dict[str, float] = {}
    for name, part in zip(NAMES, judged.contributions, strict=True):
        words = next((words for start, words in WORDS if name.startswith(start)), "")
        if words:
            strength[words] = strength.get(words, 0.0) + part
    ranked = sorted(((part, words) for words, part in strength.items() if part > 0.1), reverse=True)
    return [words for _, words in ranked[:REASONS_MAX]]
