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

from config.clock import DAY, HOUR
from config.errors import RecoveryError
from config.events import RELEASE, Event
from config.identity import derived_id, short_hash
from config.policies.guardrails import Guardrails, Limit
from config.policies.versions import Versions
from operators.guardrails import Held, beyond, free_at, held_by, said_of
from operators.logic import Context
from operators.spent import CUSTOMERS_MAX, Spent, Touched

T = TypeVar("T", Spent, Touched)

GUARD = "guard"
"""Name of the stage, and its one key."""
PROPOSED = "action.proposed"
WITHHELD = "guardrail.withheld"
"""Of a kind of its own, so that nobody takes one for an action."""
ACTIVE = "customers.active"
"""Type of the event that tells how many customers of a key group had a record on a day."""
SWEEP = "sweep"
SWEEP_EVERY = HOUR
"""What was spent of causes that are not met any more is looked for at most so often."""
CAUSES_MAX = 10_000
"""Causes of which one limit remembers what was spent; for more nothing is done by itself."""
DAYS = 2
"""Days before today that are looked at: of the last, some key groups may not have told yet."""


class GuardState(msgspec.Struct):
    """What was spent of each limit."""

    spent: dict[str, dict[str, Spent]] = {}
    """By name of the limit, then by cause ("" for all)."""
    touched: dict[str, dict[str, Touched]] = {}
    """Of limits of customers likewise."""
    active: dict[int, int] = {}
    """Customers with a record, by day."""
    sweeps: bool = False
    """Whether it is to be looked for what counts no more."""


def proposed(action: Event, causes: Sequence[str], money: int, *, has_more: bool = False) -> Event:
    """Return the event by which the case stage hands an action over.

    Args:
        action: As it would be released.
        causes: Fleet entities that the case has for causes.
        money: That it moves at the most, in millionths.
        has_more: Whether the case has more causes than these.
    """
    data = {"case_key": action.key, "action": action.data, "causes": list(causes), "money": money}
    if has_more:
        data["has_more"] = True
    return Event(action.at, action.id, GUARD, PROPOSED, data)


class GuardLogic:
    """Lets actions pass, or withholds them.

    Args:
        policy: Its version in force at an event time says what may be done.
    """

    name = GUARD
    state_type = GuardState
    state_version = 2
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
        customer = short_hash(action["customer"]) if action.get("customer") else None
        limits = list(guardrails.of_fleet(action["remedy"], event.data["causes"]))
        held = [
            found
            for limit, of in limits
            if (found := self._judge(state, limit, of, customer, event.data["money"], now))
        ]
        if event.data.get("has_more"):
            # None of the causes that are not looked at must be let off.
            held += [_uncounted(limit) for limit in guardrails.of_causes(action["remedy"])]
        if held:
            context.emit(RELEASE, _withheld(event, action, held))
        else:
            for limit, of in limits:
                self._spend(state, limit, of, customer, event.data["money"], context)
            context.emit(RELEASE, Event(now, event.id, event.data["case_key"], "action", action))
        if not state.sweeps and not state.active:
            context.forget()

    def _judge(
        self, state: GuardState, limit: Limit, of: str, customer: int | None, money: int, now: int
    ) -> Held | None:
        memory = self._memory[limit.name]
        if limit.counts == "customers":
            touched = state.touched.get(limit.name, {}).get(of) or Touched()
            touched.slide(limit.within, memory, now)
            # 0.29 of 100 are 29, not what 28.999999999999996 is cut to.
            share = int(round(limit.share * _active(state, now), 6))
            most, total = min(max(limit.most, share), CUSTOMERS_MAX), len(touched.recent)
            asked = int(customer is not None and customer not in touched.recent)
            free = touched.free_at(most) if total + asked > most else None
        else:
            spent = state.spent.get(limit.name, {}).get(of) or Spent()
            spent.slide(limit.within, memory, now)
            of_money = limit.counts == "money"
            most, total, asked = limit.most, spent.money if of_money else spent.actions, limit.asks(money)
            free = spent.free_at(most, asked, of_money=of_money) if total + asked > most else None
        if not asked:
            return None
        if total + asked > most:
            return beyond(limit, most, total, asked, free)
        if not _has_room(state.touched if limit.counts == "customers" else state.spent, limit, of):
            return held_by(limit, None, f"what was spent is remembered of {CAUSES_MAX} causes, and of no more")
        return None

    def _spend(
        self, state: GuardState, limit: Limit, of: str, customer: int | None, money: int, context: Context
    ) -> None:
        if limit.counts != "customers":
            if _has_room(state.spent, limit, of):
                state.spent.setdefault(limit.name, {}).setdefault(of, Spent()).add(money, context.now)
        elif customer is not None:
            state.touched.setdefault(limit.name, {}).setdefault(of, Touched()).add(customer, context.now)
        if not state.sweeps:
            state.sweeps = True
            context.set_timer(SWEEP, context.now + self._memory[limit.name])

    def _count_active(self, state: GuardState, day: int, customers: int) -> None:
        state.active[day] = state.active.get(day, 0) + customers
        for old in sorted(state.active)[: -DAYS - 1]:
            del state.active[old]

    def on_timer(self, key: str, state: GuardState, timer: str, context: Context) -> None:
        """Forget what does not count any more."""
        due = [*self._prune(state.spent, context.now), *self._prune(state.touched, context.now)]
        state.sweeps = bool(due)
        if due:
            context.set_timer(SWEEP, max(min(due), context.now + SWEEP_EVERY))
        elif not state.active:
            context.forget()

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

    def _prune(self, by_limit: dict[str, dict[str, T]], now: int) -> Iterator[int]:
        """Forget what does not count any more; yield when the rest of each will not."""
        for name, by_cause in list(by_limit.items()):
            memory = self._memory.get(name, 0)
            for of, known in list(by_cause.items()):
                known.slide(memory, memory, now)
                if (oldest := known.oldest) is None:
                    del by_cause[of]
                else:
                    yield oldest + memory
            if not by_cause:
                del by_limit[name]


def _has_room(by_limit: Mapping[str, Mapping[str, Spent | Touched]], limit: Limit, of: str) -> bool:
    """Return whether a limit can remember what is spent of a cause."""
    known = by_limit.get(limit.name, {})
    return of in known or len(known) < CAUSES_MAX


def _active(state: GuardState, now: int) -> int:
    """Return how many customers are active: those of the fuller one of the last days before today."""
    today = now // DAY
    return max((state.active.get(today - before, 0) for before in range(1, DAYS + 1)), default=0)


def _uncounted(limit: Limit) -> Held:
    return held_by(limit, None, "its case has more causes than are counted")


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
