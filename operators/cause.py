"""The cause stage: many customers' findings fan in to one fleet case, a fleet finding fans out to its customers.

Key: the fleet entity (`service:…`, `lane:…`, `seller:…`). In: customers' findings that name the entity as a cause,
fleet findings about it, fleet findings about others that name it as their cause, and `touched` events that tell which
customers it served. Out, to the case stage: fleet findings by entity; `customer.touched_by_outage` by customer; `link`
events by customer or entity, with which their cases become part of the fleet case.

An *episode* lasts from the first fleet finding on the entity until all are resolved, and goes on when there is another
soon after. All ids derive from the finding that opened it, so that nothing is said twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from config.clock import TIME_MAX, micros, to_text
from config.duration import format_duration
from config.errors import RecoveryError
from config.events import Event
from config.findings import FLEET_AGENT, Finding, Severity, finding_id
from operators.case import entity_kind
from operators.cause_state import CauseSettings, CauseState, Episode
from operators.episode import EPISODE_END, EpisodeStep
from operators.fan_in import FanInSettings
from operators.fleet_watch import Watch
from operators.logic import Context

QUIET = "quiet"
WATCH = "watch:"
"""Timer of a watch; its name follows."""
FORGET = "forget"

DEFAULTS = CauseSettings(
    fan_in={
        "lane": FanInSettings(window=timedelta(days=3), customers_min=8, ratio=3.0),
        "seller": FanInSettings(window=timedelta(days=3), customers_min=5, ratio=3.0),
    }
)


class CauseLogic:
    """Tells fleet causes from customers' findings, and customers' troubles from fleet findings.

    Args:
        settings: How causes are told.
        watches: Who judges entities by what happens to them, each type of event by one of them at most.
        is_live: Whether findings of an agent and kind may lead to anything at an event time. What an agent finds that
            is off or in shadow counts for no cause, and no customer is told of it; no cause is found while causes are.
    """

    name = "cause"
    state_type = CauseState
    state_version = 1

    def __init__(
        self,
        settings: CauseSettings = DEFAULTS,
        watches: Sequence[Watch] = (),
        is_live: Callable[[str, str, int], bool] = lambda agent, kind, now: True,
    ) -> None:
        self.settings = settings
        self._is_live = is_live
        self._watches = {watch.name: watch for watch in watches}
        self._watch_of = {name: watch for watch in watches for name in watch.types}
        self._idle_ttl = micros(settings.idle_ttl)
        self.dedupe_ttl = micros(settings.dedupe_ttl)

    def new_state(self, key: str) -> CauseState:
        """Return the state of an entity never heard of."""
        return CauseState()

    def on_event(self, key: str, state: CauseState, event: Event, context: Context) -> None:
        """Handle a finding about the entity or one that names it, customers it touched, or what a watch takes note of.

        Raises:
            ValueError: the event is of another type: the stages are wired wrongly.
        """
        step = _Step(key, self.settings, state, context)
        if (watch := self._watch_of.get(event.type)) is not None:
            self._look_at(state, watch, watch.note(state, event), context)
        elif event.type == "touched":
            step.on_touched(event.data["customers"])
        elif event.type == "finding":
            finding = Finding.of(event)
            if not finding.resolves and not self._is_live(finding.agent, finding.kind, context.now):
                self._set_apart(key, state, finding, context)
                return
            if finding.customer:
                step.on_customer(finding, may_open=self._is_live(FLEET_AGENT, fan_in_kind(key), context.now))
            elif finding.entity != key:
                step.on_blamed(finding)
            else:
                step.on_fleet(finding)
        else:
            raise ValueError(f"stage {self.name} takes findings, touched and what watches note, not {event.type}")
        context.set_timer(FORGET, context.now + self._idle_ttl)

    def on_timer(self, key: str, state: CauseState, timer: str, context: Context) -> None:
        """Look whether it has become quiet, end what has lasted too long, or forget the entity."""
        step = _Step(key, self.settings, state, context)
        if timer == QUIET:
            step.look_for_quiet()
        elif timer == EPISODE_END:
            step.end_episode()
        elif timer.startswith(WATCH):
            watch = self._watches[timer.removeprefix(WATCH)]
            state.look_at.pop(watch.name, None)
            findings, again = watch.look(key, state, context.now)
            for finding in findings:
                if finding.resolves or self._is_live(finding.agent, finding.kind, context.now):
                    step.on_fleet(finding)
                else:
                    self._set_apart(key, state, finding, context)
            self._look_at(state, watch, again, context)
        elif state.episode is None:
            context.forget()
        else:
            context.set_timer(FORGET, context.now + self._idle_ttl)

    def _set_apart(self, key: str, state: CauseState, finding: Finding, context: Context) -> None:
        """Pass a finding on that nothing may come of, and be as if it had not been."""
        if not finding.customer and finding.entity == key:
            context.emit("case", finding.event(key))
        if state == CauseState():
            context.forget()

    def _look_at(self, state: CauseState, watch: Watch, at: int | None, context: Context) -> None:
        """Have `watch` look at an instant, unless it looks earlier anyway."""
        if at is not None and at < state.look_at.get(watch.name, TIME_MAX):
            state.look_at[watch.name] = at
            context.set_timer(WATCH + watch.name, at)

    def on_partial(self, key: str, state: CauseState, partial: Any, context: Context) -> None:
        """Refuse: causes are made of events alone.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"stage {self.name} takes no partials")

    def migrate(self, version: int, state: Any) -> CauseState:
        """Refuse: there is no older version.

        Raises:
            RecoveryError: always.
        """
        raise RecoveryError(
            f"stage {self.name}: recovered state is of version {version}, which was never released.",
            remedy="Start with a new store and recovery folder.",
        )


