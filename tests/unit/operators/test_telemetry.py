from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from config.agents.load import DetectorEntry, Reads
from config.clock import DAY, HOUR, MINUTE
from config.errors import RecoveryError, SettingsError
from config.events import BROADCAST, Event
from operators.agents.outage import OutageAgent
from operators.keyed import KeyedGroup
from operators.telemetry import TelemetryLogic
from tests.support.measures import Measure
from tests.support.telemetry import (
    CHANNEL,
    MANIFEST,
    STREAMS,
    Emitted,
    emitted,
    feed,
    findings,
    requests,
    telemetry_group,
)


def lane(day: int, hours: float, metric: str = "transit_hours") -> Measure:
    return Measure("SP-RJ", metric, day * DAY + HOUR, int(hours * 1e6), contract="fulfilment.measured@1.0.0")


def events(emissions: Emitted, kind: str) -> list[Event]:
    return [event for _, event in emissions if event.type == kind]


def test_a_lanes_window_is_told_to_all_journeys_when_a_day_with_data_ends() -> None:
    out = emitted([lane(0, 10), lane(0, 30), lane(2, 50)], 10 * DAY)
    assert [(to, event.key, event.at) for to, event in out] == [("journey", BROADCAST, day * DAY) for day in (1, 3)]
    data = out[1][1].data
    assert (data["entity"], data["name"], data["at"]) == ("lane:SP-RJ", "transit_hours", 3 * DAY)
    assert data["since"] == 3 * DAY - 28 * DAY
    assert data["features"]["count"] == 3
    assert data["features"]["mean"] == pytest.approx(30)
    assert data["features"]["p50"] == pytest.approx(30, rel=0.01)
    assert data["features"]["p90"] == 50
    assert data["features"]["latest"] == 50


def test_a_signals_window_forgets_what_is_older() -> None:
    out = emitted([lane(0, 10), lane(27, 20), lane(28, 30)], 40 * DAY)
    assert [event.data["features"]["count"] for event in events(out, "signal")] == [1, 2, 2]


def test_each_metric_has_its_own_signal_and_id() -> None:
    signals = events(emitted([lane(0, 1), lane(0, 2, "handover_hours")], 2 * DAY), "signal")
    assert [event.data["name"] for event in signals] == ["handover_hours", "transit_hours"]
    assert len({event.id for event in signals}) == 2


def test_requests_are_no_fleet_signal() -> None:
    assert events(emitted(requests(range(10)), HOUR), "signal") == []


def test_stock_is_told_with_its_latest_level() -> None:
    rows = [
        Measure("p1", "on_hand", minute * MINUTE, level * 1000, contract="inventory.level@1.0.0")
        for minute, level in ((5, 9), (50, 3), (20, 6))
    ]
    (signal,) = events(emitted(rows, 2 * HOUR), "signal")
    assert signal.data["entity"] == "product:p1"
    assert signal.data["features"]["latest"] == 3


def test_each_warehouses_level_is_told_to_the_cause_stage_when_its_hour_ends() -> None:
    rows = [
        Measure("p1", warehouse, minute * MINUTE, level * 1000, contract="inventory.level@1.1.0")
        for warehouse, minute, level in (("w1", 5, 9), ("w1", 50, 3), ("w2", 20, 6))
    ]
    told = [(to, event) for to, event in emitted(rows, 2 * HOUR) if event.type == "stock"]
    assert [(to, event.key, event.at) for to, event in told] == [("cause", "product:p1", HOUR)] * 2
    assert [(event.data["warehouse"], event.data["on_hand"], event.data["at"]) for _, event in told] == [
        ("w1", 3.0, 50 * MINUTE),
        ("w2", 6.0, 20 * MINUTE),
    ]
    assert len({event.id for _, event in told}) == 2


def test_customers_of_failed_requests_are_told_to_the_cause_stage_and_the_fleet() -> None:
    out = emitted(requests(range(2), failing=0.05), HOUR)
    told = [event for to, event in out if to == "fleet"]
    assert [event for to, event in out if to == "cause"] == [replace(event, key=event.data["entity"]) for event in told]
    assert {event.key for event in told} == {"fleet"}
    assert [(to, event.key, event.at, event.data) for to, event in out if to == "cause"] == [
        (
            "cause",
            "service:checkout",
            (minute + 1) * MINUTE,
            {
                "entity": "service:checkout",
                "at": minute * MINUTE,
                "until": (minute + 1) * MINUTE,
                "customers": [f"c{minute}-0", f"c{minute}-1"],
            },
        )
        for minute in range(2)
    ]


def test_a_pane_stays_open_until_time_has_passed_it() -> None:
    group = telemetry_group()
    feed(group, [lane(0, 1)], 0, DAY)
    assert group.advance() == []
    feed(group, [], 1, DAY + 1)
    assert len(group.advance()) == 1


