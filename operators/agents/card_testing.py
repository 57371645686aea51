"""Stolen cards being tried out on one account: many different ones fail within a short time.

A customer whose card is refused tries again: the same order, perhaps as a new one, the same amount, the same card or
the next of two or three. So tries of one order by one instrument count once, and it takes either more instruments than
people carry, or different amounts, to be a test.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from config.clock import micros, to_text
from operators.agents.base import Features, Found, Verdict, View, hours
from operators.customer_state import Attempt, Wallet

CARD_TESTING = "payment.card_testing"


class CardTestingParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the rule goes by. In the manifest, spans are ISO 8601: `P1D`, `PT36H`."""

    within: timedelta = timedelta(hours=1)
    """Attempts within this span are looked at together."""
    targets_min: Annotated[int, Meta(ge=2)] = 5
    """So many orders or instruments have to fail, however often each was tried,"""
    different_min: Annotated[int, Meta(ge=2)] = 4
    """by so many different instruments, or in so many different amounts."""
    failed_share_min: Annotated[float, Meta(gt=0, le=1)] = 0.5
    """And so large a share of all attempts has to fail."""
    quiet_after: timedelta = timedelta(days=1)
    """It is over when nothing failed for so long."""
    confidence: Annotated[float, Meta(gt=0, le=1)] = 0.93


class CardTesting:
    """Judges a customer's failed payments.

    Args:
        parameters: What the rule goes by.
    """

    def __init__(self, parameters: CardTestingParameters) -> None:
        self._parameters = parameters
        self._within = micros(parameters.within)
        self._quiet_after = micros(parameters.quiet_after)

    def look(self, view: View, agent: str, wallet: Wallet) -> int | None:
        """Report a test, or its end; see `CustomerAgent.look`."""
        entity = f"customer:{view.customer}"
        failed_at = max((attempt.at for attempt in wallet.attempts if attempt.failed), default=None)
        if failed_at is None:
            return None
        over_at = failed_at + self._quiet_after
        if view.now > over_at:
            view.end(agent, entity, wallet, [CARD_TESTING], over_at, "No payment of this customer failed for a day.")
            return None
        if CARD_TESTING in wallet.findings:
            return over_at
        verdict = self._judge(wallet, failed_at)
        if isinstance(verdict, Found):
            view.report(agent, entity, wallet, verdict)
            return over_at
        return verdict

    def _judge(self, wallet: Wallet, until: int) -> Verdict:
        recent = [attempt for attempt in wallet.attempts if until - self._within < attempt.at <= until]
        failed = [attempt for attempt in recent if attempt.failed]
        if not self._is_test(recent, failed):
            return None
        instruments = {attempt.instrument for attempt in failed if attempt.instrument}
        amount = sum(attempt.amount for attempt in recent)
        features: Features = {
            "failed": len(failed),
            "attempts": len(recent),
            "instruments": len(instruments),
            "within_hours": hours(self._within),
        }
        cards = f" with {len(instruments)} different cards" if instruments else ""
        return Found(
            kind=CARD_TESTING,
            occurrence=to_text(failed[0].at),
            severity="high",
            confidence=self._parameters.confidence,
            harm_at=None,
            money=amount,
            causes=[],
            queries=[],
            features=features,
            reason=f"{len(failed)} of {len(recent)} payments of this customer failed within "
            f"{hours(self._within):g} h{cards}; this is how stolen cards are tried out.",
        )

    def _is_test(self, recent: list[Attempt], failed: list[Attempt]) -> bool:
        parameters = self._parameters
        targets = {(attempt.order_id, attempt.instrument) for attempt in failed}
        if len(targets) < parameters.targets_min or len(failed) < parameters.failed_share_min * len(recent):
            return False
        instruments = {attempt.instrument for attempt in failed if attempt.instrument}
        amounts = {attempt.amount for attempt in failed}
        return max(len(instruments), len(amounts)) >= parameters.different_min
