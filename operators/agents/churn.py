"""Subscribers who stop using what they pay for, and say nothing: they leave at the next renewal.

Use is held against the customer's own: what two weeks usually bring, and the least that two weeks ever brought. So who
always uses little, only on workdays, or goes away for a week every summer is none. Two weeks, because most holidays are
shorter, and renewals further apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from math import fsum
from statistics import median
from typing import Annotated

import msgspec
from msgspec import Meta

from config.clock import DAY, micros, to_text
from operators.agents.base import Features, Found, Verdict, View, day, earliest, hours
from operators.customer_state import Habit, Subscription, Terms

SILENT_CHURN = "usage.silent_churn"
BLOCK = 7
"""Days that are compared as one, so that weekends do not matter."""


class ChurnParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the rule goes by. In the manifest, spans are ISO 8601: `P1D`, `PT36H`."""

    weeks: Annotated[int, Meta(ge=1)] = 2
    """So many weeks of little use,"""
    history_weeks: Annotated[int, Meta(ge=2)] = 4
    """held against at least so many weeks before them."""
    share_max: Annotated[float, Meta(gt=0, lt=1)] = 0.2
    """Little is at most this share of what is usual,"""
    least_share_max: Annotated[float, Meta(gt=0, le=1)] = 0.5
    """and less than this share of the least that as many weeks ever brought."""
    back_share: Annotated[float, Meta(gt=0, le=1)] = 0.5
    """The customer is back when a week brings so large a share of the usual week."""
    quiet_for: timedelta = timedelta(days=14)
    """Who has spoken within this span is not silent."""
    confidence: Annotated[float, Meta(gt=0, le=1)] = 0.92


class Churn:
    """Judges the use of each product a customer pays for.

    Args:
        parameters: What the rule goes by.
    """

    def __init__(self, parameters: ChurnParameters) -> None:
        self._parameters = parameters
        self._quiet_for = micros(parameters.quiet_for)

    def look(self, view: View, agent: str) -> int | None:
        """Report customers who stopped using a product, and those who are back; see `CustomerAgent.look`."""
        again: int | None = None
        entity = f"customer:{view.customer}"
        for product, habit in view.journey.habits.items():
            terms = _paid_for(view.journey.subscriptions.values(), product, view.now)
            if SILENT_CHURN in habit.findings:
                why = self._why_over(habit, product, terms, view.now)
                if why:
                    view.end(agent, entity, habit, [SILENT_CHURN], view.now, why)
                continue
            if terms is None:
                continue
            verdict = self._judge(view, habit, product, terms)
            if isinstance(verdict, Found):
                view.report(agent, entity, habit, verdict)
            else:
                again = earliest(again, verdict)
        return again

    def _judge(self, view: View, habit: Habit, product: str, terms: Terms) -> Verdict:
        parameters = self._parameters
        # Full days only: the day at hand may bring more.
        today = view.now // DAY
        span = parameters.weeks * BLOCK
        if habit.since // DAY > today - span - parameters.history_weeks * BLOCK:
            return (habit.since // DAY + span + parameters.history_weeks * BLOCK) * DAY
        # Where nothing comes any more, the last measure grows old; else each low measure has the journey looked at.
        silent_at = (habit.seen_at // DAY + span + 1) * DAY
        again = silent_at if silent_at > view.now else None
        blocks = _blocks(habit, today - span)
        if len(blocks) < parameters.history_weeks:
            return again
        usual = median(blocks) * parameters.weeks
        least = _least(habit, today - span - len(blocks) * BLOCK, today - span, span)
        used = sum(value for number, value in habit.days.items() if today - span <= number < today)
        if usual <= 0 or used > parameters.share_max * usual or used >= parameters.least_share_max * least:
            return again
        spoke_at = max(
            (contact.at for contact in view.journey.contacts if contact.at > view.now - self._quiet_for), default=None
        )
        if spoke_at is not None:
            return spoke_at + self._quiet_for
        features: Features = {
            "product": product,
            "used": round(used, 3),
            "used_usual": round(usual, 3),
            "history_weeks": len(blocks),
            "usage_age_hours": hours(view.now - habit.seen_at),
        }
        renews_at = terms.renews_at if terms.renews_at is not None and terms.renews_at > view.now else None
        return Found(
            kind=SILENT_CHURN,
            occurrence=to_text((today - span) * DAY),
            severity="medium",
            confidence=parameters.confidence,
            harm_at=renews_at,
            money=terms.price,
            causes=[],
            queries=[],
            features=features,
            reason=f"This customer pays for {product} and used it {used:g} times in {parameters.weeks} weeks, "
            f"{usual:g} are usual, and has said nothing"
            + (f"; the subscription renews on {day(renews_at)}." if renews_at is not None else "."),
        )

    def _why_over(self, habit: Habit, product: str, terms: Terms | None, now: int) -> str:
        if terms is None:
            return f"The customer does not pay for {product} any more."
        today = now // DAY
        week = sum(value for number, value in habit.days.items() if today - BLOCK < number <= today)
        blocks = _blocks(habit, today - BLOCK)
        if blocks and week >= self._parameters.back_share * median(sorted(blocks)[len(blocks) // 2 :]):
            return f"The customer uses {product} again."
        return ""


def _least(habit: Habit, since: int, until: int, span: int) -> float:
    """Return the least use of any `span` days on end within the days [since, until)."""
    values = [habit.days.get(number, 0.0) for number in range(since, until)]
    return min(fsum(values[i : i + span]) for i in range(len(values) - span + 1))


def _paid_for(subscriptions: Iterable[Subscription], product: str, now: int) -> Terms | None:
    """Return the terms by which a product is paid for now; None if it is not."""
    for subscription in subscriptions:
        terms = subscription.at(now)
        if terms is not None and terms.active and terms.product in ("", product):
            return terms
    return None


def _blocks(habit: Habit, until: int) -> list[float]:
    """Return the use of each week before the day `until`, the newest first, as far back as it is known in full."""
    blocks: list[float] = []
    first = max(habit.since // DAY, min(habit.days, default=until))
    end = until
    while end - BLOCK >= first:
        blocks.append(sum(habit.days.get(number, 0.0) for number in range(end - BLOCK, end)))
        end -= BLOCK
    return blocks
