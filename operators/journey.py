"""The customer's journey: orders ⋈ CRM ⋈ usage ⋈ fleet signals, by customer, in event time.

Records only fill in what is known (`operators/journey_fold.py`); nothing is judged when one comes. A journey is
*looked at* by the agents a moment after a record and a moment after whatever was due, so that all records of about
one instant are in, whatever their order: each journey has one timer, set to the next such look. The timer is
therefore every deadline at once — ship-by, promise, risk, refund, and the end of remembering.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from msgspec.structs import replace

from config.clock import DAY, micros
from config.errors import RecoveryError
from config.events import BROADCAST, Event
from operators.agents.base import CustomerAgent, View
from operators.customer_state import Subscription
from operators.features import checkpoints
from operators.fold import JourneyLimits
from operators.guard import ACTIVE, GUARD
from operators.journey_fold import FOLDS, PRODUCT, fold_signal, fold_stocked
from operators.journey_state import GROUP_MAX, Journey, Order, Refund, Ticket, Usage
from operators.logic import Context
from operators.relay import TYPES as RELAYED
from operators.relay import relayed

T = TypeVar("T")

LOOK = "look"
"""Name of a journey's one timer."""


@dataclass(frozen=True, kw_only=True)
class JourneySettings:
    """How long a journey is remembered, and how much of it."""

    settle: timedelta = timedelta(seconds=1)
    """A journey is looked at so long after a record or deadline: records this close together may come in any order."""
    finished_ttl: timedelta = timedelta(days=30)
    """An order delivered or cancelled, and a refund posted, is forgotten so long after its end."""
    unfinished_ttl: timedelta = timedelta(days=90)
    """An order not ended is forgotten so long after its promise or last record, a refund or ticket after its last."""
    contact_ttl: timedelta = timedelta(days=30)
    """A contact, review or closed ticket is forgotten after this span."""
    usage_ttl: timedelta = timedelta(days=90)
    """The last measure of usage is forgotten after this span."""
    subscription_ttl: timedelta = timedelta(days=400)
    """A subscription that is not cancelled is forgotten so long after its last record: some are renewed by the year."""
    signal_ttl: timedelta = timedelta(days=30)
    """A fleet signal older than this is no longer used."""
    dedupe_ttl: timedelta = timedelta(days=1)
    """Event ids are remembered per customer for this span, to drop duplicates."""
    limits: JourneyLimits = field(default_factory=JourneyLimits)


