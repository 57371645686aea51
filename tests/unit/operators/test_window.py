from __future__ import annotations

import pickle

from config.identity import key_group
from operators.pane import Pane
from operators.streams import Stream
from operators.window import Closed, combine, slide
from tests.support.measures import Measure, merged, table


def test_an_event_on_the_border_belongs_to_the_pane_it_begins() -> None:
    rows = [Measure(at=at) for at in (-61, -60, -1, 0, 59, 60)]
    panes = merged(combine(table(rows), "telemetry/0", 60, 1)[0])
    assert {start: pane.count for (_, _, start), pane in panes.items()} == {-120: 1, -60: 2, 0: 2, 60: 1}


def test_each_type_has_its_own_panes() -> None:
    rows = [
        Measure(at=150, contract="request.completed@1"),
        Measure(at=150, contract="fulfilment.measured@2", key="SP-RJ"),
        Measure(at=60_000_001, contract="sli.measured@1", key="front"),
    ]
    partials = combine(table(rows), "telemetry/0", {"request.completed": 100, "fulfilment.measured": 1000}, 1)[0]
    assert [partial.start for partial in partials] == [100, 0, 60_000_000]


def test_partials_are_sorted_by_the_group_of_their_key() -> None:
    keys = [f"service-{number}" for number in range(20)]
    groups = combine(table([Measure(key=key) for key in keys]), "telemetry/0", 60, 7)
    assert {partial.key: group for group, found in groups.items() for partial in found} == {
        key: key_group(key, 7) for key in keys
    }


def test_the_same_metric_of_two_types_is_two_series() -> None:
    rows = [
        Measure(metric="success_percent", contract=contract) for contract in ("service.measured@1", "sli.measured@1")
    ]
    partials = combine(table(rows), "telemetry/0", 60, 1)[0]
    assert [partial.contract for partial in partials] == ["service.measured@1", "sli.measured@1"]


def test_an_empty_batch_gives_nothing() -> None:
    assert combine(table([]), "telemetry/0", 60, 4) == {}


def test_partials_cross_processes() -> None:
    groups = combine(table([Measure(value=2**62, failed=True, customer="c")]), "telemetry/0", 60, 1)
    assert pickle.loads(pickle.dumps(groups)) == groups


def test_a_sliding_window_holds_what_lies_within_it() -> None:
    closed = {start: Pane(count=1, spans={"t/0": (start, start)}, contract="c") for start in (0, 60, 120, 180, 240)}
    window = slide(closed, 240, 120)
    assert window.count == 2
    assert window.spans == {"t/0": (120, 180)}


def test_a_window_over_silence_is_empty() -> None:
    assert slide({0: Pane(count=1)}, 600, 120) == Pane()


def test_a_closed_series_tells_features_of_its_pane_and_windows() -> None:
    stream = Stream(
        type="sli.measured", entity="service", pane=60, windows=(120,), signals=False, units={}, unit_else=10
    )
    rows = [Measure(at=at, value=value) for at, value in ((0, 500), (60, 100), (120, 300))]
    panes = {start: pane for (_, _, start), pane in merged(combine(table(rows), "t/0", 60, 1)[0]).items()}
    closed = Closed(stream, "latency", 120, panes)
    assert closed.end == 180
    assert closed.feature("mean") == 30
    assert closed.feature("mean", 120) == 20
    assert closed.feature("count", 180) == 3
