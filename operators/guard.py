"""The guard stage: what may be done for all customers together, and per cause.

Key: one for all, for such a limit counts what all key groups of the case stage do. In: from the case stage, the actions
that a limit speaks of; from each key group of the journeys, once a day, how many customers were active on a day that is
over. Out, to the outbox: each action either as the `action` it is, or as `guardrail.withheld`.

A decision was made and recorded before; what is judged here is only whether there is room left for what it wants. In
the order of event time: first come, first served. All limits must bear an action; one that is withheld takes of none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from config.clock import DAY, TIME_MIN
from config.errors import RecoveryError
from config.events import RELEASE, Event
from config.identity import derived_id, short_hash
from config.policies.guardrails import Guardrails, Limit
from config.policies.versions import Versions
from operators.guardrails import Held, free_at, judge_limit, said_of
from operators.logic import Context

T = TypeVar("T")

GUARD = "guard"
"""Name of the stage, and its one key."""
PROPOSED = "action.proposed"
WITHHELD = "guardrail.withheld"
"""Of a kind of its own, so that nobody takes one for an action."""
ACTIVE = "customers.active"
"""Type of the event that tells how many customers of a key group had a record on a day."""
SWEEP = "sweep"
SPENT_MAX = 4_096
"""Actions of one limit that are remembered one by one."""
CUSTOMERS_MAX = 50_000
"""Customers that one limit can count; more are not touched."""
DAYS = 2
"""Days before today that are looked at: of the last, some key groups may not have told yet."""


class GuardState(msgspec.Struct):
    """What was spent of each limit."""

    spent: dict[str, dict[str, list[tuple[int, int]]]] = {}
    """By name of the limit, then by cause ("" for all): (when, how much), oldest first."""
    touched: dict[str, dict[str, dict[int, int]]] = {}
    """Of limits of customers likewise: when each was touched last, by a hash of the customer, oldest first."""
    active: dict[int, int] = {}
    """Customers with a record, by day."""


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
        """Judge an action, or take note of how many customers were active.

        Raises:
            ValueError: the event is of another type: the stages are wired wrongly.
        """
        if event.type == ACTIVE:
            self._count_active(state, event.data["day"], event.data["customers"])
            return
        if event.type != PROPOSED:
            raise ValueError(f"stage {self.name} takes actions and counts of customers, not {event.type}")
        action, now = event.data["action"], context.now
        bundle = self._policy.at(now)
        guardrails = Guardrails() if bundle is None else bundle.guardrails
        self._prune(state, now)
        customer = short_hash(action["customer"]) if action.get("customer") else None
        limits = list(guardrails.of_fleet(action["remedy"], event.data["causes"]))
        held = [
            found
            for limit, of in limits
            if (found := self._judge(state, limit, of, customer, event.data["money"], now))
        ]
        if held:
            context.emit(RELEASE, _withheld(event, action, held))
        else:
            for limit, of in limits:
                _spend(state, limit, of, customer, event.data["money"], now)
            context.emit(RELEASE, Event(now, event.id, event.data["case_key"], "action", action))
        self._set_sweep(state, context)

    def _judge(
        self, state: GuardState, limit: Limit, of: str, customer: int | None, money: int, now: int
    ) -> Held | None:
        if limit.counts != "customers":
            return judge_limit(limit, limit.most, state.spent.get(limit.name, {}).get(of, []), limit.asks(money), now)
        touched = state.touched.get(limit.name, {}).get(of, {})
        is_new = customer is not None and touched.get(customer, TIME_MIN) + limit.within <= now
        # 0.29 of 100 are 29, not what 28.999999999999996 is cut to.
        share = int(round(limit.share * _active(state, now), 6))
        most = min(max(limit.most, share), CUSTOMERS_MAX)
        return judge_limit(limit, most, [(at, 1) for at in touched.values()], int(is_new), now)

    def _count_active(self, state: GuardState, day: int, customers: int) -> None:
        state.active[day] = state.active.get(day, 0) + customers
        for old in sorted(state.active)[: -DAYS - 1]:
            del state.active[old]

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
        spent: dict[str, dict[str, list[tuple[int, int]]]] = {}
        for name, of, acts in _each(state.spent):
            since = now - self._memory.get(name, 0)
            if kept := [act for act in acts if act[0] > since]:
                spent.setdefault(name, {})[of] = kept
        touched: dict[str, dict[str, dict[int, int]]] = {}
        for name, of, customers in _each(state.touched):
            since = now - self._memory.get(name, 0)
            if left := {customer: at for customer, at in customers.items() if at > since}:
                touched.setdefault(name, {})[of] = left
        state.spent, state.touched = spent, touched

    def _set_sweep(self, state: GuardState, context: Context) -> None:
        if due := list(self._due(state)):
            context.set_timer(SWEEP, min(due))
        elif state.active:
            context.cancel_timer(SWEEP)
        else:
            context.forget()

    def _due(self, state: GuardState) -> Iterator[int]:
        for name, _, acts in _each(state.spent):
            yield acts[0][0] + self._memory.get(name, 0)
        for name, _, customers in _each(state.touched):
            yield next(iter(customers.values())) + self._memory.get(name, 0)


def _each(by_limit: Mapping[str, Mapping[str, T]]) -> Iterator[tuple[str, str, T]]:
    """Yield (name of the limit, cause, what is remembered)."""
    return ((name, of, what) for name, by_cause in by_limit.items() for of, what in by_cause.items())


def _active(state: GuardState, now: int) -> int:
    """Return how many customers are active: those of the fuller one of the last days before today."""
    today = now // DAY
    return max((state.active.get(today - before, 0) for before in range(1, DAYS + 1)), default=0)


def _spend(state: GuardState, limit: Limit, of: str, customer: int | None, money: int, now: int) -> None:
    if limit.counts != "customers":
        spent = state.spent.setdefault(limit.name, {})
        spent[of] = bounded([*spent.get(of, []), (now, limit.asks(money))])
    elif customer is not None:
        touched = state.touched.setdefault(limit.name, {}).setdefault(of, {})
        touched.pop(customer, None)  # The order is that of time.
        touched[customer] = now


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
        "again_at": free_at(held),
        "reason": " ".join(each.why for each in held),
    }
    return Event(event.at, derived_id("withheld", event.id), event.data["case_key"], WITHHELD, data)
