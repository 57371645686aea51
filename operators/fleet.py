"""The fleet stage: what services say of themselves becomes incidents, each blamed on one service.

Key: the fleet; there is one. In: from the telemetry stage, of every service and pane, the evidence of its signs
(`vitals`), what its own detectors found (`finding`: drafts, for a service cannot know what the others go through) and
whom it touched. Out, to the cause stage: findings by the service to blame, and whom others of its incident touched.

All services speak of a pane at the instant of its end; a timer just after it judges them together, so that their
order does not matter. Services that turn bad at about the same time, or because they call the one that is to blame, are
one incident. Its finding names the suspect that `operators/blame.py` ranks first; where that is not likely enough, the
agent waits a pane, and then names the service where the trouble shows, and says that the cause is open.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from config.clock import MINUTE, to_text
from config.errors import RecoveryError
from config.events import Event
from config.findings import Evidence, Finding, finding_id
from config.services.load import ServiceMap
from operators.agents.outage import AGENT, FAILING, OWN_WEIGHT
from operators.blame import Suspect, rank
from operators.fleet_state import FleetState, Incident, Vital, slot
from operators.fleet_touched import TOUCHED, note, passed_on
from operators.logic import Context

JUDGE = "judge"
SERVICE = "service:"
INCIDENTS_MAX = 100
"""Incidents under way, at most; then the oldest is no longer waited for."""


class FleetRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How incidents are told: the rule `fleet` of the manifest."""

    window_minutes: int
    """Panes that blame looks at, counted back from now."""
    share_min: float
    """A suspect must be at least so likely to be blamed at once …"""
    patience_minutes: int
    """… or so long after the incident opened, at the latest, the agent says what it has …"""
    abstain_below: float
    """… and names no cause if its first suspect is less likely than this."""
    join_minutes: int
    """Services that turn bad so long after an incident opened belong to it."""


