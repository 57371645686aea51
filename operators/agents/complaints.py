"""Products, sellers and lanes of which unusually many customers complain.

Counted is the share of customers who complain among all who are heard of within a week: a busy week brings more
complaints and more praise, and is no burst. What share is usual follows from the entity's own past and a prior of all
(`detectors/rates.py`); one customer is one voice, however often they speak.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from config.agents.load import Manifest
from config.clock import DAY, micros, to_text
from config.events import Event
from config.findings import Evidence, Finding
from detectors.rates import share_tail
from operators.cause_state import CauseState
from operators.fleet_watch import SETTLE, fleet_finding
from operators.watch_state import Heard, Voice

AGENT, COMPLAINT_BURST = "experience", "complaint.burst"
HEARD = "heard"
"""Type of the event that tells what a customer says of a product, a seller or a lane."""
RECORDS_MAX = 20


class BurstParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the rule goes by. In the manifest, spans are ISO 8601: `P1D`, `PT36H`."""

    within: timedelta = timedelta(days=7)
    """Customers heard within this span are looked at together."""
    customers_min: Annotated[int, Meta(ge=2)] = 4
    """Fewer customers who complain are never a burst,"""
    ratio_min: Annotated[float, Meta(ge=1)] = 2.5
    """nor is a share below so many times the usual one,"""
    tail_max: Annotated[float, Meta(gt=0, lt=1)] = 0.0003
    """nor one that is likelier than this."""
    usual_share: Annotated[float, Meta(gt=0, lt=1)] = 0.15
    """The share of entities of which nothing is known,"""
    usual_worth: Annotated[float, Meta(gt=0)] = 50.0
    """which is worth so many customers heard."""
    past_max: Annotated[int, Meta(ge=1)] = 500
    """Customers of the past that count; beyond, all count half."""
    quiet_tail: Annotated[float, Meta(gt=0, lt=1)] = 0.05
    """The burst is over when the share is likelier than this again."""
    voices_max: Annotated[int, Meta(ge=8)] = 1_000
    """Customers remembered one by one."""


class BurstWatch:
    """Watches what customers say of one product, seller or lane.

    Args:
        parameters: What the rule goes by.
    """

    name = "complaint-burst"
    types = frozenset({HEARD})

    def __init__(self, parameters: BurstParameters) -> None:
        self._parameters = parameters
        self._within = micros(parameters.within)

    @classmethod
    def of(cls, manifest: Manifest) -> BurstWatch:
        """Return the watch with the parameters of its manifest's entry `complaint_burst`.

        Raises:
            SettingsError: a parameter is unknown, of the wrong type or out of bounds.
        """
        return cls(manifest.parameters("complaint_burst", BurstParameters))

    def note(self, state: CauseState, event: Event) -> int | None:
        """See `Watch.note`."""
        heard, data, now = state.heard, event.data, event.at
        if heard is None:
            heard = state.heard = Heard()
        self._expire(heard, now)
        voices, customer = heard.voices, data["customer"]
        known = voices.pop(customer, None)
        # Who complained has complained, whatever they say after.
        bad = data["bad"] or (known is not None and known.bad)
        voices[customer] = Voice(now, bad, tuple(data["record"]))
        while len(voices) > self._parameters.voices_max:
            self._learn(heard, next(iter(voices)))
        return now + SETTLE if data["bad"] else None

    def look(self, key: str, state: CauseState, now: int) -> tuple[list[Finding], int | None]:
        """See `Watch.look`."""
        heard, parameters = state.heard, self._parameters
        if heard is None:
            return [], None
        self._expire(heard, now)
        bad = [voice for voice in heard.voices.values() if voice.bad]
        spoke, usual_bad, usual_good = len(heard.voices), *self._usual(heard)
        share, usual = len(bad) / max(spoke, 1), usual_bad / (usual_bad + usual_good)
        tail = share_tail(len(bad), spoke, usual_bad, usual_good)
        again = self._next(heard)
        if heard.found:
            if tail < parameters.quiet_tail and bad:
                return [], again
            return [self._end(key, heard, now)], None
        if len(bad) < parameters.customers_min or share < parameters.ratio_min * usual or tail > parameters.tail_max:
            return [], None
        heard.found = to_text(now)
        kind, _, name = key.partition(":")
        finding = fleet_finding(
            AGENT,
            COMPLAINT_BURST,
            key,
            heard.found,
            now,
            severity="high" if share > 0.5 else "medium",
            confidence=min(max(1 - usual / share, 0.5), 0.95),
            evidence=Evidence(
                records=[voice.record for voice in bad[-RECORDS_MAX:]],
                features={
                    "customers": len(bad),
                    "customers_heard": spoke,
                    "share_usual": round(usual, 4),
                    "window_days": self._within / DAY,
                },
            ),
            reason=f"{len(bad)} of {spoke} customers heard within {self._within // DAY} days complain of {kind} "
            f"{name}; {usual:.0%} are usual.",
        )
        return [finding], again

    def _next(self, heard: Heard) -> int | None:
        oldest = next(iter(heard.voices.values()), None)
        return None if oldest is None else oldest.at + self._within + SETTLE

    def _usual(self, heard: Heard) -> tuple[float, float]:
        parameters = self._parameters
        bad = parameters.usual_share * parameters.usual_worth + heard.past_bad
        return bad, parameters.usual_worth + heard.past - bad

    def _expire(self, heard: Heard, now: int) -> None:
        voices = heard.voices
        while voices and (oldest := next(iter(voices.items())))[1].at <= now - self._within:
            self._learn(heard, oldest[0])

    def _learn(self, heard: Heard, customer: str) -> None:
        """Let a customer become part of what is usual, unless in a burst: that is not usual."""
        voice = heard.voices.pop(customer)
        if heard.found:
            return
        heard.past += 1
        heard.past_bad += voice.bad
        if heard.past > self._parameters.past_max:
            heard.past, heard.past_bad = heard.past // 2, heard.past_bad // 2

    def _end(self, key: str, heard: Heard, now: int) -> Finding:
        occurrence, heard.found = f"{heard.found} until {to_text(now)}", ""
        # What is left of the burst is not to be learned as usual either.
        heard.voices = {customer: voice for customer, voice in heard.voices.items() if not voice.bad}
        return fleet_finding(
            AGENT, COMPLAINT_BURST, key, occurrence, now, severity="low", confidence=1.0, evidence=Evidence(),
            reason="No more customers than usual complain.", resolves=True,
        )  # fmt: skip