class JourneyLogic:
    """Keeps the journey of each customer, and has the agents look at it when something may be due.

    In: business events by customer; `signal` events by BROADCAST. Out: `finding` events, to `case` by customer and to
    `cause` by each of the finding's causes; what records tell products, sellers, lanes and devices, to `cause`;
    `checkpoint` and `label` events, to `risk`; how many customers are active, to `guard`.

    Args:
        agents: Who looks, in this order.
        settings: How long and how much is remembered.
        judged: Whether the risk stage is told of each order's checkpoints and of what became of it.
        counted: Whether the guard stage is told how many customers are active.
    """

    name = "journey"
    state_type = Journey
    state_version = 1

    def __init__(
        self, agents: Sequence[CustomerAgent], settings: JourneySettings, *, judged: bool = False, counted: bool = False
    ) -> None:
        self._agents = tuple(agents)
        self._judged, self._counted = judged, counted
        self._signals = frozenset[str]().union(*(agent.signals for agent in agents))
        self._limits = settings.limits
        self._settle = max(micros(settings.settle), 1)
        self._finished_ttl = micros(settings.finished_ttl)
        self._unfinished_ttl = micros(settings.unfinished_ttl)
        self._contact_ttl = micros(settings.contact_ttl)
        self._usage_ttl = micros(settings.usage_ttl)
        self._subscription_ttl = micros(settings.subscription_ttl)
        self._signal_ttl = micros(settings.signal_ttl)
        self.dedupe_ttl = micros(settings.dedupe_ttl)

    def new_state(self, key: str) -> Journey:
        """Return the journey of a customer never seen."""
        return Journey()

    def on_event(self, key: str, state: Journey, event: Event, context: Context) -> None:
        """Fold a record into the journey; a type that journeys know nothing of changes nothing."""
        if key == BROADCAST:
            if event.data["name"] in self._signals:
                fold_signal(state, event, self._limits)
            elif event.data["entity"].startswith(PRODUCT):
                fold_stocked(state, event, self._limits)
            return
        fold = FOLDS.get(event.type)
        if fold is None:
            if state.empty:
                context.forget()
            return
        if self._counted and state.active != (day := event.at // DAY):
            state.active = day
            _count_active(day, event, context)
        due = fold(state, event, self._limits)
        if event.type in RELAYED:
            for told in relayed(state, event, context.shared().stocked):
                context.emit("cause", told)
        if self._judged:
            if event.type == "review.answered" and (label := checkpoints.label_of(state, event)) is not None:
                context.emit("risk", label)
            elif event.type in checkpoints.JUDGED_AFTER:
                due = event.at
        now, look_at = context.now, state.look_at
        if look_at is None:
            self._look_at(state, now + self._settle, context)
        elif due is not None and (at := max(due, now) + self._settle) < look_at:
            self._look_at(state, at, context)

    def on_timer(self, key: str, state: Journey, timer: str, context: Context) -> None:
        """Forget what is past remembering, have the agents look, and set the timer to the next look."""
        now = context.now
        again = self._prune(state, now)
        if state.empty:
            context.forget()
            return
        view = View(key, state, context.shared().signals, now - self._signal_ttl, now)
        for agent in self._agents:
            due = agent.look(view)
            if due is not None and due < again:
                again = due
        if self._judged:
            judged, due = checkpoints.look(key, state, now)
            for event in judged:
                context.emit("risk", event)
            if due is not None and due < again:
                again = due
        for finding in view.findings:
            event = finding.event(key)
            context.emit("case", event)
            for cause in finding.causes:
                context.emit("cause", replace(event, key=cause))
        self._look_at(state, max(again, now) + self._settle, context)

    def on_partial(self, key: str, state: Journey, partial: Any, context: Context) -> None:
        """Refuse: journeys are made of events alone.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"stage {self.name} takes no partials")

    def migrate(self, version: int, state: Any) -> Journey:
        """Refuse: there is no older version.

        Raises:
            RecoveryError: always.
        """
        raise RecoveryError(
            f"stage {self.name}: recovered state is of version {version}, which was never released.",
            remedy="Start with a new store and recovery folder.",
        )

    def _look_at(self, state: Journey, at: int, context: Context) -> None:
        state.look_at = at
        context.set_timer(LOOK, at)

    def _prune(self, journey: Journey, now: int) -> int:
        """Forget what is past remembering; return after which instant all will be.

        That instant is worth a look of its own; what is past earlier goes with any look before, unseen by agents.
        """
        until = _forget_past(journey.orders, self._order_until, now, 0)
        if journey.refunds:
            until = _forget_past(journey.refunds, self._refund_until, now, until)
        if journey.tickets:
            until = _forget_past(journey.tickets, self._ticket_until, now, until)
        if journey.usage:
            until = _forget_past(journey.usage, self._usage_until, now, until)
        if contacts := journey.contacts:
            if contacts[0].at + self._contact_ttl < now:
                journey.contacts = contacts = [contact for contact in contacts if contact.at + self._contact_ttl >= now]
            if contacts:
                until = max(until, contacts[-1].at + self._contact_ttl)
        return self._prune_accounts(journey, now, until)

    def _prune_accounts(self, journey: Journey, now: int, until: int) -> int:
        """Forget of what stands beside orders; `until` as in `_forget_past`."""
        wallet, account = journey.wallet, journey.account
        if wallet is not None:
            at = wallet.seen_at + self._finished_ttl
            if at < now:
                journey.wallet = None
            elif at > until:
                until = at
        if account is not None:
            at = account.seen_at + self._usage_ttl
            if at < now:
                journey.account = None
            elif at > until:
                until = at
        if journey.matters:
            until = _forget_past(journey.matters, lambda matter: matter.seen_at + self._contact_ttl, now, until)
        if journey.habits:
            until = _forget_past(journey.habits, lambda habit: habit.seen_at + self._usage_ttl, now, until)
        if journey.invoices:
            until = _forget_past(journey.invoices, lambda invoice: invoice.seen_at + self._contact_ttl, now, until)
        if journey.subscriptions:
            until = _forget_past(journey.subscriptions, self._subscription_until, now, until)
        return until

    def _order_until(self, order: Order) -> int:
        ended_at = order.ended_at
        if ended_at is not None:
            return ended_at + self._finished_ttl
        return max(order.promised_at or order.seen_at, order.seen_at) + self._unfinished_ttl

    def _refund_until(self, refund: Refund) -> int:
        if refund.posted_at is not None:
            return refund.posted_at + self._finished_ttl
        return max(refund.due_at or refund.seen_at, refund.seen_at) + self._unfinished_ttl

    def _ticket_until(self, ticket: Ticket) -> int:
        return ticket.seen_at + (self._unfinished_ttl if ticket.closed_at is None else self._contact_ttl)

    def _subscription_until(self, subscription: Subscription) -> int:
        cancelled = subscription.terms[-1].status == "cancelled"
        return subscription.seen_at + (self._finished_ttl if cancelled else self._subscription_ttl)

    def _usage_until(self, usage: Usage) -> int:
        return usage.at + self._usage_ttl


def _count_active(day: int, event: Event, context: Context) -> None:
    """Count a customer's first record of a day; tell of the day before when it is over."""
    group: Journey = context.common()
    last, customers = divmod(group.active, GROUP_MAX)
    if last != day:
        if group.active >= 0:
            data = {"day": last, "customers": customers}
            context.emit(GUARD, Event(event.at, f"active|{event.key}|{day}", GUARD, ACTIVE, data))
        group.active = day * GROUP_MAX
    group.active += 1


def _forget_past(table: dict[str, T], until_of: Callable[[T], int], now: int, until: int) -> int:
    """Drop the entries whose time is over; return the latest time of `until` and of the entries kept."""
    past: list[str] = []
    for key, entry in table.items():
        at = until_of(entry)
        if at < now:
            past.append(key)
        elif at > until:
            until = at
    for key in past:
        del table[key]
    return until