class FleetLogic:
    """Groups what services say into incidents, and names the one to blame.

    Args:
        rule: How.
        calls: Who calls whom.
    """

    name = "fleet"
    state_type = FleetState
    state_version = 1
    dedupe_ttl = 0

    def __init__(self, rule: FleetRule, calls: ServiceMap) -> None:
        self._rule = rule
        self._calls = calls

    def new_state(self, key: str) -> FleetState:
        """Return the state of a fleet never heard of."""
        return FleetState()

    def on_event(self, key: str, state: FleetState, event: Event, context: Context) -> None:
        """Note what a service says, to be judged when all have spoken.

        Raises:
            ValueError: the event is of another type: the stages are wired wrongly.
        """
        if event.type == "vitals":
            self._note(state, event.data["service"], event.data["signs"], context.now)
        elif event.type == "finding":
            state.pending.append(Finding.of(event))
        elif event.type == TOUCHED:
            note(state, event)
        else:
            raise ValueError(f"stage {self.name} takes vitals, findings and touched, not {event.type}")
        if state.pending or any(event.type == TOUCHED or not incident.told for incident in state.incidents):
            context.set_timer(JUDGE, context.now + 1)

    def on_timer(self, key: str, state: FleetState, timer: str, context: Context) -> None:
        """Judge the pane that has just ended."""
        pending, state.pending = sorted(state.pending, key=lambda draft: (slot(draft), draft.finding_id)), []
        for draft in pending:
            if draft.resolves:
                self._resolve(state, draft, context)
        fresh: list[Finding] = []
        for draft in pending:
            if draft.resolves:
                continue
            incident = self._incident_of(state, draft, context.now)
            if incident is None:
                fresh.append(draft)
                continue
            incident.drafts.append(draft)
            incident.open.append(slot(draft))
            if incident.told:
                self._revise(state, incident, draft, context)
        if fresh:
            state.incidents.append(Incident(context.now - 1, fresh, [slot(draft) for draft in fresh]))
            del state.incidents[:-INCIDENTS_MAX]
        for incident in state.incidents:
            if not incident.told:
                self._tell(state, incident, context)
            for event in passed_on(state, incident, context.now):
                context.emit("cause", event)
        since = context.now - self._rule.window_minutes * MINUTE
        state.vitals = {service: of for service, of in state.vitals.items() if of[-1].at > since}

    def on_partial(self, key: str, state: FleetState, partial: Any, context: Context) -> None:
        """Refuse: incidents are made of events alone.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"stage {self.name} takes no partials")

    def migrate(self, version: int, state: Any) -> FleetState:
        """Refuse: there is no older version.

        Raises:
            RecoveryError: always.
        """
        raise RecoveryError(
            f"stage {self.name}: recovered state is of version {version}, which was never released.",
            remedy="Start with a new store and recovery folder.",
        )

    def _note(self, state: FleetState, service: str, signs: dict[str, float], now: int) -> None:
        since = now - self._rule.window_minutes * MINUTE
        vitals = [vital for vital in state.vitals.get(service, ()) if vital.at > since]
        if vitals and vitals[-1].at == now:
            # A service whose types of measures have panes of several lengths speaks more than once: signs are apart.
            vitals[-1] = Vital(now, vitals[-1].signs | signs)
        else:
            vitals.append(Vital(now, signs))
        state.vitals[service] = vitals

    def _incident_of(self, state: FleetState, draft: Finding, now: int) -> Incident | None:
        """Return the incident that a draft belongs to, None when it is the first of one."""
        for incident in reversed(state.incidents):
            if now <= incident.opened + self._rule.join_minutes * MINUTE:
                return incident
            if any(draft.entity == other.entity for other in (*incident.drafts, *incident.told)):
                return incident
            if any(self._calls.depends(_name(draft.entity), _name(told.entity)) for told in incident.told):
                return incident
        return None

    def _revise(self, state: FleetState, incident: Incident, draft: Finding, context: Context) -> None:
        """Say what a later draft adds: that the service to blame fails by now, or that another one is to blame."""
        told = {(each.entity, each.kind) for each in incident.told}
        if any(entity == draft.entity for entity, _ in told):
            if draft.kind == FAILING and (draft.entity, FAILING) not in told:
                self._emit(incident, draft, context)
            return
        confirmed = any(_own(other) for other in incident.drafts if any(entity == other.entity for entity, _ in told))
        if _own(draft) and not confirmed:
            # What was blamed shows nothing itself, and this one does.
            suspects = self._suspects(state, incident, context.now)
            if suspects and SERVICE + suspects[0].service == draft.entity:
                self._emit(incident, _found(draft, draft.entity, incident.drafts, suspects, draft.reason), context)

    def _resolve(self, state: FleetState, draft: Finding, context: Context) -> None:
        """End an incident with the last of its drafts."""
        for incident in state.incidents:
            if slot(draft) not in incident.open:
                continue
            incident.open.remove(slot(draft))
            if not incident.open:
                state.incidents.remove(incident)
                for told in incident.told:
                    occurrence = f"{told.occurrence} until {to_text(draft.at)}"
                    over = msgspec.structs.replace(
                        draft,
                        finding_id=finding_id(AGENT, told.kind, told.entity, occurrence),
                        kind=told.kind,
                        entity=told.entity,
                        occurrence=occurrence,
                        at=context.now,
                        reason=draft.reason
                        if draft.entity == told.entity
                        else f"{draft.reason} With it, the trouble of {_named(told.entity)} counts as over.",
                    )
                    _pass_on(over, context)
            return
        # It was found before there was a fleet stage, by the service itself.
        over = msgspec.structs.replace(draft, at=context.now)
        _pass_on(over, context)

    def _tell(self, state: FleetState, incident: Incident, context: Context) -> None:
        """Say what is found, once it is clear enough whom to blame, or has waited long enough."""
        suspects = self._suspects(state, incident, context.now)
        first = suspects[0] if suspects else None
        waited = context.now - 1 - incident.opened >= self._rule.patience_minutes * MINUTE
        if first is not None and first.share < self._rule.share_min and not waited:
            return
        shown = _worst(incident.drafts)
        if first is None or first.share < self._rule.abstain_below:
            finding = _found(shown, shown.entity, incident.drafts, suspects, f"{shown.reason}{_open(suspects)}")
        else:
            blamed = SERVICE + first.service
            own = [draft for draft in incident.drafts if draft.entity == blamed]
            base = _worst(own) if own else shown
            reason = (
                base.reason if own else f"{_named(blamed)} is most likely at fault. It shows elsewhere: {base.reason}"
            )
            finding = _found(base, blamed, incident.drafts, suspects, reason)
        self._emit(incident, finding, context)

    def _suspects(self, state: FleetState, incident: Incident, now: int) -> list[Suspect]:
        since = now - 1 - self._rule.window_minutes * MINUTE
        panes = {
            service: [vital.signs for vital in vitals if vital.at > since] for service, vitals in state.vitals.items()
        }
        flagged: dict[str, float] = {}
        for draft in incident.drafts:
            flagged[_name(draft.entity)] = max(_own(draft), flagged.get(_name(draft.entity), 0.0))
        return rank({service: of for service, of in panes.items() if of}, self._calls, flagged)

    def _emit(self, incident: Incident, finding: Finding, context: Context) -> None:
        occurrence = incident.told[0].occurrence if incident.told else finding.occurrence
        made = msgspec.structs.replace(
            finding,
            finding_id=finding_id(AGENT, finding.kind, finding.entity, occurrence),
            occurrence=occurrence,
            at=context.now,
        )
        incident.told.append(made)
        _pass_on(made, context)


def _pass_on(finding: Finding, context: Context) -> None:
    for key in sorted({finding.entity, *finding.causes}):
        context.emit("cause", finding.event(key))


def _own(draft: Finding) -> float:
    """Return the weight of the signs that are the service's own."""
    return float(draft.evidence.features.get(OWN_WEIGHT) or 0.0)


def _worst(drafts: Iterable[Finding]) -> Finding:
    return max(drafts, key=lambda draft: (draft.kind == FAILING, draft.confidence, draft.entity))


def _found(base: Finding, entity: str, drafts: list[Finding], suspects: list[Suspect], reason: str) -> Finding:
    """Return the finding on `entity`, with the evidence of all services that show the trouble."""
    queries = list(base.evidence.queries)
    for draft in drafts:
        queries += [query for query in draft.evidence.queries if query not in queries]
    features = dict(base.evidence.features)
    others = sorted({draft.entity for draft in drafts} - {entity})
    if others:
        features["shows_at"] = ", ".join(others)
        reason = f"{reason} It shows at {', '.join(map(_name, others))} too." if base.entity == entity else reason
    if len(suspects) > 1:
        features["blame_share"] = round(suspects[0].share, 4)
        features["suspects"] = ", ".join(suspect.service for suspect in suspects[:3])
    return msgspec.structs.replace(
        base, entity=entity, evidence=Evidence(queries=queries, features=features), reason=reason
    )


def _open(suspects: list[Suspect]) -> str:
    named = ", ".join(f"{suspect.service} ({suspect.share:.0%})" for suspect in suspects[:3])
    return f" Which service is at fault is open: {named}." if named else ""


def _name(entity: str) -> str:
    return entity.removeprefix(SERVICE)


def _named(entity: str) -> str:
    return f"Service {_name(entity)}"
