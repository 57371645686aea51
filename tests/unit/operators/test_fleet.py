"""What services say of themselves becomes incidents, each blamed on one service."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from config.clock import MINUTE, to_text
from config.errors import RecoveryError
from config.events import Event
from config.findings import Evidence, Finding, finding_id
from config.services.load import ServiceMap
from operators.fleet import FleetLogic, FleetRule
from operators.fleet_state import FleetState
from operators.frame import Frame
from operators.keyed import KeyedGroup

RULE = FleetRule(window_minutes=3, share_min=0.6, patience_minutes=1, abstain_below=0.3, join_minutes=10)
CALLS = ServiceMap({"shop": ["cart", "bank", "advert"], "cart": ["store"]})
DEGRADED, FAILING = "service.degraded", "service.failing"


def vitals(minute: int, service: str, **signs: float) -> Event:
    at = minute * MINUTE
    return Event(at, f"vitals {service} {minute}", "fleet", "vitals", {"service": service, "signs": signs})


def draft(
    minute: int, service: str, kind: str = DEGRADED, *, own: float = 1.0, since: int | None = None, over: bool = False
) -> Event:
    entity, begun = f"service:{service}", to_text((minute if since is None else since) * MINUTE)
    occurrence = f"{begun} until {minute}" if over else begun
    return Finding(
        finding_id=finding_id("outage", kind, entity, occurrence),
        agent="outage",
        kind=kind,
        entity=entity,
        occurrence=occurrence,
        at=minute * MINUTE,
        severity="medium",
        confidence=0.75,
        resolves=over,
        evidence=Evidence(features={"own_weight": own}),
        reason=f"Service {service} is bad.",
    ).event("fleet")


def well(minutes: range, *services: str) -> list[Event]:
    return [vitals(m, s, latency=-1.0, calls=-1.0, processor=-1.0) for m in minutes for s in services]


def told(events: Sequence[Event], until: int = 100, calls: ServiceMap = CALLS) -> list[Finding]:
    group: KeyedGroup[FleetState] = KeyedGroup(FleetLogic(RULE, calls), ("telemetry",))
    group.receive(Frame(0, "telemetry", until * MINUTE, list(events)))
    emitted = group.advance()
    assert all(to == "cause" and event.key == event.data["entity"] for to, event in emitted)
    return [Finding.of(event) for _, event in emitted]


def shown(findings: Sequence[Finding]) -> list[tuple[str, str, bool]]:
    return [(finding.entity.removeprefix("service:"), finding.kind, finding.resolves) for finding in findings]


SICK_STORE = [
    *well(range(1, 6), "bank", "advert"),
    *(vitals(m, "shop", latency=2.0, calls=2.0) for m in range(1, 6)),
    *(vitals(m, "cart", latency=2.0, calls=2.5) for m in range(1, 6)),
    *(vitals(m, "store", latency=2.5, processor=2.5) for m in range(1, 6)),
]


def test_several_services_are_one_incident_that_names_the_one_at_fault() -> None:
    events = [*SICK_STORE, draft(4, "shop", own=0), draft(4, "cart"), draft(4, "store"), draft(5, "bank")]
    (found,) = told(events)
    assert (found.entity, found.kind, found.at) == ("service:store", DEGRADED, 4 * MINUTE + 1)
    assert found.reason == "Service store is bad. It shows at cart, shop too."
    assert found.evidence.features["shows_at"] == "service:cart, service:shop"


def test_a_service_that_nobody_flagged_can_be_named() -> None:
    quiet_store = [event for event in SICK_STORE if event.data["service"] != "store"]
    events = [*quiet_store, *well(range(1, 6), "store"), draft(4, "shop", own=0)]
    (found,) = told(events)
    assert found.entity == "service:store"
    assert found.reason.startswith("Service store is most likely at fault. It shows elsewhere: Service shop is bad.")


def test_where_no_suspect_is_likely_it_waits_and_then_names_where_the_trouble_shows() -> None:
    services = ("shop", "cart", "bank", "advert", "store")
    (found,) = told([*well(range(1, 7), *services), draft(4, "shop", own=0)])
    assert (found.entity, found.at) == ("service:shop", 5 * MINUTE + 1)
    assert "at fault is open:" in found.reason


def test_an_incident_ends_with_the_last_of_its_services() -> None:
    events = [*SICK_STORE, draft(4, "store"), draft(5, "shop", own=0)]
    events += [draft(8, "store", since=4, over=True), draft(9, "shop", since=5, over=True)]
    opened, over = told(events)
    assert shown([opened, over]) == [("store", DEGRADED, False), ("store", DEGRADED, True)]
    assert over.at == 9 * MINUTE + 1
    assert over.occurrence == f"{opened.occurrence} until {to_text(9 * MINUTE)}"
    assert "With it, the trouble of Service store counts as over." in over.reason


def test_a_service_to_blame_that_comes_to_fail_says_so_once() -> None:
    events = [*SICK_STORE, draft(4, "store"), draft(6, "store", FAILING, since=4), draft(7, "cart", FAILING)]
    assert shown(told(events)) == [("store", DEGRADED, False), ("store", FAILING, False)]


def test_a_later_service_with_signs_of_its_own_is_blamed_where_the_first_had_none() -> None:
    events = [
        *well(range(1, 20), "shop", "cart", "advert", "store"),
        *well(range(1, 6), "bank"),
        *(vitals(m, "bank", errors=2.5, latency=1.0) for m in range(6, 20)),
        draft(4, "shop", own=0),
        draft(8, "bank", FAILING),
        draft(15, "bank", FAILING, since=4, over=True),
        draft(15, "shop", since=4, over=True),
        draft(15, "bank", FAILING, since=8, over=True),
    ]
    found = told(events)
    assert shown(found)[:2] == [("shop", DEGRADED, False), ("bank", FAILING, False)]
    assert sorted(shown(found)[2:]) == [("bank", FAILING, True), ("bank", FAILING, True), ("shop", DEGRADED, True)]


def test_troubles_far_apart_are_two_incidents_unless_one_waits_for_the_other() -> None:
    events = [*SICK_STORE, draft(4, "store"), draft(30, "bank"), draft(31, "bank", since=30, over=True)]
    assert shown(told(events)) == [("store", DEGRADED, False), ("bank", DEGRADED, False), ("bank", DEGRADED, True)]
    caller = [*SICK_STORE, draft(4, "store"), draft(30, "shop"), draft(31, "shop", since=30, over=True)]
    assert shown(told(caller)) == [("store", DEGRADED, False)]


def test_the_end_of_what_a_service_found_before_there_was_a_fleet_stage_is_passed_on() -> None:
    (over,) = told([draft(9, "cart", since=4, over=True)])
    assert (over.entity, over.resolves) == ("service:cart", True)


def test_the_order_in_which_services_speak_does_not_matter() -> None:
    events = [*SICK_STORE, draft(4, "shop", own=0), draft(4, "cart"), draft(4, "store"), draft(5, "bank")]
    events += [draft(9, s, since=b, over=True) for s, b in (("shop", 4), ("cart", 4), ("store", 4), ("bank", 5))]
    expected = told(events)
    assert len(expected) == 2
    rng = random.Random(3)
    for _ in range(8):
        rng.shuffle(events)
        renamed = [msgspec.structs.replace(e, id=f"{rng.random()}") if e.type == "vitals" else e for e in events]
        assert told(renamed) == expected


def test_state_is_bounded_and_survives_messagepack() -> None:
    group: KeyedGroup[FleetState] = KeyedGroup(FleetLogic(RULE, CALLS), ("telemetry",))
    events: list[Any] = [*SICK_STORE, draft(4, "store"), draft(60, "bank"), *well(range(6, 61), "bank")]
    group.receive(Frame(0, "telemetry", 61 * MINUTE, events))
    group.advance()
    state = group.state_of("fleet")
    assert state is not None
    assert set(state.vitals) == {"bank"}
    assert len(state.vitals["bank"]) == 3
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=FleetState) == state


def test_what_does_not_belong_here_is_refused() -> None:
    logic = FleetLogic(RULE, CALLS)
    with pytest.raises(TypeError):
        logic.on_partial("fleet", FleetState(), None, None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="signal"):
        told([Event(MINUTE, "x", "fleet", "signal", {})])
    with pytest.raises(RecoveryError):
        logic.migrate(0, {})
