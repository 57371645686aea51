"""The autonomy stage: outcomes of actions become levels, of which the case stage is told.

Key: agent, remedy and segment of cases. In: by control channels the outcomes of actions; from the risk stage, drift of
what a model reads. Out: to all key groups of `case`, `autonomy.changed`, a level that has changed, or how far all that
an agent finds may go while its model has drifted. All of it is released too, with its evidence, and so is each outcome
that counted (`autonomy.counted`) or did not, for it names what the policy does not know (`autonomy.ignored`).

One group sees all: so what is earned does not depend on how the job is cut up, and evidence is not divided. Outcomes
are few.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from config.errors import RecoveryError
from config.events import BROADCAST, RELEASE, Event
from config.identity import derived_id
from config.policies.autonomy import Limit
from config.policies.bundle import Bundle
from config.policies.versions import Versions
from operators.autonomy import (
    Ledger,
    apply,
    begin_anew,
    evidence_of,
    judge,
    lapses_at,
    level_of,
    missing,
    note,
    trial_of,
)
from operators.feature_drift import BEGUN, ENDED
from operators.logic import Context
from operators.outcomes import OUTCOME
from operators.standing import CHANGED, key_of

PROBATION, LAPSE = "probation", "lapse"
DRIFT, DRIFT_OVER = "drift", "drift-over"


def routed(event: Event) -> Iterator[tuple[str, Event]]:
    """Yield the stages that a control record goes to, each with the record as it goes there."""
    yield "case", event
    if event.type == OUTCOME:
        names = (event.data.get(name) or "" for name in ("agent", "remedy", "segment"))
        yield "autonomy", msgspec.structs.replace(event, key=key_of(*names))


class AutonomyLogic:
    """Keeps the ledgers.

    Args:
        policy: What is asked for; the version of an outcome's event time decides.
        agents: The agents that there are.
        models: By model whose features are watched, the agent that it speaks for.
    """

    name = "autonomy"
    state_type = Ledger
    state_version = 1
    dedupe_ttl = 0
    """The ledger itself knows what it has counted."""

    def __init__(self, policy: Versions, agents: frozenset[str], models: Mapping[str, str]) -> None:
        self._policy, self._agents, self._models = policy, agents, models

    def new_state(self, key: str) -> Ledger:
        """Return what is known where nothing was heard."""
        return Ledger()

    def on_event(self, key: str, state: Ledger, event: Event, context: Context) -> None:
        """Count an outcome, or note that a model has drifted.

        Raises:
            ValueError: the event is of another type: the stages are wired wrongly.
        """
        bundle = self._policy.at(context.now)
        if event.type == OUTCOME:
            if bundle is not None and bundle.autonomy.limits:
                self._on_outcome(key, state, event, bundle, context)
        elif event.type in (BEGUN, ENDED):
            self._on_drift(event, bundle, context)
        else:
            raise ValueError(f"stage {self.name} takes outcomes and drift, not {event.type}")
        if state == Ledger():
            context.forget()

    def on_timer(self, key: str, state: Ledger, timer: str, context: Context) -> None:
        """See whether a level changes because a probation is over, or nothing was heard for too long."""
        bundle = self._policy.at(context.now)
        agent, remedy, segment = key.split("/")
        limit = None if bundle is None else bundle.autonomy.limit(agent, remedy, segment)
        if bundle is not None and limit is not None:
            self._judge(key, state, limit, bundle, context)
        elif (later := self._policy.next_after(context.now)) is not None:
            # Another version may bound it again: what is due then must not have been lost.
            context.set_timer(timer, later)

    def on_partial(self, key: str, state: Ledger, partial: Any, context: Context) -> None:
        """Refuse: levels are made of events alone.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"stage {self.name} takes no partials")

    def migrate(self, version: int, state: Any) -> Ledger:
        """Refuse: there is no older version.

        Raises:
            RecoveryError: always.
        """
        raise RecoveryError(
            f"stage {self.name}: recovered state is of version {version}, which was never released.",
            remedy="Start with a new store and recovery folder.",
        )

    def _on_outcome(self, key: str, state: Ledger, event: Event, bundle: Bundle, context: Context) -> None:
        told, now = event.data, context.now
        trial = trial_of(told, now)
        if trial is None:
            return
        names = {name: told.get(name) or "" for name in ("agent", "remedy", "segment")}
        limit = bundle.autonomy.limit(**names)
        why = self._unknown(names, bundle)
        if not why and limit is None:
            return
        said = names | {"action_id": trial.action_id, "case_id": told["case_id"], "seq": trial.seq, "at": now}
        identity = derived_id("autonomy-outcome", event.channel, event.seq)
        if not why and limit is not None:
            why = note(state, trial, limit, now)
        if why or limit is None:
            self._release(context, identity, "autonomy.ignored", key, said | {"ignored": why})
            return
        change = self._judge(key, state, limit, bundle, context)
        said |= {name: getattr(trial, name) for name in ("verified", "failed", "false")}
        said |= {
            "level": level_of(state, limit),
            "ceiling": limit.ceiling,
            "evidence": msgspec.to_builtins(evidence_of(state, limit, now)),
            "missing": missing(state, limit, now),
            "changed": change,
        }
        self._release(context, identity, "autonomy.counted", key, said)

    def _judge(self, key: str, state: Ledger, limit: Limit, bundle: Bundle, context: Context) -> bool:
        """Let a change of level that is due take place, and tell of it; return whether there was one."""
        now, (agent, remedy, segment) = context.now, key.split("/")
        begin_anew(state, limit, now)
        move = judge(state, limit, now, held=bool(context.shared().holds.get(agent)))
        if move is not None:
            apply(state, move, limit, now)
            said = {
                "agent": agent,
                "remedy": remedy,
                "segment": segment,
                "level": move.level,
                "before": move.before,
                "cause": move.cause,
                "reason": move.reason,
                "evidence": msgspec.to_builtins(move.evidence),
                "missing": missing(state, limit, now),
                "barred_until": state.barred_until if state.barred_until > now else None,
                "owner": limit.owner,
                "bundle": bundle.hash,
                "at": now,
            }
            self._tell(context, derived_id("autonomy", key, state.changes), key, said)
        if now < state.barred_until and level_of(state, limit) != limit.ceiling:
            context.set_timer(PROBATION, state.barred_until)
        lapsing = lapses_at(state, limit)
        if lapsing is None:
            context.cancel_timer(LAPSE)
        else:
            context.set_timer(LAPSE, lapsing)
        return move is not None

    def _on_drift(self, event: Event, bundle: Bundle | None, context: Context) -> None:
        """Note what drifts, and tell how far the agent may go when it begins to, or has ended.

        It is told whatever version of the policy is in force: another one, which bounds what this one does not, must
        find it as it is.
        """
        agent, feature = self._models.get(event.data["model"], ""), event.data["feature"]
        if not agent:
            return
        holds = context.common().holds
        before = holds.get(agent, [])
        after = sorted({*before, feature} if event.type == BEGUN else {*before} - {feature})
        holds[agent] = after
        if not after:
            del holds[agent]
        if bool(before) == bool(after):
            return
        asked = bundle or self._policy.first
        limit = next((each for each in asked.autonomy.limits if each.speaks_of(agent)), None)
        reason = (
            f"{', '.join(after)} of what its model reads is not as it was." if after else "What had drifted is back."
        )
        said = {
            "agent": agent,
            "remedy": "*",
            "segment": "*",
            "level": "supervised" if after else "",
            "before": "",
            "cause": DRIFT if after else DRIFT_OVER,
            "reason": reason,
            "evidence": {name: event.data[name] for name in ("model", "feature", "since")},
            "missing": ["the end of the drift"] if after else [],
            "barred_until": None,
            "owner": asked.owner if limit is None else limit.owner,
            "bundle": "" if bundle is None else bundle.hash,
            "at": context.now,
        }
        self._tell(context, derived_id("autonomy-drift", event.id), key_of(agent, "*", "*"), said)

    def _unknown(self, names: Mapping[str, str], bundle: Bundle) -> str:
        """Return which name the policy does not know, "" where it knows all."""
        known = {"agent": self._agents, "remedy": bundle.remedies, "segment": bundle.autonomy.names}
        # A slash would make one key of two.
        wrong = (what for what, name in names.items() if name not in known[what] or "/" in name)
        return next((f"the policy knows no such {what}" for what in wrong), "")

    def _tell(self, context: Context, identity: str, key: str, said: dict[str, Any]) -> None:
        self._release(context, identity, CHANGED, key, said)
        context.emit("case", Event(context.now, identity, BROADCAST, CHANGED, said))

    def _release(self, context: Context, identity: str, kind: str, key: str, said: dict[str, Any]) -> None:
        context.emit(RELEASE, Event(context.now, identity, key, kind, said))
