"""How stories are told: single events, issues and decoys, about customers and orders of the world they happen in.

A story is a handful of events that a few people live through, beside the many that the columns of `orders`, `business`
and `telemetry` make. Stories are rare, so they may be told one event at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from config.clock import DAY, HOUR, MINUTE, to_text
from config.identity import derived_id
from replay.world.goods import Item, item_of
from replay.world.issues import Plan, starts
from replay.world.kinds import AGENT, FLEET
from replay.world.labels import Decoy, Echo, Issue
from replay.world.model import MILLISECOND, SINCE, STATES, Fleet, Spec, draws

FIRST = 900_000_000
"""Numbers of told events, tickets and the like begin here, above all that columns make."""

SOURCES = {"orders": "/shop", "crm": "/crm", "telemetry": "/warehouse"}


@dataclass(frozen=True)
class Told:
    """One event of a story."""

    at: int
    topic: str
    key: str
    value: bytes


@dataclass
class Teller:
    """What stories need: people, things, chance, and a place for what they tell."""

    spec: Spec
    fleet: Fleet
    plan: Plan
    events: list[Told] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    decoys: list[Decoy] = field(default_factory=list)
    echoes: list[Echo] = field(default_factory=list)
    _number: int = FIRST
    _people: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Draw who will be in stories, each once as long as there are enough."""
        self._people = draws(self.spec.seed, "people").permutation(self.spec.customers).tolist()
        self.quiet = SINCE + min(4 * DAY, self.spec.days * DAY // 4)

    def number(self) -> int:
        """Return a number never given before."""
        self._number += 1
        return self._number

    def person(self) -> int:
        """Return the next customer."""
        self._people.append(self._people.pop(0))
        return self._people[-1]

    def count(self, what: str, rate: float) -> int:
        """Return how many stories of a kind this world has: at least one where the rate is not 0."""
        size = self.spec.days / 7 if what in FLEET else self.spec.orders / 1000
        return max(1, round(rate * size)) if rate else 0

    def occasions(self, what: str, rng: np.random.Generator, *, after: int = 0, before: int = 0) -> list[int]:
        """Return when the stories of a kind begin: in waking hours, spread over the world.

        Args:
            what: An issue or a decoy.
            rng: The kind's stream of chance.
            after: Room that it needs for what came before, µs,
            before: and for what comes after. In a world without that room it does not occur.
        """
        scenario = self.spec.scenario
        count = self.count(what, scenario.rate(what) or scenario.decoy(what))
        since, until = max(self.quiet, SINCE + after), self.spec.until - before
        if until - since < DAY or not count:
            return []
        return [at - at % DAY + int(rng.uniform(8, 21) * HOUR) for at in starts(rng, since, until - DAY, count)]

    def tell(self, at: int, topic: str, kind: str, key: str, data: dict[str, Any]) -> None:
        """Tell one event, unless it lies beyond the end of the world."""
        at -= at % MILLISECOND
        if not SINCE <= at < self.spec.until:
            return
        event = {
            "specversion": "1.0", "id": f"e{self.number()}", "source": SOURCES[topic], "type": kind, "subject": key,
            "time": _instant(at), "datacontenttype": "application/json", "data": data,
        }  # fmt: skip
        self.events.append(Told(at, topic, key, orjson.dumps(event)))

    def of_customer(self, at: int, topic: str, kind: str, customer: int, **data: Any) -> None:
        """Tell one event of a customer's."""
        name = customer_name(customer)
        self.tell(at, topic, kind, name, {"customer_id": name} | data)

    def sign_in(self, at: int, customer: int, device: str = "", country: str = "DE", *, well: bool = True) -> None:
        """Somebody signs in to a customer's account, or fails to."""
        device = device or f"d{customer}"
        self.of_customer(at, "crm", "account.signed_in", customer, succeeded=well, device_hash=device, country=country)

    def ticket(self, at: int, customer: int, category: str, order: str = "") -> str:
        """Open a ticket; return its id."""
        ticket, about = f"t{self.number()}", {"order_id": order} if order else {}
        self.of_customer(at, "crm", "ticket.opened", customer, **about, ticket_id=ticket, category=category)
        return ticket

    def contact(self, at: int, customer: int, reason: str, order: str = "", channel: str = "phone") -> None:
        """The customer calls or writes."""
        about, contact = {"order_id": order} if order else {}, f"n{self.number()}"
        self.of_customer(
            at, "crm", "contact.made", customer, **about, contact_id=contact, channel=channel, reason=reason
        )

    def review(self, at: int, customer: int, order: str, score: int) -> None:
        """The customer answers the review of an order."""
        review = f"w{self.number()}"
        self.of_customer(at, "crm", "review.answered", customer, order_id=order, review_id=review, score=score)

    def item(self, rng: np.random.Generator, customer: int) -> Item:
        """Return a product whose seller and lane have no trouble, so that a story is about one trouble only."""
        fleet, state = self.fleet, int(self.fleet.customer_state[customer])
        troubled = {slow.lane for slow in (*self.plan.lanes, *self.plan.honest)}
        backlogged = {backlog.seller for backlog in self.plan.backlogs}
        for product in rng.integers(self.spec.stocked, fleet.products, 200).tolist():
            seller = int(fleet.product_seller[product])
            lane = int(fleet.seller_state[seller]) * len(STATES) + state
            if lane not in troubled and seller not in backlogged:
                break
        return item_of(fleet, product)

    def issue(
        self, kind: str, entity: str, customers: list[int], onset: int, harm_at: int | None, ends_at: int, harm: str,
        **more: Any,
    ) -> None:  # fmt: skip
        """Label an issue. Harm beyond the end of the world is no harm yet."""
        until = self.spec.until
        harmed = harm_at if harm_at is not None and harm_at < until else None
        if onset < until:
            cut_off = {"complaints": int(harmed is not None)} | more
            self.issues.append(
                Issue(
                    issue_id=derived_id("issue", kind, entity, onset), kind=kind, entity=entity, agent=AGENT[kind],
                    customers=[customer_name(c) for c in customers], onset=_whole(onset),
                    ends_at=_whole(min(ends_at, until)), harm_at=None if harmed is None else _whole(harmed),
                    harm=harm, **cut_off,
                )
            )  # fmt: skip

    def decoy(self, what: str, entity: str, since: int, until: int) -> None:
        """Label a decoy."""
        if since < self.spec.until:
            self.decoys.append(Decoy(what=what, entity=entity, since=since, until=min(until, self.spec.until)))

    def echo(self, kind: str, entity: str, since: int, until: int) -> None:
        """Say of a kind of finding that it would be neither asked for nor false."""
        if since < self.spec.until:
            self.echoes.append(Echo(kind=kind, entity=entity, since=since, until=min(until, self.spec.until)))


def customer_name(number: int) -> str:
    """Return the id of a customer."""
    return f"c{number:07}"


def minutes(rng: np.random.Generator, low: float, high: float) -> int:
    """Return a span drawn evenly, µs."""
    return int(rng.uniform(low, high) * MINUTE)


def hours(rng: np.random.Generator, low: float, high: float) -> int:
    """Return a span drawn evenly, µs."""
    return int(rng.uniform(low, high) * HOUR)


def days(rng: np.random.Generator, low: float, high: float) -> int:
    """Return a span drawn evenly, µs."""
    return int(rng.uniform(low, high) * DAY)


def _whole(at: int) -> int:
    return at - at % MILLISECOND


def _instant(at: int) -> str:
    text = to_text(at)
    return text if "." in text else text.replace("Z", ".000Z")
