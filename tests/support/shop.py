"""The content of a small shop's partitions: every stage has work, and most of it falls on few instants."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from config.clock import DAY, HOUR, MINUTE, from_text, to_text
from config.events import Event
from operators.streams import panes_of
from tests.support.cloudevents import cloud_event
from tests.support.measures import Measure
from tests.support.pipeline import Content, Fact
from tests.support.recordings import Record
from tests.support.telemetry import STREAMS

START = from_text("2025-03-03T00:00:00Z")
DAYS = 60
GRID = 6 * HOUR
SELLERS = (("s1", "SP"), ("s2", "SP"), ("s3", "MG"))
STATES = ("RJ", "BA")
CUSTOMERS = 14
ORDERS = 40
INCIDENTS = (6, 8, 45)
"""Days with an hour of requests; more than a month lies between the last two, so that services are forgotten."""


def shop(seed: int, lateness: int = 0, disorder: int = 0) -> Content:
    """Return what `seed` draws.

    Args:
        seed: Of the content.
        lateness: Bound of all partitions, microseconds.
        disorder: Records come up to so much event time too late, microseconds.
    """
    rng = random.Random(seed)
    partitions: dict[str, list[Fact]] = {f"orders/{n}": [] for n in range(3)}
    partitions |= {"crm/0": [], "telemetry/0": [], "telemetry/1": []}
    for fact in _orders(rng):
        crm = fact.type.startswith(("ticket.", "contact.", "usage.", "review."))
        partitions["crm/0" if crm else f"orders/{rng.randrange(3)}"].append(fact)
        if rng.random() < 0.05:  # sent again, by another way
            partitions[f"orders/{rng.randrange(3)}"].append(fact)
    for measure in [*_transits(rng), *_requests(rng)]:
        partitions[f"telemetry/{rng.randrange(2)}"].append(measure)
    for facts in partitions.values():
        rng.shuffle(facts)
        facts.sort(key=lambda fact: fact.at + rng.randrange(disorder + 1))
    return Content(partitions, lateness, START + DAYS * DAY, panes_of(STREAMS))


def _orders(rng: random.Random) -> Iterator[Event]:
    at = promised_at = START
    for number in range(ORDERS):
        customer, order = f"c{rng.randrange(CUSTOMERS)}", f"o{number}"
        if number % 8 == 1:
            order = f"o{number - 1}"  # numbers of two shops, or a mistake: one order, two customers
        else:
            at = START + rng.randrange(0, DAYS * DAY // 2, 2 * DAY)
            promised_at = at + rng.randrange(3, 12) * DAY
        items = [
            {"product_id": "p", "seller_id": seller, "seller_state": state, "price": rng.choice((9.9, 800.1))}
            for seller, state in rng.sample(SELLERS, rng.choice((1, 1, 2)))
        ]
        placed = {"customer_state": rng.choice(STATES), "promised_at": promised_at, "items": items}
        yield _event(at, "order.placed", order, customer, placed)
        if rng.random() < 0.1:  # told anew, long after: by then all is forgotten
            yield _event(at + 50 * DAY, "order.placed", order, customer, placed, again="again")
        yield _event(at, "payment.captured", order, customer, {"method": "card", "amount": 10.1, "sequence": 1})
        if rng.random() < 0.8:
            ship_by = rng.choice((None, at + 2 * DAY))
            yield _event(at + rng.choice((0, GRID)), "order.approved", order, customer, {"ship_by": ship_by})
        if rng.random() < 0.7:
            shipped = at + rng.randrange(0, 4 * DAY, GRID)
            yield _event(shipped, "shipment.handed_over", order, customer, {})
            if rng.random() < 0.6:
                late = rng.random() < 0.4
                arrived = promised_at + rng.choice((2 * DAY, 3 * DAY)) if late else max(shipped, promised_at - DAY)
                yield _event(arrived, "shipment.delivered", order, customer, {})
        elif rng.random() < 0.3:
            yield _event(at + 3 * DAY, "order.cancelled", order, customer, {})
        if rng.random() < 0.3:
            refund = {"refund_id": f"r{order}", "amount": 5.0, "due_at": promised_at}
            yield _event(promised_at - DAY, "refund.requested", order, customer, refund)
            if rng.random() < 0.5:
                yield _event(promised_at + DAY, "refund.posted", order, customer, refund)
        if rng.random() < 0.3:
            yield _event(promised_at, "review.answered", order, customer, {"review_id": order, "score": 1})
        if rng.random() < 0.3:
            yield _event(promised_at, "ticket.opened", order, customer, {"ticket_id": order})
            yield _event(promised_at + DAY, "ticket.closed", order, customer, {"ticket_id": order})
        if rng.random() < 0.3:
            yield _event(at, "usage.measured", order, customer, {"product": "app", "value": rng.random()})
        if rng.random() < 0.1:
            yield _event(at, "account.changed", order, customer, {"field": "email"})


def _event(at: int, kind: str, order: str, customer: str, data: dict[str, object], again: str = "") -> Event:
    data = {"order_id": order, "customer_id": customer, **data}
    return Event(at, f"/shop|{kind}-{order}-{customer}{again}", customer, kind, data)


def _transits(rng: random.Random) -> Iterator[Measure]:
    for day in range(0, 20, 2):
        for lane in ("SP-RJ", "MG-RJ", "SP-BA"):
            for _ in range(8):
                hours = rng.randrange(20, 120) * 1_000_000
                yield Measure(lane, "transit_hours", START + day * DAY, hours, contract="fulfilment.measured@1.0.0")


def _requests(rng: random.Random) -> Iterator[Measure]:
    for day in INCIDENTS:
        for service, minutes in (("checkout", 20), ("search", 12)):
            for minute in range(minutes):
                bad = 4 <= minute < 8
                for number in range(20):
                    yield Measure(
                        service,
                        at=START + day * DAY + minute * MINUTE + number // 10 * MINUTE // 2,
                        value=rng.randrange(50_000, 90_000),
                        failed=bad and number < 14,
                        customer=f"c{rng.randrange(CUSTOMERS)}",
                        contract="request.completed@1.0.0",
                    )


def recorded(content: Content, *, stamped: bool = False) -> dict[tuple[str, int], list[Record]]:
    """Return the partitions of a shop as records, stamped with their event time, or with none."""
    partitions: dict[tuple[str, int], list[Record]] = {}
    for name, facts in content.partitions.items():
        topic, _, number = name.rpartition("/")
        partitions[topic, int(number)] = [
            (offset, fact.at // 1000 if stamped else -1, None, _encoded(fact, f"{name}/{offset}"))
            for offset, fact in enumerate(facts)
        ]
    return partitions


def _encoded(fact: Fact, place: str) -> bytes:
    if isinstance(fact, Event):
        source, _, identity = fact.id.partition("|")
        data = {name: _text(name, value) for name, value in fact.data.items()}
        return cloud_event(
            fact.type, _ELSE.get(fact.type, {}) | data, source=source, id=identity, time=to_text(fact.at)
        )
    if fact.metric == "transit_hours":
        data = {"lane": fact.key, "metric": fact.metric, "value": fact.value / 1e6}
    else:
        data = {"service": fact.key, "route": "/", "status": 500 if fact.failed else 200}
        data |= {"duration_ms": fact.value / 1e3, "customer_id": fact.customer}
    return cloud_event(fact.contract.partition("@")[0], data, id=place, time=to_text(fact.at))


def _text(name: str, value: Any) -> Any:
    if name in ("promised_at", "ship_by", "due_at") and value is not None:
        return to_text(value)
    return [{"freight": 1.0, **item} for item in value] if name == "items" else value


_ELSE: dict[str, dict[str, object]] = {
    "payment.captured": {"installments": 1},
    "ticket.opened": {"category": "delivery"},
}
"""What contracts ask for beyond what the stages look at."""
