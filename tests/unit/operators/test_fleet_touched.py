"""Customers of services that only look sick are told to the service to blame, and by it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest

from config.clock import HOUR, MINUTE, to_text
from config.events import Event
from config.findings import Evidence, Finding, finding_id
from config.services.load import ServiceMap
from operators.cause import CauseLogic
from operators.cause_state import CauseState
from operators.fleet import FleetLogic, FleetRule
from operators.fleet_state import FleetState
from operators.frame import Frame
from operators.keyed import KeyedGroup

RULE = FleetRule(window_minutes=3, share_min=0.6, patience_minutes=1, abstain_below=0.3, join_minutes=10)
FRONT, STORE, BANK = "service:front", "service:store", "service:bank"


def vitals(minute: int, service: str, **signs: float) -> Event:
    at = minute * MINUTE
    return Event(at, f"vitals {service} {minute}", "fleet", "vitals", {"service": service, "signs": signs})


def draft(minute: int, entity: str, *, own: float, over: bool = False, since: int = 4) -> Event:
    kind, begun = "service.degraded", to_text(since * MINUTE)
    occurrence = f"{begun} until {minute}" if over else begun
    found = Finding(
        finding_id=finding_id("outage", kind, entity, occurrence), agent="outage", kind=kind, entity=entity,
        occurrence=occurrence, at=minute * MINUTE, severity="medium", confidence=0.75, resolves=over,
        evidence=Evidence(features={"own_weight": own}), reason=f"{entity} is bad.",
    )  # fmt: skip
    return found.event("fleet")


def touched(minute: int, entity: str, *customers: str) -> Event:
    at = minute * MINUTE
    data = {"entity": entity, "at": at - MINUTE, "until": at, "customers": list(customers)}
    return Event(at, f"touched {entity} {minute}", "fleet", "touched", data)


SICK = [
    event
    for minute in range(1, 20)
    for event in (
        vitals(minute, "front", latency=2.0, calls=2.0),
        vitals(minute, "bank", latency=-1.0),
        vitals(minute, "store", latency=2.5, processor=2.5),
    )
]
"""The front waits for the store."""
OPENED = [*SICK, draft(4, FRONT, own=0), draft(4, STORE, own=1)]
"""In the fourth minute both are found, and the store is blamed."""


class Fleet:
    """The fleet stage, one key group."""

    def __init__(self) -> None:
        calls = ServiceMap({"front": ["store", "bank"]})
        self.group: KeyedGroup[FleetState] = KeyedGroup(FleetLogic(RULE, calls), ("telemetry",))

    def feed(self, events: Iterable[Event], minute: int) -> list[Event]:
        self.group.receive(Frame(0, "telemetry", minute * MINUTE, list(events)))
        return [event for _, event in self.group.advance()]


def told(events: Iterable[Event]) -> list[tuple[str, str, list[str]]]:
    """Return of what was passed on: to whom, from whom, which customers."""
    return [(e.key, e.data["entity"], e.data["customers"]) for e in events if e.type == "touched"]


def test_whom_a_service_of_the_incident_touched_is_told_to_the_one_to_blame() -> None:
    emitted = Fleet().feed([*OPENED, touched(3, FRONT, "a"), touched(4, FRONT, "b"), touched(7, FRONT, "c")], 9)
    assert told(emitted) == [(STORE, FRONT, ["a"]), (STORE, FRONT, ["b"]), (STORE, FRONT, ["c"])]
    assert [event.at for event in emitted if event.type == "touched"] == [4 * MINUTE + 1] * 2 + [7 * MINUTE + 1]


def test_whom_the_service_to_blame_touched_itself_it_knows() -> None:
    assert told(Fleet().feed([*OPENED, touched(4, STORE, "a")], 9)) == []


def test_customers_of_services_that_are_well_are_not_told() -> None:
    assert told(Fleet().feed([*OPENED, touched(4, BANK, "a")], 9)) == []


def test_customers_touched_long_before_are_not_told() -> None:
    late = [*SICK, touched(2, FRONT, "a"), draft(8, FRONT, own=0, since=8), draft(8, STORE, own=1, since=8)]
    assert told(Fleet().feed(late, 9)) == []


def test_a_service_that_joins_the_incident_later_brings_its_customers() -> None:
    joins = [touched(5, BANK, "a"), draft(6, BANK, own=0, since=6)]
    assert told(Fleet().feed([*OPENED, *joins], 9)) == [(STORE, BANK, ["a"])]


def test_after_the_incident_nobody_is_told() -> None:
    over = [draft(6, FRONT, own=0, over=True), draft(6, STORE, own=1, over=True)]
    assert told(Fleet().feed([*OPENED, *over, touched(7, FRONT, "a")], 9)) == []


@pytest.mark.parametrize("cut", [3, 4, 5, 7])
def test_state_resumes_to_the_same_customers(cut: int) -> None:
    events = [*OPENED, touched(3, FRONT, "a"), touched(4, FRONT, "b"), touched(6, FRONT, "c")]
    whole = Fleet().feed(events, 9)
    first, second = Fleet(), Fleet()
    before = first.feed([event for event in events if event.at < cut * MINUTE], cut)
    second.group.restore([first.group.whole()])
    assert before + second.feed([event for event in events if event.at >= cut * MINUTE], 9) == whole


def test_what_is_remembered_is_bounded_in_time() -> None:
    fleet = Fleet()
    fleet.feed([touched(minute, f"service:{minute % 7}", f"c{minute}") for minute in range(1, 500)], 500)
    state = fleet.group.state_of("fleet")
    assert state is not None
    assert sum(map(len, state.touched.values())) == 5
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=FleetState) == state


def test_they_are_told_by_the_service_to_blame_as_part_of_its_case() -> None:
    over = [draft(9, FRONT, own=0, over=True), draft(9, STORE, own=1, over=True)]
    events = Fleet().feed([*OPENED, touched(4, FRONT, "a"), *over], 10)
    cause: KeyedGroup[CauseState] = KeyedGroup(CauseLogic(), ("fleet",))
    cause.receive(Frame(0, "fleet", HOUR, events))
    found = [Finding.of(event) for _, event in cause.advance() if event.type == "finding"]
    opening = found[0].finding_id
    assert [(each.entity, each.resolves) for each in found] == [
        (STORE, False), ("customer:a", False), (STORE, True), ("customer:a", True),
    ]  # fmt: skip
    assert found[1].causes == [STORE]
    assert found[1].evidence.features["opening_finding"] == opening
    assert "Requests of this customer failed while service:store was in trouble" in found[1].reason
