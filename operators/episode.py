"""An episode of a fleet entity: what one event or timer does to it, and whom it tells.

Fleet findings pass on to the entity's case; customers the entity touched get a finding of their own, customers who
named it as a cause a link.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from config.clock import micros
from config.events import Event
from config.findings import DATA_QUALITY, TOUCHED_KIND, Evidence, Finding, finding_id
from config.identity import derived_id
from operators.case import CAUSE, OPENING, SEVERITIES, slot_of
from operators.case_state import LINK
from operators.cause_state import CauseSettings, CauseState, Episode, Past
from operators.logic import Context

EPISODE_END = "episode-end"


@dataclass(slots=True)
class EpisodeStep:
    """What one event or timer does to one entity."""

    key: str
    settings: CauseSettings
    state: CauseState
    context: Context

    # -- fleet findings --------------------------------------------------------------------------------------------

    def on_fleet(self, finding: Finding) -> None:
        """Pass a fleet finding on as part of the episode, and tell the customers the entity touched."""
        if finding.resolves:
            self.resolve(finding)
            return
        episode = self.open(finding)
        if episode.fleet is None or rank(finding) > rank(episode.fleet):
            episode.fleet = finding
        self._forget_untouched()
        self._fan_out(episode, sorted(self.state.touched))

    def open(self, finding: Finding) -> Episode:
        """Pass a fleet finding on, and return the episode it belongs to."""
        episode = self.state.episode
        if episode is None:
            episode = self.state.episode = self._begun(finding)
            self.context.set_timer(EPISODE_END, self.context.now + micros(self.settings.episode_max))
            for entity in sorted(self._blaming()):
                self.link(episode, entity)
        episode.open = sorted({*episode.open, slot_of(finding)})
        self._pass_on(finding, episode)
        return episode

    def _begun(self, finding: Finding) -> Episode:
        """Return the episode that the finding opens, or goes on with."""
        past, self.state.past = self.state.past, None
        if past is None or self.context.now - past.at >= micros(self.settings.reopen_within):
            return Episode(finding.finding_id)
        return Episode(past.opening, again=past.again + 1)

    def resolve(self, finding: Finding) -> None:
        """Pass the end of a fleet finding on; with the last open one the episode ends."""
        episode = self.state.episode
        self._pass_on(finding, episode)
        if episode is not None:
            episode.open = [slot for slot in episode.open if slot != slot_of(finding)]
            if not episode.open:
                self.close(episode, finding.reason)

    def _pass_on(self, finding: Finding, episode: Episode | None) -> None:
        if episode is not None:
            features = finding.evidence.features | {OPENING: episode.opening}
            finding = replace(finding, evidence=replace(finding.evidence, features=features))
        self.context.emit("case", finding.event(self.key))

    def close(self, episode: Episode, reason: str, *, may_go_on: bool = True) -> None:
        """End the episode, and tell everybody who was told of it."""
        for customer, fanned_out in sorted(episode.told.items()):
            if fanned_out and episode.fleet is not None:
                finding = self._touched_finding(episode, episode.fleet, customer, reason, resolves=True)
                self.context.emit("case", finding.event(customer))
            self._emit_link(episode, customer, "")
        self.state.episode = None
        self.state.past = Past(episode.opening, self.context.now, episode.again) if may_go_on else None
        # Whom this episode touched, the next one has not touched yet.
        self.state.touched = {}
        self.context.cancel_timer(EPISODE_END)

    # -- entities that name this one as their cause ------------------------------------------------------------------

    def on_blamed(self, finding: Finding) -> None:
        """Link the case of another entity, which names this one as its cause, to the case of this one."""
        blamed = self.state.blamed
        blamed.pop(finding.entity, None)
        if finding.resolves:
            return
        blamed[finding.entity] = self.context.now
        if self.state.episode is not None:
            self.link(self.state.episode, finding.entity)
        self.state.blamed = dict(list(self._blaming().items())[-self.settings.blamed_max :])

    def _blaming(self) -> dict[str, int]:
        since = self.context.now - micros(self.settings.blamed_for)
        return {entity: at for entity, at in self.state.blamed.items() if at > since}

    # -- customers -------------------------------------------------------------------------------------------------

    def on_touched(self, customers: list[str]) -> None:
        """Remember whom the entity served, and tell them while it is in trouble."""
        touched, now = self.state.touched, self.context.now
        for customer in customers:
            touched.pop(customer, None)
            touched[customer] = now
        self._forget_untouched()
        if self.state.episode is not None:
            self._fan_out(self.state.episode, sorted(customers))

    def _forget_untouched(self) -> None:
        since = self.context.now - micros(self.settings.touched_for)
        recent = [(customer, at) for customer, at in self.state.touched.items() if at >= since]
        self.state.touched = dict(recent[-self.settings.touched_max :])

    def _fan_out(self, episode: Episode, customers: list[str]) -> None:
        fleet = episode.fleet
        if fleet is None:
            return
        for customer in customers:
            if episode.told.get(customer) or not self._has_room(episode, customer):
                continue
            episode.told[customer] = True
            reason = f"Requests of this customer failed while {self.key} was in trouble: {fleet.reason}"
            finding = self._touched_finding(episode, fleet, customer, reason)
            self.context.emit("case", finding.event(customer))

    def _touched_finding(
        self, episode: Episode, fleet: Finding, customer: str, reason: str, *, resolves: bool = False
    ) -> Finding:
        entity, opened = f"customer:{customer}", " ".join((self.key, *_name(episode)))
        occurrence = f"{opened} end" if resolves else opened
        now = self.context.now
        features: dict[str, float | int | str | None] = {CAUSE: self.key, OPENING: episode.opening}
        if DATA_QUALITY in fleet.evidence.features:
            features[DATA_QUALITY] = fleet.evidence.features[DATA_QUALITY]
        return Finding(
            finding_id=finding_id(fleet.agent, TOUCHED_KIND, entity, occurrence),
            agent=fleet.agent,
            kind=TOUCHED_KIND,
            entity=entity,
            customer=customer,
            occurrence=occurrence,
            at=now,
            severity=fleet.severity,
            confidence=fleet.confidence,
            harm_at=None if resolves else now,
            causes=[self.key],
            resolves=resolves,
            evidence=Evidence(features=features | {"fleet_finding": fleet.finding_id}),
            reason=reason,
        )

    def link(self, episode: Episode, customer: str) -> None:
        """Tell a customer who was hurt through the entity that the entity has a case of its own."""
        if customer not in episode.told and self._has_room(episode, customer):
            episode.told[customer] = False
            self._emit_link(episode, customer, episode.opening)

    def _emit_link(self, episode: Episode, customer: str, opening: str) -> None:
        link_id = derived_id("link", self.key, *_name(episode), customer, opening)
        data = {"cause": self.key, "opening": opening}
        self.context.emit("case", Event(self.context.now, link_id, customer, LINK, data))

    def _has_room(self, episode: Episode, customer: str) -> bool:
        return customer in episode.told or len(episode.told) < self.settings.fan_out_max


def _name(episode: Episode) -> list[str]:
    """Return what tells an episode from others of its entity, and from itself before it went on."""
    return [episode.opening, *([str(episode.again)] if episode.again else [])]


def rank(finding: Finding) -> tuple[int, float]:
    """Return how much a fleet finding says: its severity, then its confidence."""
    return (SEVERITIES.index(finding.severity), finding.confidence)
