from __future__ import annotations

import msgspec
import pytest

from config.agents.load import DetectorEntry, Manifest, Reads
from config.clock import DAY, MINUTE, to_text
from config.errors import SettingsError
from config.findings import DATA_QUALITY, Finding
from operators.agents.outage import OutageAgent, OutageState
from operators.keyed import KeyedGroup
from operators.telemetry import TelemetryLogic
from tests.support.measures import Measure
from tests.support.telemetry import (
    CHANNEL,
    MANIFEST,
    STREAMS,
    emitted,
    feed,
    findings,
    requests,
    telemetry_group,
)

CALM = range(60)


def test_a_calm_service_leads_to_no_finding() -> None:
    assert findings(emitted(requests(range(300)), 400 * MINUTE)) == []


def test_an_incident_is_one_finding_and_one_resolution() -> None:
    rows = requests(CALM) + requests(range(60, 80), slow=8) + requests(range(80, 120))
    opened, resolved = findings(emitted(rows, 121 * MINUTE))
    assert (opened.kind, opened.entity, opened.resolves) == ("service.degraded", "service:checkout", False)
    assert opened.occurrence == to_text(60 * MINUTE)
    assert opened.at == 62 * MINUTE
    assert (resolved.kind, resolved.resolves) == ("service.degraded", True)
    assert resolved.at == 82 * MINUTE
    assert resolved.finding_id != opened.finding_id


def test_a_single_bad_pane_is_no_incident() -> None:
    rows = requests(CALM) + requests(range(60, 61), slow=8) + requests(range(61, 120))
    assert findings(emitted(rows, 121 * MINUTE)) == []


def test_a_short_relief_does_not_end_an_incident() -> None:
    rows = requests(CALM)
    for minute in range(60, 100):
        rows += requests(range(minute, minute + 1), slow=1 if minute % 5 == 4 else 8)
    rows += requests(range(100, 130))
    assert [finding.resolves for finding in findings(emitted(rows, 131 * MINUTE))] == [False, True]


def test_the_next_incident_is_another_occurrence() -> None:
    rows = requests(CALM) + requests(range(60, 70), slow=8) + requests(range(70, 100))
    rows += requests(range(100, 110), slow=8) + requests(range(110, 130))
    found = findings(emitted(rows, 131 * MINUTE))
    assert [finding.resolves for finding in found] == [False, True, False, True]
    assert len({finding.finding_id for finding in found}) == 4


def test_mass_failure_is_failing_even_before_anything_was_learned() -> None:
    (opened,) = findings(emitted(requests(range(5), failing=0.8), 6 * MINUTE))
    assert (opened.kind, opened.severity) == ("service.failing", "critical")


def test_a_degraded_service_that_comes_to_fail_says_so_and_both_are_resolved() -> None:
    rows = requests(CALM) + requests(range(60, 65), failing=0.15) + requests(range(65, 70), failing=0.9)
    rows += requests(range(70, 90))
    found = findings(emitted(rows, 91 * MINUTE))
    assert [(finding.kind, finding.resolves) for finding in found] == [
        ("service.degraded", False),
        ("service.failing", False),
        ("service.degraded", True),
        ("service.failing", True),
    ]
    assert found[0].occurrence == found[1].occurrence


def test_a_failing_service_that_is_only_slow_by_now_needs_no_second_finding() -> None:
    rows = requests(CALM) + requests(range(60, 64), failing=0.9) + requests(range(64, 70), slow=8)
    assert [finding.kind for finding in findings(emitted(rows, 71 * MINUTE))] == ["service.failing"]


@pytest.mark.parametrize(("bad", "found"), [((60, 62), 2), ((60, 63), 0)])
def test_bad_panes_open_an_incident_only_when_close_together(bad: tuple[int, int], found: int) -> None:
    rows = []
    for minute in range(90):
        rows += requests(range(minute, minute + 1), slow=8 if minute in bad else 1)
    assert len(findings(emitted(rows, 91 * MINUTE))) == found


def test_bad_panes_of_one_incident_do_not_open_the_next() -> None:
    detectors = [
        msgspec.structs.replace(entry, parameters={**entry.parameters, "within_panes": 5, "close_panes": 1})
        if entry.name == "episode"
        else entry
        for entry in MANIFEST.detectors
    ]
    agent = OutageAgent(msgspec.structs.replace(MANIFEST, detectors=detectors))
    group = KeyedGroup(TelemetryLogic(STREAMS, agent, DAY), [CHANNEL])
    rows = []
    for minute in range(65):
        rows += requests(range(minute, minute + 1), slow=8 if minute in (60, 61, 63) else 1)
    feed(group, rows, 0, 66 * MINUTE)
    assert [finding.resolves for finding in findings(group.advance())] == [False, True]


