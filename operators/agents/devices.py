"""Stolen cards being tried out across accounts: one device, or one card, fails for many customers within an hour.

A family's tablet and a terminal in a shop serve many customers, too, but most of their payments succeed, and did so
before. So it takes customers whose payments fail, a majority that fails, and more failures than successes ever.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from config.agents.load import Manifest
from config.clock import micros, to_text
from config.events import Event
from config.findings import Evidence, Finding
from config.money import MONEY_SCALE
from operators.agents.base import hours
from operators.agents.card_testing import CARD_TESTING
from operators.cause_state import CauseState
from operators.fleet_watch import SETTLE, fleet_finding
from operators.watch_state import Tries, Try

AGENT = "fraud"
TRIED = "tried"
"""Type of the event that tells of an attempt to pay from a device, or with an instrument."""
RECORDS_MAX = 20


class SharedCardsParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the rule goes by. In the manifest, spans are ISO 8601: `P1D`, `PT36H`."""

    within: timedelta = timedelta(hours=1)
    """Attempts within this span are looked at together."""
    customers_min: Annotated[int, Meta(ge=2)] = 4
    """The payments of so many customers have to fail,"""
    failed_share_min: Annotated[float, Meta(gt=0, le=1)] = 0.5
    """and so large a share of all attempts."""
    quiet_after: timedelta = timedelta(days=1)
    """It is over when nothing failed for so long."""
    tries_max: Annotated[int, Meta(ge=8)] = 64
    """Attempts remembered."""
    confidence: Annotated[float, Meta(gt=0, le=1)] = 0.95


class SharedCardsWatch:
    """Watches the attempts to pay from one device, or with one instrument.

    Args:
        parameters: What the rule goes by.
    """

    name = "shared-cards"
    types = frozenset({TRIED})

    def __init__(self, parameters: SharedCardsParameters) -> None:
        self._parameters = parameters
        self._within = micros(parameters.within)
        self._quiet_after = micros(parameters.quiet_after)

    @classmethod
    def of(cls, manifest: Manifest) -> SharedCardsWatch:
        """Return the watch with the parameters of its manifest's entry `shared_cards`.

        Raises:
            SettingsError: a parameter is unknown, of the wrong type or out of bounds.
        """
        return cls(manifest.parameters("shared_cards", SharedCardsParameters))

    def note(self, state: CauseState, event: Event) -> int | None:
        """See `Watch.note`."""
        tries, data = state.tries, event.data
        if tries is None:
            tries = state.tries = Tries()
        failed = data["failed"]
        tries.tries.append(Try(event.at, data["customer"], failed, data["amount"], tuple(data["record"])))
        del tries.tries[: -self._parameters.tries_max]
        if not failed:
            tries.paid += 1
        return event.at + SETTLE if failed else None

    def look(self, key: str, state: CauseState, now: int) -> tuple[list[Finding], int | None]:
        """See `Watch.look`."""
        tries = state.tries
        failed_at = max((each.at for each in tries.tries if each.failed), default=None) if tries is not None else None
        if tries is None or failed_at is None:
            return [], None
        over_at = failed_at + self._quiet_after
        if tries.found:
            if now <= over_at:
                return [], over_at + SETTLE
            return [self._end(key, tries, now)], None
        recent = [each for each in tries.tries if failed_at - self._within < each.at <= failed_at]
        failed = [each for each in recent if each.failed]
        customers = {each.customer for each in failed}
        parameters = self._parameters
        if (
            len(customers) < parameters.customers_min
            or len(failed) < parameters.failed_share_min * len(recent)
            or len(failed) < tries.paid
        ):
            return [], None
        tries.found = to_text(failed[0].at)
        kind, _, name = key.partition(":")
        finding = fleet_finding(
            AGENT,
            CARD_TESTING,
            key,
            tries.found,
            now,
            severity="high",
            confidence=parameters.confidence,
            money=sum(each.amount for each in recent) / MONEY_SCALE,
            evidence=Evidence(
                records=[each.record for each in failed[-RECORDS_MAX:]],
                features={"customers": len(customers), "failed": len(failed), "attempts": len(recent)},
            ),
            reason=f"Payments of {len(customers)} customers by {kind} {name} failed within {hours(self._within):g} h, "
            f"{len(failed)} of {len(recent)} in all; this is how stolen cards are tried out.",
        )
        return [finding], over_at + SETTLE

    def _end(self, key: str, tries: Tries, now: int) -> Finding:
        occurrence, tries.found = f"{tries.found} until {to_text(now)}", ""
        return fleet_finding(
            AGENT, CARD_TESTING, key, occurrence, now, severity="low", confidence=1.0, evidence=Evidence(),
            reason="No payment failed here for a day.", resolves=True,
        )  # fmt: skip