def fan_in_kind(key: str) -> str:
    """Return the kind of finding that an entity hurts unusually many customers."""
    return f"{entity_kind(key)}.degraded"


@dataclass(slots=True)
class _Step(EpisodeStep):
    """The fan-in of customers' findings, on top of episodes."""

    def on_customer(self, finding: Finding, *, may_open: bool) -> None:
        """Count a customer's finding that names this entity; find the entity at fault, where that may be."""
        if finding.resolves:
            return
        state, settings = self.state, self._fan_in_settings
        if settings is not None:
            fan_in = state.fan_in
            fan_in.count(finding, settings, self.context.now, learn=state.episode is None)
            if state.episode is None or not state.episode.fan_in:
                if may_open and fan_in.is_unusual(settings):
                    self._open_fan_in(settings)
            else:
                self._set_quiet(settings)
        if state.episode is not None:
            self.link(state.episode, finding.customer)

    def look_for_quiet(self) -> None:
        """Resolve the fan-in finding when no more customers are hurt than usual."""
        episode, settings = self.state.episode, self._fan_in_settings
        if episode is None or not episode.fan_in or settings is None:
            return
        self.state.fan_in.expire(settings, self.context.now)
        if self.state.fan_in.is_quiet(settings):
            self._resolve_fan_in(episode, settings, f"No more customers than usual are hurt by {self.key}.")
        else:
            self._set_quiet(settings)

    @property
    def _fan_in_settings(self) -> FanInSettings | None:
        return self.settings.fan_in.get(entity_kind(self.key))

    def _set_quiet(self, settings: FanInSettings) -> None:
        fan_in = self.state.fan_in
        if fan_in.customers:
            self.context.set_timer(QUIET, fan_in.oldest + micros(settings.window))

    def _open_fan_in(self, settings: FanInSettings) -> None:
        fan_in = self.state.fan_in
        count = fan_in.customers_count
        finding = self._fan_in_finding(
            settings,
            to_text(self.context.now),
            severity="high" if count >= 2 * fan_in.threshold(settings) else "medium",
            reason=f"{count} customers were hurt through {self.key} within {format_duration(settings.window)}; "
            f"{fan_in.usual:.0f} are usual.",
        )
        episode = self.open(finding)
        episode.fan_in = finding.occurrence
        for customer in sorted(fan_in.customers):
            self.link(episode, customer)
        self._set_quiet(settings)

    def _resolve_fan_in(self, episode: Episode, settings: FanInSettings, reason: str) -> None:
        finding = self._fan_in_finding(
            settings,
            f"{episode.fan_in} until {to_text(self.context.now)}",
            severity="low",
            reason=reason,
            resolves=True,
        )
        episode.fan_in = ""
        self.context.cancel_timer(QUIET)
        self.resolve(finding)

    def _fan_in_finding(
        self, settings: FanInSettings, occurrence: str, *, severity: Severity, reason: str, resolves: bool = False
    ) -> Finding:
        kind, fan_in = fan_in_kind(self.key), self.state.fan_in
        return Finding(
            finding_id=finding_id(FLEET_AGENT, kind, self.key, occurrence),
            agent=FLEET_AGENT,
            kind=kind,
            entity=self.key,
            occurrence=occurrence,
            at=self.context.now,
            severity=severity,
            confidence=fan_in.confidence(settings),
            money_at_risk=fan_in.money,
            resolves=resolves,
            evidence=fan_in.evidence(settings),
            reason=reason,
        )

    def end_episode(self) -> None:
        """End an episode whose end was never told; what it counted counts as usual from now on."""
        episode, settings = self.state.episode, self._fan_in_settings
        if episode is None:
            return
        reason = f"{self.key} has been in trouble so long that this counts as usual now."
        if episode.fan_in and settings is not None:
            self.state.fan_in.expire(settings, self.context.now)
            self.state.fan_in.adopt()
            self._resolve_fan_in(episode, settings, reason)
        if self.state.episode is not None:
            self.close(episode, reason, may_go_on=False)
        self.state.past = None