def test_no_detector_learns_while_an_incident_is_open() -> None:
    group = telemetry_group()
    rows = machine(CALM) + machine(range(60, 70), cpu_percent=120, memory_percent=90)
    offset = 0
    weights = []
    for rows_until in (60, 70):
        batch = [row for row in rows[offset:] if row.at < rows_until * MINUTE]
        feed(group, batch, offset, rows_until * MINUTE + 1)
        offset += len(batch)
        group.advance()
        state = group.state_of("cart")
        assert state is not None
        weights.append(state.outage.detectors["memory_percent"][0])
    assert weights == [60, 60]


def test_few_requests_are_not_judged() -> None:
    assert findings(emitted(requests(range(20), failing=1.0, per_minute=5), 30 * MINUTE)) == []


def test_evidence_selects_the_records_again() -> None:
    rows = requests(CALM) + requests(range(60, 70), slow=8)
    (opened,) = findings(emitted(rows, 71 * MINUTE))
    (query,) = opened.evidence.queries
    assert (query.key, query.metric, query.contract) == ("checkout", "duration_ms", "request.completed@1.0.0")
    assert (query.since, query.until) == (61 * MINUTE, 62 * MINUTE)
    first, last = query.spans["telemetry/0"]
    selected = [row for row in rows[first : last + 1] if query.since <= row.at < query.until]
    assert len(selected) == 40
    assert opened.evidence.features["request_latency_p95_ms"] == pytest.approx(8 * 80 * 1.9, rel=0.05)
    expected = opened.evidence.features["request_latency_p95_ms_expected"]
    assert expected == pytest.approx(80 * 1.9, rel=0.05)


def test_the_reason_is_one_sentence_with_figures() -> None:
    (opened,) = findings(emitted(requests(CALM) + requests(range(60, 70), slow=8), 71 * MINUTE))
    assert opened.reason.startswith("Service checkout works worse than usual since 1970-01-01 01:00 UTC: response time")
    assert "usually about 15" in opened.reason
    assert opened.reason.count(". ") == 0
    assert opened.reason.endswith(".")


def test_a_change_that_lasts_becomes_normal_and_nobody_calls_it_a_recovery() -> None:
    rows = requests(CALM) + requests(range(60, 480), slow=8) + requests(range(480, 500), slow=80)
    found = findings(emitted(rows, 501 * MINUTE))
    assert [finding.resolves for finding in found] == [False, True, False]
    assert 420 * MINUTE <= found[1].at <= 430 * MINUTE
    assert "has not recovered" in found[1].reason
    assert found[1].confidence < 0.9


def test_hours_of_trouble_are_not_called_over() -> None:
    rows = requests(CALM) + requests(range(60, 360), slow=8) + requests(range(360, 380))
    _, resolved = findings(emitted(rows, 381 * MINUTE))
    assert resolved.at == 362 * MINUTE
    assert "back within its usual range" in resolved.reason


def test_an_incident_of_a_service_that_falls_silent_is_closed_unconfirmed() -> None:
    rows = requests(CALM) + requests(range(60, 70), slow=8)
    opened, closed = findings(emitted(rows, 200 * MINUTE))
    assert closed.resolves
    assert closed.at == 70 * MINUTE + MANIFEST.detector("episode").parameters["silence_minutes"] * MINUTE
    assert "no measurements" in closed.reason
    assert closed.confidence < 0.9
    assert opened.entity == closed.entity


def machine(minutes: range, **metrics: float) -> list[Measure]:
    usual = {"cpu_percent": 20.0, "memory_percent": 40.0, "server_latency_p95_s": 0.1}
    contract = "service.measured@1.0.0"
    return [
        Measure("cart", name, minute * MINUTE + 5, int(value * 1e6 * (1 + minute % 7 / 50)), contract=contract)
        for minute in minutes
        for name, value in {**usual, **metrics}.items()
    ]


def test_a_mild_sign_of_wear_is_not_enough() -> None:
    rows = machine(CALM) + machine(range(60, 70), memory_percent=90)
    assert findings(emitted(rows, 75 * MINUTE)) == []


def test_a_shift_that_has_gone_on_for_some_panes_opens_an_incident_and_a_single_pane_does_not() -> None:
    once = machine(CALM) + machine(range(60, 61), server_latency_p95_s=0.9) + machine(range(61, 70))
    lasting = machine(CALM) + machine(range(60, 64), server_latency_p95_s=0.9) + machine(range(64, 70))
    assert findings(emitted(once, 71 * MINUTE)) == []
    opened, resolved = findings(emitted(lasting, 71 * MINUTE))
    assert (opened.at, resolved.at) == (63 * MINUTE, 66 * MINUTE)