def test_state_of_a_key_is_bounded_by_its_windows() -> None:
    group = telemetry_group()
    for day in range(100):
        feed(group, [lane(day, 1)], day, day * DAY)
        group.advance()
    state = group.state_of("SP-RJ")
    assert state is not None
    (series,) = state.series.values()
    assert len(series.closed) == 27
    assert len(series.open) <= 2


def test_metrics_that_nobody_reads_leave_nothing_behind() -> None:
    group = telemetry_group()
    row = Measure("cart", "odd_metric", 0, 1, contract="service.measured@1.0.0")
    feed(group, [row], 0, HOUR)
    group.advance()
    state = group.state_of("cart")
    assert state is not None
    assert state.series == {}


def test_closed_panes_forget_the_customers_that_were_told() -> None:
    entry = DetectorEntry(
        "slow", "gaussian", Reads("request.completed", "duration_ms", "p95", over="5m"), "service.degraded",
        parameters={"direction": "up"},
    )  # fmt: skip
    agent = OutageAgent(msgspec.structs.replace(MANIFEST, detectors=[*MANIFEST.detectors, entry]))
    group = KeyedGroup(TelemetryLogic(STREAMS, agent, DAY), [CHANNEL])
    feed(group, requests(range(10), failing=0.5), 0, HOUR)
    assert len([event for to, event in group.advance() if (to, event.type) == ("cause", "touched")]) == 10
    state = group.state_of("checkout")
    assert state is not None
    (series,) = state.series.values()
    assert len(series.closed) == 4
    assert all(pane.touched == {} for pane in series.closed.values())


def test_a_key_without_measures_is_forgotten() -> None:
    group = telemetry_group()
    feed(group, [lane(0, 1)], 0, 31 * DAY)
    group.advance()
    assert group.keys == 1
    feed(group, [], 1, 31 * DAY + 1)
    group.advance()
    assert group.keys == 0


def test_panes_that_came_ahead_of_their_time_outlive_the_forgetting() -> None:
    rows = [lane(0, 10), lane(400, 20), lane(401, 30)]
    group = telemetry_group()
    feed(group, rows[:1], 0, 200 * DAY)
    later = group.advance()
    feed(group, rows[1:], 1, 500 * DAY)
    later += group.advance()
    at_once = emitted(rows, 500 * DAY)
    assert [e.data["features"]["count"] for e in events(at_once, "signal")] == [1, 1, 2]
    assert at_once == later


def incident() -> list[Measure]:
    rows = requests(range(60)) + requests(range(60, 75), slow=8, failing=0.3) + requests(range(75, 95))
    rows += [lane(0, hours) for hours in range(5)]
    return sorted(rows, key=lambda row: row.at)


@pytest.mark.parametrize("seed", range(5))
def test_results_do_not_depend_on_batches_partitions_or_restarts(seed: int) -> None:
    rng = random.Random(seed)
    channels = ("telemetry/0", "telemetry/1")
    parts = [incident()[::2], incident()[1::2]]
    whole = telemetry_group(channels)
    for channel, part in zip(channels, parts, strict=True):
        feed(whole, part, 0, 3 * DAY, channel)
    expected = whole.advance()
    assert [finding.resolves for finding in findings(expected)] == [False, True]
    assert len(expected) > 15

    group, out = telemetry_group(channels), []
    next_row = [0, 0]
    log = [group.whole()]
    while any(next_row[number] < len(parts[number]) for number in (0, 1)):
        number = rng.randrange(2)
        begin, part = next_row[number], parts[number]
        end = min(len(part), begin + rng.randint(1, 900))
        next_row[number] = end
        watermark = part[end].at if end < len(part) else 3 * DAY
        feed(group, part[begin:end], begin, watermark, channels[number])
        out += group.advance()
        log.append(group.delta())
        if rng.random() < 0.3:
            group = telemetry_group(channels)
            group.restore(log)
    assert out == expected


def test_events_are_refused_since_sources_send_partials() -> None:
    logic = TelemetryLogic(STREAMS, OutageAgent(MANIFEST), DAY)
    event = Event(0, "id", "k", "order.placed", {})
    none: Any = None
    with pytest.raises(TypeError, match=r"order\.placed"):
        logic.on_event("k", logic.new_state("k"), event, none)


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(RecoveryError, match="version 7"):
        TelemetryLogic(STREAMS, OutageAgent(MANIFEST), DAY).migrate(7, {})


@pytest.mark.parametrize("reads", [Reads("order.placed", "x", "mean"), Reads("sli.measured", "x", "mean", over="7m")])
def test_an_agent_that_reads_what_there_is_not_is_refused(reads: Reads) -> None:
    entry = DetectorEntry("odd", "gaussian", reads, "service.degraded", parameters={"direction": "up"})
    manifest = msgspec.structs.replace(MANIFEST, detectors=[*MANIFEST.detectors, entry])
    with pytest.raises(SettingsError, match=reads.type):
        TelemetryLogic(STREAMS, OutageAgent(manifest), DAY)
