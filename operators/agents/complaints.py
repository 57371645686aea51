"""Products, sellers and lanes of which unusually many customers complain.

Counted is the share of customers who complain among all who are heard of within a week: a busy week brings more
complaints and more praise, and is no burst. What share is usual follows from the entity's own past and a prior of all
(`detectors/rates.py`); one customer is one voice, however often they speak.

A product that everybody complains of is heard of under its seller and its lanes too, and is no trouble of theirs. So
of a seller those products are set aside, and of a lane those sellers, that stand out from its others: what is left must
be a burst by itself. Where all do badly none stands out, and it is the lane.
"""

from __future__ import annotations

from datetime import timedelta
from math import exp
from typing import Annotated

import msgspec
from msgspec import Meta

from config.agents.load import Manifest
from config.clock import DAY, micros, to_text
from config.events import Event
from config.findings import Evidence, Finding
from detectors.rates import share_odds, share_tail
from operators.cause_state import CauseState
from operators.fleet_watch import SETTLE, fleet_finding
from operators.watch_state import Heard, Voice

AGENT, COMPLAINT_BURST = "experience", "complaint.burst"
HEARD = "heard"
"""Type of the event that tells what a customer says of a product, a seller or a lane."""
RECORDS_MAX = 20
CONFIDENCE_MAX = 0.97
"""Beyond this the model of voices is in doubt, not the voices."""
PARTS_MAX = 8
"""Products or sellers that one customer is remembered to speak of."""


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
    steadiness: Annotated[float, Meta(gt=0)] = 2.25
    """However long the past, this week's usual share is known no better than from so many complaints: shares move by a
    factor, with what happens to lanes and shop as a whole (2.25: by two thirds, give or take)."""
    past_max: Annotated[int, Meta(ge=1)] = 500
    """Customers of the past that count; beyond, all count half."""
    quiet_tail: Annotated[float, Meta(gt=0, lt=1)] = 0.05
    """The burst is over when the share is likelier than this again."""
    voices_max: Annotated[int, Meta(ge=8)] = 1_000
    """Customers remembered one by one."""
    part_tail: Annotated[float, Meta(gt=0, lt=1)] = 0.01
    """A product of a seller, or a seller of a lane, is set aside when its share is less likely than this, by others."""
    part_worth: Annotated[float, Meta(gt=0)] = 4.0
    """The usual share is worth so many of these others: they are few."""
    burst_share: Annotated[float, Meta(gt=0, lt=1)] = 0.03
    """Of the entities of which `customers_min` complain within the span so many have a burst: it starts from there."""


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
        parts = {*data["parts"], *(known.parts if known is not None else ())}
        voices[customer] = Voice(now, bad, tuple(data["record"]), tuple(sorted(parts)[:PARTS_MAX]))
        while len(voices) > self._parameters.voices_max:
            self._learn(heard, next(iter(voices)))
        return now + SETTLE if data["bad"] else None

    def look(self, key: str, state: CauseState, now: int) -> tuple[list[Finding], int | None]:
        """See `Watch.look`."""
        heard, parameters = state.heard, self._parameters
        if heard is None:
            return [], None
        self._expire(heard, now)
        if not heard.found and sum(voice.bad for voice in heard.voices.values()) < parameters.customers_min:
            return [], None
        usual_bad, usual_good = self._usual(heard)
        usual = usual_bad / (usual_bad + usual_good)
        voices = self._spread(list(heard.voices.values()), usual)
        bad, spoke = [voice for voice in voices if voice.bad], len(voices)
        share = len(bad) / max(spoke, 1)
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
            confidence=self._confidence(len(bad), spoke, usual_bad, usual_good),
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

    def _spread(self, voices: list[Voice], usual: float) -> list[Voice]:
        """Return the voices but those that speak of a part that stands out from the others, the worst part first."""
        while True:
            tally: dict[str, list[int]] = {}
            for voice in voices:
                for part in voice.parts:
                    count = tally.setdefault(part, [0, 0])
                    count[0] += voice.bad
                    count[1] += 1
            if not tally:
                return voices
            all_bad = sum(voice.bad for voice in voices)
            tail, worst = min((self._aside(count, all_bad, len(voices), usual), part) for part, count in tally.items())
            if tail > self._parameters.part_tail:
                return voices
            voices = [voice for voice in voices if worst not in voice.parts]

    def _aside(self, part: list[int], bad: int, spoke: int, usual: float) -> float:
        """Return how likely a part is to be complained of so much, as the others of the same entity are."""
        worth, (part_bad, part_spoke) = self._parameters.part_worth, part
        others_bad, others = bad - part_bad, spoke - part_spoke
        return share_tail(part_bad, part_spoke, usual * worth + others_bad, (1 - usual) * worth + others - others_bad)

    def _confidence(self, bad: int, spoke: int, usual_bad: float, usual_good: float) -> float:
        """Return the posterior of a burst, in which any share may complain, against the usual share."""
        odds = self._parameters.burst_share / (1 - self._parameters.burst_share)
        odds *= exp(share_odds(bad, spoke - bad, (1.0, 1.0), (usual_bad, usual_good)))
        return min(odds / (1 + odds), CONFIDENCE_MAX)

    def _next(self, heard: Heard) -> int | None:
        oldest = next(iter(heard.voices.values()), None)
        return None if oldest is None else oldest.at + self._within + SETTLE

    def _usual(self, heard: Heard) -> tuple[float, float]:
        parameters = self._parameters
        worth = parameters.usual_worth + heard.past
        usual = (parameters.usual_share * parameters.usual_worth + heard.past_bad) / worth
        worth = min(worth, parameters.steadiness / usual)
        return usual * worth, (1 - usual) * worth

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