def test_it_judges_soon_after_a_series_begins() -> None:
    (opened,) = findings(emitted(machine(range(3)) + machine(range(3, 8), cpu_percent=90), 8 * MINUTE))
    assert opened.at <= 8 * MINUTE


def test_every_pane_tells_the_fleet_of_the_signs_of_a_service() -> None:
    rows = machine(CALM) + machine(range(60, 61), server_latency_p95_s=0.9)
    vitals = [event for to, event in emitted(rows, 62 * MINUTE) if to == "fleet" and event.type == "vitals"]
    assert [event.at for event in vitals] == [minute * MINUTE for minute in range(1, 62)]
    assert vitals[-1].data["service"] == "cart"
    assert vitals[-1].data["signs"]["latency"] > 1 > 0 > vitals[-1].data["signs"]["processor"]


def test_one_very_strong_sign_is_enough() -> None:
    rows = machine(CALM, cpu_percent=0.5) + machine(range(60, 70), cpu_percent=100)
    (opened,) = findings(emitted(rows, 66 * MINUTE))
    assert "processor use (%) is 1" in opened.reason


def test_state_survives_messagepack() -> None:
    state = OutageState({"a": [1.0, 2.0, 3.0, []]}, [5])
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=OutageState) == state


def changed(**entry: object) -> Manifest:
    fields = {
        "name": "odd",
        "method": "gaussian",
        "reads": Reads("sli.measured", "x", "mean"),
        "finds": "service.degraded",
        "parameters": {"direction": "up"},
        **entry,
    }
    return msgspec.structs.replace(MANIFEST, detectors=[*MANIFEST.detectors, DetectorEntry(**fields)])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"method": "oracle"}, "detectors: odd: method is 'oracle'"),
        ({"finds": ""}, "odd: finds"),
        ({"parameters": {"direction": "sideways"}}, "odd: parameters"),
        ({"parameters": {"direction": "up", "grace": 1}}, "grace"),
        ({"reads": Reads("sli.measured", "x", "mean", over="soon")}, "odd: reads.over"),
        ({"reads": Reads("sli.measured", "x", "median")}, "odd: reads.feature"),
    ],
)
def test_a_manifest_that_cannot_run_is_refused(entry: dict[str, object], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        OutageAgent(changed(**entry))


def sampled_incident(one_in: int, per_minute: int = 40) -> list[Finding]:
    """The findings of an incident during which so few requests were looked at that 40 a minute were left."""
    group = telemetry_group()
    calm, after = requests(CALM), requests(range(80, 120))
    slow = requests(range(60, 80), slow=8, per_minute=per_minute)
    feed(group, calm, 0, 60 * MINUTE)
    feed(group, slow, len(calm), 80 * MINUTE, one_in=one_in)
    feed(group, after, len(calm) + len(slow), 121 * MINUTE)
    return findings(group.advance())


def test_a_finding_on_a_sample_is_less_certain_and_says_why() -> None:
    whole, sampled = sampled_incident(1)[0], sampled_incident(10)[0]
    assert (sampled.kind, sampled.at, sampled.severity) == (whole.kind, whole.at, whole.severity)
    assert sampled.confidence == pytest.approx(whole.confidence * 0.55)
    assert DATA_QUALITY not in whole.evidence.features
    assert sampled.evidence.features[DATA_QUALITY] == 0.1
    assert sampled.reason == f"{whole.reason} Only 10% of its records were looked at, for there were too many."


def test_a_sample_of_too_few_records_is_not_judged_however_many_it_stands_for() -> None:
    # The manifest asks for 20 of them.
    assert [each.resolves for each in sampled_incident(10, per_minute=20)] == [False, True]
    assert sampled_incident(10, per_minute=19) == []


def test_an_end_told_from_a_sample_is_less_certain_too() -> None:
    rows = requests(CALM) + requests(range(60, 80), slow=8)
    ends = []
    for one_in in (1, 5):
        group = telemetry_group()
        feed(group, rows, 0, 80 * MINUTE)
        feed(group, requests(range(80, 120)), len(rows), 121 * MINUTE, one_in=one_in)
        ends.append(findings(group.advance())[1])
    assert all(end.resolves for end in ends)
    assert ends[1].confidence == pytest.approx(ends[0].confidence * 0.6)
    assert ends[1].reason.endswith("Only 20% of its records were looked at, for there were too many.")
