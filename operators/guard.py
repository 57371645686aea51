"""The guard stage: what may be done for all customers together, and per cause.

Key: one for all, for such a limit counts what all key groups of the case stage do. In: `action` events that a limit
speaks of, from the case stage. Out, to the outbox: each either as the `action` it is, or as `guardrail.withheld`.

A decision was made and recorded before; what is judged here is only whether there is room left for what it wants. In
the order of event time: first come, first served. All limits must bear an action; one that is withheld takes of none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from config.errors import RecoveryError
from config.events import RELEASE, Event
from config.identity import derived_id
from config.policies.guardrails import Guardrails, Limit
from config.policies.versions import Versions
from operators.guardrails import Held, judge_limit, said_of
from operators.logic import Context

GUARD = "guard"
"""Name of the stage, and its one key."""
PROPOSED = "action.proposed"
WITHHELD = "guardrail.withheld"
"""Of a kind of its own, so that nobody takes one for an action."""
SWEEP = "sweep"
SPENT_MAX = 4_096
"""Actions of one limit that are remembered one by one."""


class GuardState(msgspec.Struct):
    """What was spent of each limit."""

    spent: dict[str, dict[str, list[tuple[int, int]]]] = {}
    """By name of the limit, then by cause ("" for all): (when, how much), oldest first."""


def proposed(action: Event, causes: Sequence[str], money: int) -> Event:
    """Return the event by which the case stage hands an action over.

    Args:
        action: As it would be released.
        causes: Fleet entities that the case has for causes.
        money: That it moves at the most, in millionths.
    """
    data = {"case_key": action.key, "action": action.data, "causes": list(causes), "money": money}
    return Event(action.at, action.id, GUARD, PROPOSED, data)


class GuardLogic:
    """Lets actions pass, or withholds them.

    Args:
        policy: Its version in force at an event time says what may be done.
    """

    name = GUARD
    state_type = GuardState
    state_version = 1
    dedupe_ttl = 0
    """What comes in was made by the case stage, each once."""

    def __init__(self, policy: Versions) -> None:
        self._policy = policy
        self._memory: dict[str, int] = {}
        for bundle in policy.bundles:
            for limit in bundle.guardrails.limits:
                # A later version may look further back than the one in force.
                self._memory[limit.name] = max(self._memory.get(limit.name, 0), limit.within)

    def new_state(self, key: str) -> GuardState:
        """Return the state of limits of which nothing is spent."""
        return GuardState()

    def on_event(self, key: str, state: GuardState, event: Event, context: Context) -> None:
        """Judge an action.

        Raises:
            ValueError: the event is of another type: the stages are wired wrongly.
        """
        if event.type != PROPOSED:
            raise ValueError(f"stage {self.name} takes actions, not {event.type}")
        action, now = event.data["action"], context.now
        bundle = self._policy.at(now)
        guardrails = Guardrails() if bundle is None else bundle.guardrails
        self._prune(state, now)
        limits = [
            (limit, of, limit.asks(event.data["money"]))
            for limit, of in guardrails.of_fleet(action["remedy"], event.data["causes"])
        ]
        held = [found for limit, of, asked in limits if (found := self._judge(state, limit, of, asked, now))]
        if held:
            context.emit(RELEASE, _withheld(event, action, held))
        else:
            for limit, of, asked in limits:
                spent = state.spent.setdefault(limit.name, {})
                spent[of] = bounded([*spent.get(of, []), (now, asked)])
            context.emit(RELEASE, Event(now, event.id, event.data["case_key"], "action", action))
        self._set_sweep(state, context)

    def _judge(self, state: GuardState, limit: Limit, of: str, asked: int, now: int) -> Held | None:
        return judge_limit(limit, limit.most, state.spent.get(limit.name, {}).get(of, []), asked, now)

    def on_timer(self, key: str, state: GuardState, timer: str, context: Context) -> None:
        """Forget what does not count any more."""
        self._prune(state, context.now)
        self._set_sweep(state, context)

    def on_partial(self, key: str, state: GuardState, partial: Any, context: Context) -> None:
        """Refuse: it judges events alone.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"stage {self.name} takes no partials")

    def migrate(self, version: int, state: Any) -> GuardState:
        """Refuse: there is no older version.

        Raises:
            RecoveryError: always.
        """
        raise RecoveryError(
            f"stage {self.name}: recovered state is of version {version}, which was never released.",
            remedy="Start with a new store and recovery folder.",
        )

    def _prune(self, state: GuardState, now: int) -> None:
        kept: dict[str, dict[str, list[tuple[int, int]]]] = {}
        for name, by_cause in state.spent.items():
            memory = self._memory.get(name, 0)
            for of, spent in by_cause.items():
                if left := [(at, amount) for at, amount in spent if at + memory > now]:
                    kept.setdefault(name, {})[of] = left
        state.spent = kept

    def _set_sweep(self, state: GuardState, context: Context) -> None:
        if due := list(self._due(state)):
            context.set_timer(SWEEP, min(due))
        else:
            context.forget()

    def _due(self, state: GuardState) -> Iterator[int]:
        for name, by_cause in state.spent.items():
            for spent in by_cause.values():
                yield spent[0][0] + self._memory.get(name, 0)


def bounded(spent: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return what was spent, if need be with neighbours put together, which then count as long as the later one."""
    if len(spent) <= SPENT_MAX:
        return spent
    pairs = zip(spent[::2], spent[1::2], strict=False)
    return [(later, first + second) for (_, first), (later, second) in pairs] + spent[len(spent) // 2 * 2 :]


def _withheld(event: Event, action: dict[str, Any], held: Sequence[Held]) -> Event:
    data = {
        "action_id": event.id,
        "case_id": action["case_id"],
        "at": event.at,
        "action": action,
        "guardrails": said_of(held),
        "reason": " ".join(each.why for each in held),
    }
    return Event(event.at, derived_id("withheld", event.id), event.data["case_key"], WITHHELD, data)
