"""The journey of a customer: what is joined, when it is looked at, what is remembered and for how long."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from config.clock import DAY, HOUR, SECOND
from config.errors import RecoveryError
from config.events import BROADCAST, Event
from operators.agents.base import View
from operators.fold import JourneyLimits
from operators.frame import Frame
from operators.journey import JourneyLogic, JourneySettings
from operators.journey_state import Contact, Journey, Signal, Usage
from operators.keyed import KeyedGroup
from tests.support.journeys import (
    CHANNEL,
    CUSTOMER,
    ORDER,
    PROMISE,
    SHIP_BY,
    START,
    Stage,
    approved,
    cancelled,
    contacted,
    delivered,
    event,
    handed_over,
    paid,
    placed,
    refund_posted,
    refund_requested,
    reviewed,
    ticket,
    transit,
    used,
)


class Watcher:
    """An agent that finds nothing and keeps what it sees; wants to look at `again` too."""

    name = "watcher"
    signals = frozenset({"transit_hours"})

    def __init__(self, *again: int) -> None:
        self.again = list(again)
        self.looks: list[int] = []
        self.contacts: list[list[Contact]] = []
        self.views: list[View] = []

    def look(self, view: View) -> int | None:
        self.looks.append(view.now)
        self.contacts.append(list(view.journey.contacts))
        self.views.append(view)
        return next((at for at in self.again if at >= view.now), None)


def journey_after(*events: Event, settings: JourneySettings | None = None) -> Journey:
    stage = Stage([], settings)
    stage.run(events, max(event.at for event in events) + 1)
    journey = stage.journey()
    assert journey is not None
    return journey


def test_order_joins_its_records_whatever_the_first() -> None:
    order = journey_after(
        delivered(START), handed_over(START), approved(START), paid(START), placed(START), reviewed(START, 4)
    ).orders[ORDER]

    assert (order.placed_at, order.approved_at, order.handed_over_at, order.delivered_at) == (START,) * 4
    assert (order.promised_at, order.ship_by, order.ended_at) == (PROMISE, SHIP_BY, START)
    assert (order.value, order.paid, order.lanes) == (110_000_000, 110_000_000, ["SP-RJ"])
    assert len(order.records) == 5


def test_payments_add_up_exactly() -> None:
    order = journey_after(*(paid(START + i, amount=0.1) for i in range(3))).orders[ORDER]

    assert order.paid == 300_000
    assert order.worth == 0.3


def test_items_of_one_seller_make_one_lane() -> None:
    sellers = [("b", "SP"), ("a", "SP"), ("b", "SP"), ("c", "MG"), ("d", "")]

    order = journey_after(placed(sellers=sellers)).orders[ORDER]

    assert order.sellers == [("a", "SP"), ("b", "SP"), ("c", "MG"), ("d", "")]
    assert order.lanes == ["MG-RJ", "SP-RJ"]


def test_order_without_states_has_no_lanes() -> None:
    assert journey_after(paid()).orders[ORDER].lanes == []
    assert journey_after(placed(sellers=[("a", "")])).orders[ORDER].lanes == []


def test_first_hand_over_delivery_and_cancellation_count() -> None:
    order = journey_after(
        handed_over(START), handed_over(START + 1), cancelled(START + 2), cancelled(START + 3), delivered(START + 4)
    ).orders[ORDER]

    assert (order.handed_over_at, order.cancelled_at, order.delivered_at) == (START, START + 2, START + 4)
    assert order.ended_at == START + 2


def test_later_approval_without_ship_by_keeps_it() -> None:
    order = journey_after(approved(START), approved(START + 1, ship_by=None)).orders[ORDER]

    assert (order.approved_at, order.ship_by) == (START, SHIP_BY)


def test_contacts_tickets_and_usage_are_kept() -> None:
    journey = journey_after(
        reviewed(START, 2), contacted(START + 1), ticket(START + 2), used(START + 3, 2.0), used(START + 4, 1.0)
    )

    assert [(contact.at, contact.type, contact.score) for contact in journey.contacts] == [
        (START, "review.answered", 2),
        (START + 1, "contact.made", 0),
        (START + 2, "ticket.opened", 0),
    ]
    assert journey.tickets["ticket-1"].closed_at is None
    assert journey.usage == {"app": Usage(START + 4, 1.0)}


def test_ticket_closed_in_the_same_instant_is_closed() -> None:
    for events in ([ticket(START), ticket(START, closed=True)], [ticket(START, closed=True), ticket(START)]):
        assert journey_after(*events).tickets["ticket-1"].closed_at == START


def test_each_limit_is_kept_and_the_oldest_goes_first() -> None:
    limits = JourneyLimits(
        orders_max=2, refunds_max=2, contacts_max=2, products_max=2, sellers_max=2, records_max=2, signals_max=2
    )
    stage = Stage([Watcher()], JourneySettings(limits=limits))
    events = [placed(START + i, order=f"o{i}", sellers=[(f"s{j}", "SP") for j in range(3)]) for i in range(3)]
    events += [refund_requested(START + i, refund=f"r{i}") for i in range(3)]
    events += [contacted(START + i) for i in range(3)]
    events += [ticket(START + 10 + i, f"t{i}") for i in range(3)]
    events += [used(START + i, 1.0, f"p{i}") for i in range(3)]
    events += [paid(START + 10 + i, order="o2") for i in range(3)]
    events += [transit(START + i, 1, 2, lane=f"L{i}") for i in range(3)]

    stage.run(events, START + 100)

    journey, fleet = stage.journey(), stage.journey(BROADCAST)
    assert journey is not None
    assert fleet is not None
    assert list(journey.orders) == ["o1", "o2"]
    assert list(journey.refunds) == ["r1", "r2"]
    assert list(journey.tickets) == ["t1", "t2"]
    assert list(journey.usage) == ["p1", "p2"]
    assert [contact.at for contact in journey.contacts] == [START + 11, START + 12]
    assert len(journey.orders["o2"].sellers) == 2
    assert len(journey.orders["o2"].records) == 2
    assert list(fleet.signals) == ["lane:L1", "lane:L2"]


def test_ended_orders_go_before_older_open_ones() -> None:
    limits = JourneyLimits(orders_max=2)

    journey = journey_after(
        placed(START, order="open"),
        delivered(START + 1, order="ended"),
        placed(START + 2, order="new"),
        settings=JourneySettings(limits=limits),
    )

    assert list(journey.orders) == ["open", "new"]


def test_newest_signal_of_an_entity_counts() -> None:
    stage = Stage([Watcher()])
    old, new = transit(START, 3, 5, count=7), transit(START + DAY, 4, 6, count=8)
    stale = msgspec.structs.replace(old, at=START + DAY + 1, id="again")

    stage.run([old, new, stale], START + 2 * DAY)

    fleet = stage.journey(BROADCAST)
    assert fleet is not None
    span = {"telemetry/0": (7, 9)}
    signal = Signal(START + DAY, START - 27 * DAY, 8, 96.0, 144.0, span, "fulfilment.measured@1.0")
    assert fleet.signals == {"lane:SP-RJ": {"transit_hours": signal}}


def test_signal_that_no_agent_reads_is_not_kept() -> None:
    stage = Stage([])

    stage.run([transit(START, 3, 5)], START + DAY)

    fleet = stage.journey(BROADCAST)
    assert fleet is None or fleet.signals == {}


def test_journey_is_looked_at_a_moment_after_a_record() -> None:
    watcher = Watcher()

    Stage([watcher]).run([placed(START), paid(START + SECOND // 2)], START + DAY)

    assert watcher.looks == [START + SECOND]
    assert len(watcher.views[0].journey.orders[ORDER].records) == 2


def test_journey_is_looked_at_a_moment_after_an_agent_wants_to() -> None:
    watcher = Watcher(START + HOUR, START + 2 * HOUR)

    Stage([watcher]).run([placed(START)], START + DAY)

    assert watcher.looks == [START + SECOND, START + HOUR + SECOND, START + 2 * HOUR + SECOND]


def test_agent_that_wants_to_look_at_the_past_does_not_stop_time() -> None:
    class Impatient(Watcher):
        def look(self, view: View) -> int | None:
            super().look(view)
            return START - DAY

    agent = Impatient()

    Stage([agent]).run([placed(START)], START + 5 * SECOND)

    assert agent.looks == [START + SECOND * i for i in range(1, 5)]


def test_what_surrounds_an_order_is_no_reason_to_look() -> None:
    watcher = Watcher()

    Stage([watcher]).run([placed(START), contacted(START + HOUR), used(START + HOUR, 1.0)], START + DAY)

    assert watcher.looks == [START + SECOND]


def test_agents_see_only_signals_that_are_fresh() -> None:
    watcher = Watcher()
    settings = JourneySettings(signal_ttl=timedelta(hours=1))

    Stage([watcher], settings).run(
        [transit(START, 1, 2), placed(START + HOUR - SECOND), placed(START + HOUR, order="o2")], START + 2 * HOUR
    )

    assert [view.signal("lane:SP-RJ", "transit_hours") is not None for view in watcher.views] == [True, False]
    assert watcher.views[0].signal("lane:SP-RJ", "other") is None
    assert watcher.views[0].signal("lane:MG-RJ", "transit_hours") is None


@pytest.mark.parametrize(
    ("events", "until"),
    [
        ([placed(), delivered(START + DAY)], START + 31 * DAY),
        ([placed(), cancelled(START + DAY)], START + 31 * DAY),
        ([placed()], PROMISE + 90 * DAY),
        ([paid()], START + 90 * DAY),
        ([placed(), paid(PROMISE + DAY)], PROMISE + 91 * DAY),
        ([refund_requested(), refund_posted(START + DAY)], START + 31 * DAY),
        ([refund_requested()], START + 90 * DAY),
        ([refund_requested(due_at=START + DAY)], START + 91 * DAY),
        ([contacted(START)], START + 30 * DAY),
        ([ticket(START), ticket(START + DAY, closed=True)], START + 31 * DAY),
        ([ticket(START)], START + 90 * DAY),
        ([used(START, 1.0)], START + 90 * DAY),
    ],
)
def test_journey_is_forgotten_when_all_of_it_is_past(events: list[Event], until: int) -> None:
    stage = Stage()

    stage.run(events, until + SECOND)
    assert stage.group.keys == 1

    stage.run([], until + SECOND + 1)
    assert stage.group.keys == 0
    assert stage.group.open_timers == 0


def test_ended_order_is_gone_while_the_customer_stays() -> None:
    stage = Stage([])

    stage.run([delivered(START, order="old"), placed(START + 31 * DAY, order="new")], START + 32 * DAY)

    journey = stage.journey()
    assert journey is not None
    assert list(journey.orders) == ["new"]


def test_agents_never_see_a_contact_past_its_time() -> None:
    watcher = Watcher(START + 30 * DAY - SECOND, START + 30 * DAY)

    Stage([watcher]).run([contacted(START), contacted(START + DAY), placed(START)], START + 31 * DAY)

    assert [len(contacts) for contacts in watcher.contacts] == [1, 2, 1]


def test_record_that_tells_journeys_nothing_leaves_no_state() -> None:
    stage = Stage([])

    stage.run([event(START, "door.opened", {})], START + 1)

    assert stage.group.keys == 0


def test_record_that_tells_journeys_nothing_leaves_known_customers_alone() -> None:
    stage = Stage([])

    stage.run([placed(), event(START + 1, "account.signed_in", {"succeeded": True})], START + 2)

    assert stage.journey() is not None


def test_finding_goes_to_the_case_and_to_each_cause() -> None:
    stage = Stage()

    stage.run([placed(sellers=[("a", "SP"), ("b", "MG")]), approved()], SHIP_BY + DAY)

    sent = [(to, event.key, event.type) for to, event in stage.emitted]
    assert sent == [
        ("case", CUSTOMER, "finding"),
        ("cause", "seller:a", "finding"),
        ("cause", "seller:b", "finding"),
    ]
    assert len({event.id for _, event in stage.emitted}) == 1
    assert stage.findings[0].evidence.records == sorted(
        ("orders", 0, record.seq) for record in (placed(sellers=[]), approved())
    )
    assert CHANNEL == "orders/0"


def test_state_of_a_typical_open_order_is_small() -> None:
    identity = "8d3a54507421dbd2ce0a1d58046826e0"
    events: list[Any] = [
        placed(order=identity, sellers=[(identity, "SP")]),
        paid(order=identity),
        approved(order=identity),
        handed_over(order=identity),
        contacted(START + 3 * DAY),
    ]
    stage = Stage()

    stage.run(events, START + 4 * DAY)

    assert len(msgspec.msgpack.encode(stage.journey())) <= 300


def test_resumed_stage_goes_on_as_if_it_had_not_stopped() -> None:
    before = [placed(), approved(), transit(START, 5, 9), contacted(START + DAY)]
    after = [handed_over(START + 6 * DAY), delivered(PROMISE + 5 * DAY), reviewed(PROMISE + 6 * DAY, 1)]
    unbroken, first, second = Stage(), Stage(), Stage()
    end = PROMISE + 100 * DAY

    unbroken.run(before + after, end)
    first.run(before, START + 5 * DAY)
    second.group.restore([first.group.whole()])
    second.run(after, end)

    assert first.emitted + second.emitted == unbroken.emitted
    assert len(unbroken.findings) == 6


def test_state_of_another_version_is_refused() -> None:
    logic = JourneyLogic([], JourneySettings())

    with pytest.raises(RecoveryError, match="version 0"):
        logic.migrate(0, [])


def test_partials_are_refused() -> None:
    logic = JourneyLogic([], JourneySettings())

    with pytest.raises(TypeError, match="journey"):
        logic.on_partial("k", Journey(), object(), None)  # type: ignore[arg-type]


def test_how_many_customers_had_a_record_on_a_day_is_told_when_it_is_over() -> None:
    group = KeyedGroup(JourneyLogic([], JourneySettings(), counted=True), ["in"])
    days = [(0, "ann"), (0, "bob"), (0, "ann"), (1, "bob"), (3, "cyd"), (3, "ann")]
    events = [
        Event(START + day * DAY + n, f"e{n}", customer, "contact.made", {"customer_id": customer, "channel": "chat"})
        for n, (day, customer) in enumerate(days)
    ]
    group.receive(Frame(0, "in", START + 4 * DAY, events))
    told = [event for to, event in group.advance() if to == "guard"]
    day = START // DAY
    assert [event.data for event in told] == [{"day": day, "customers": 2}, {"day": day + 1, "customers": 1}]
    assert [(event.key, event.type, event.at) for event in told] == [
        ("guard", "customers.active", events[3].at),
        ("guard", "customers.active", events[4].at),
    ]
    assert len({event.id for event in told}) == 2
