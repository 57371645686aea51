from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from config.clock import MINUTE, SECOND, to_text
from config.contracts import BUILT_IN, load_contracts
from config.events import Event
from operators.batch import RawBatch
from operators.channel import Channel, Counts, Taken
from operators.decode import Decoder
from operators.pane import Pane, feature
from operators.shedding import Rates, kept
from operators.window import aggregate, combine
from tests.support.cloudevents import ORDER, REQUEST, cloud_event
from tests.support.measures import Measure, merged, table

DECODER = Decoder(load_contracts(BUILT_IN))
START = 1_500_000_000 * SECOND
DAY = 86_400 * SECOND


def request(number: int, at: int = START, **data: Any) -> bytes:
    return cloud_event("request.completed", REQUEST | data, id=f"r{number}", time=to_text(at))


def order(number: int, at: int = START) -> bytes:
    return cloud_event("order.placed", ORDER | {"order_id": f"o{number}"}, id=f"o{number}", time=to_text(at))


def batch(values: list[bytes], first: int = 0) -> RawBatch:
    count = len(values)
    offsets = list(range(first, first + count))
    return RawBatch("telemetry", 0, offsets, [START // 1000] * count, [None] * count, list(values))


def channel(state: bytes | None = None) -> Channel:
    return Channel("telemetry", 0, DECODER, 5 * SECOND, 30 * DAY, state)


# -- which ones ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["r{}", "{:020}", "/shop/gateway|{}", "{}0000"])
@pytest.mark.parametrize("one_in", [2, 3, 10, 100])
def test_one_in_so_many_is_kept_however_like_the_ids_are(name: str, one_in: int) -> None:
    count = 40_000
    share = kept([name.format(number) for number in range(count)], np.full(count, one_in)).mean()
    assert share == pytest.approx(1 / one_in, rel=0.15)


def test_whoever_is_kept_at_a_low_rate_is_kept_at_every_higher_one() -> None:
    ids = [f"event-{number}" for number in range(5_000)]
    chosen = [set(np.flatnonzero(kept(ids, np.full(len(ids), one_in)))) for one_in in (1, 2, 5, 10, 1000)]
    assert len(chosen[0]) == len(ids)
    assert all(more > fewer for more, fewer in pairwise(chosen))


def test_what_is_chosen_is_the_same_for_ever() -> None:
    # Recordings of overload are replayed by later versions.
    ids = [f"event-{number}" for number in range(40)]
    assert np.flatnonzero(kept(ids, np.full(40, 5))).tolist() == KEPT_OF_FORTY


# -- rates by offset -------------------------------------------------------------------------------------------------


def test_a_rate_holds_from_its_offset_on() -> None:
    rates = Rates([])
    assert rates.at([0, 1]) is None
    rates.change(10, 2)
    rates.change(20, 5)
    assert _at(rates, 9, 10, 19, 20, 90) == [1, 2, 2, 5, 5]
    assert _at(rates, 20, 21) == [5, 5]
    assert (rates.current, rates.changed_at(20), rates.changed_at(10)) == (5, True, False)


def test_a_rate_at_which_nothing_was_read_leaves_no_trace() -> None:
    changes: list[tuple[int, int]] = []
    rates = Rates(changes)
    rates.change(10, 2)
    rates.change(10, 5)
    assert changes == [(10, 5)]
    rates.change(10, 1)
    assert changes == []
    rates.change(30, 1)
    assert changes == []


def test_rates_that_nobody_needs_are_forgotten() -> None:
    changes = [(10, 2), (20, 5), (30, 1)]
    Rates(changes).forget(before=19)
    assert changes == [(10, 2), (20, 5), (30, 1)]
    Rates(changes).forget(before=25)
    assert changes == [(20, 5), (30, 1)]
    Rates(changes).forget(before=30)
    assert changes == []


def _at(rates: Rates, *offsets: int) -> list[int]:
    found = rates.at(offsets)
    assert found is not None
    return [int(rate) for rate in found]


# -- decoding --------------------------------------------------------------------------------------------------------


def test_business_records_and_measured_telemetry_are_never_shed() -> None:
    measured = [
        cloud_event("sli.measured", {"service": "checkout", "metrics": {"latency_p95_s": 0.1}}, id=f"s{n}")
        for n in range(200)
    ]
    values = [order(n) for n in range(200)] + measured
    decoded = DECODER.decode(batch(values), np.full(400, 1000))
    assert (len(decoded), decoded.shed) == (400, 0)
    assert len(decoded.events()) == 200
    assert set(decoded.measures()["weight"]) == {1}


def test_a_contracts_floor_bounds_what_is_shed() -> None:
    values = [request(number) for number in range(2_000)]
    decoded = DECODER.decode(batch(values), np.full(2_000, 1000))
    assert 130 < len(decoded) < 270  # its floor is a tenth
    assert decoded.shed == 2_000 - len(decoded)
    assert set(decoded.measures()["weight"]) == {10}


def test_nothing_is_decoded_otherwise_when_nothing_is_sampled() -> None:
    values = [request(number) for number in range(50)]
    plain, full = DECODER.decode(batch(values)), DECODER.decode(batch(values), np.full(50, 1))
    assert "weight" not in plain.measures().columns
    assert full.measures().drop("weight").equals(plain.measures())
    assert plain.shed == full.shed == 0


def test_weights_stay_with_their_records_when_others_are_refused() -> None:
    values = [request(number, status="x" if number % 3 else 200) for number in range(300)]
    values += [request(number, at=0) for number in range(300, 400)]  # decoded, then refused for its time
    values += [order(number) for number in range(400, 500)]
    decoded = DECODER.decode(batch(values), np.where(np.arange(500) < 150, 2, 5))
    measures = decoded.measures()
    assert 60 < len(decoded.rejects) < 150  # those that were looked into
    assert decoded.shed + len(decoded.rejects) + len(decoded) == 500
    assert measures.filter(pl.col("offset") < 150)["weight"].unique().to_list() == [2]
    assert measures.filter(pl.col("offset") >= 150)["weight"].unique().to_list() == [5]
    assert len(decoded.events()) == 100


# -- a partition -----------------------------------------------------------------------------------------------------


def test_a_change_of_the_rate_is_released_with_the_record_from_which_it_holds() -> None:
    source = channel()
    source.take(batch([request(0), order(1)]))
    source.sample(5)
    assert source.take(batch([])).released == []
    told = source.take(batch([request(number) for number in range(2, 100)], 2)).released
    (event,) = told
    expected = {"topic": "telemetry", "partition": 0, "next_offset": 2, "one_in": 5, "shed": 0}
    assert (event.type, event.id, event.data) == ("sampling", "telemetry/0/2", expected)
    source.sample(5)
    assert source.take(batch([request(100)], 100)).released == []
    shed = source.counts.shed
    assert 60 < shed < 90
    source.sample(1)
    (event,) = source.take(batch([request(101)], 101)).released
    assert (event.data["one_in"], event.data["shed"]) == (1, shed)
    assert source.counts.accepted + source.counts.shed == source.counts.records == 102


def run(
    values: list[bytes], changes: dict[int, int], rng: random.Random
) -> tuple[list[Event], list[Event], dict[Any, Pane], Counts]:
    """Read a partition in random batches and with restarts, with the rate as told by offset."""
    source, offset = channel(), 0
    taken: list[Taken] = []
    while offset < len(values):
        if rng.random() < 0.3:
            source = channel(source.snapshot())
        if offset in changes:
            source.sample(changes[offset])
        border = min((at for at in changes if at > offset), default=len(values))
        end = min(offset + rng.randrange(1, 60), border)
        taken.append(source.take(batch(values[offset:end], offset)))
        offset = end
    partials = [
        partial
        for each in taken
        for group in combine(each.measures, "telemetry/0", MINUTE, 1).values()
        for partial in group
    ]
    events = [event for each in taken for event in each.events]
    # Of one batch, dead letters are released before late records.
    released = sorted((event for each in taken for event in each.released), key=lambda event: (event.seq, event.type))
    return events, released, merged(partials), source.counts


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_batches_and_restarts_do_not_matter_to_what_is_shed(seed: int) -> None:
    rng = random.Random(seed)
    at, values = START, []
    for number in range(600):
        at += rng.randrange(0, 2 * SECOND)
        wild = 400 * DAY if rng.random() < 0.02 else 0  # held until its clock is believed, or not
        late = -20 * SECOND if rng.random() < 0.02 else 0
        values.append((order if rng.random() < 0.1 else request)(rng.randrange(number + 1), at + wild + late))
    values[100] = b"{"
    changes = {offset: rng.choice([1, 2, 5, 10]) for offset in rng.sample(range(600), 6)}
    first, second = run(values, changes, rng), run(values, changes, rng)
    assert first == second
    counts = first[3]
    assert counts.shed > 0
    parts = (counts.accepted, counts.late, counts.duplicates, counts.rejected, counts.held, counts.shed)
    assert sum(parts) == counts.records == 600


def test_an_order_that_quotes_telemetry_is_none() -> None:
    quoted = '{"type":"request.completed","id":"r1"}'
    values = [
        cloud_event("order.cancelled", {"order_id": "o1", "customer_id": "c1", "reason": quoted}, id=f'","type":"{n}"')
        for n in range(100)
    ]
    assert len(DECODER.decode(batch(values), np.full(100, 1000)).events()) == 100


def test_what_cannot_be_read_is_rejected_as_ever() -> None:
    values = [b"{", b"[]", b"\xff", b"{}", b"[" * 5_000, request(1)[:-1], cloud_event("request.completed", {}, id=...)]
    decoded = DECODER.decode(batch(values), np.full(len(values), 10))
    plain = DECODER.decode(batch(values))
    assert decoded.rejects == plain.rejects
    assert len(decoded.rejects) == len(values)


def test_state_without_rates_is_read() -> None:
    source = channel()
    source.take(batch([request(0)]))
    state = msgspec.msgpack.decode(source.snapshot())
    counts = state[6]
    older = msgspec.msgpack.encode([*state[:6], counts[:6], *state[7:-1]])  # as a release before this wrote it
    resumed = channel(older)
    assert (resumed.next_offset, resumed.one_in, resumed.counts.shed) == (1, 1, 0)


# -- panes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [100, 2**40])
def test_a_record_counts_as_often_as_it_stands_for_others(size: int) -> None:
    rng = random.Random(7)
    rows = [
        Measure(
            key=rng.choice("ab"),
            at=rng.randrange(3 * MINUTE),
            value=rng.randrange(-size, size),
            failed=rng.random() < 0.3,
            customer=rng.choice(["c1", "c2", None]),
        )
        for _ in range(300)
    ]
    weights = [rng.choice([1, 2, 10]) for _ in rows]
    sample = table(rows).with_columns(weight=pl.Series(weights, dtype=pl.Int64))
    repeats = [row for row, weight in zip(rows, weights, strict=True) for _ in range(weight)]
    whole = table(repeats).with_columns(
        offset=pl.Series([n for n, weight in enumerate(weights) for _ in range(weight)], dtype=pl.Int64)
    )
    got = {(p.key, p.start): p for group in combine(sample, "t/0", MINUTE, 1).values() for p in group}
    expected = {(p.key, p.start): p for group in combine(whole, "t/0", MINUTE, 1).values() for p in group}
    assert got.keys() == expected.keys()
    for name, partial in got.items():
        seen = sum(row.key == name[0] and row.at // MINUTE * MINUTE == name[1] for row in rows)
        assert partial.shed == partial.count - seen
        assert _without_shed(partial) == _without_shed(expected[name])


def _without_shed(partial: Any) -> dict[str, Any]:
    return {name: getattr(partial, name) for name in partial.__struct_fields__ if name != "shed"}


def test_a_pane_knows_how_much_of_it_was_seen_however_it_was_merged() -> None:
    rows = [Measure(at=number) for number in range(12)]
    whole = aggregate(table(rows[:6]).with_columns(start=pl.lit(0)), "t/0")[0]
    sampled = table(rows[6:], 6).with_columns(start=pl.lit(0), weight=pl.lit(10, dtype=pl.Int64))
    part = aggregate(sampled, "t/0")[0]
    added, merged_ = Pane.of(part), Pane()
    added.add(whole)
    merged_.merge(Pane.of(whole))
    merged_.merge(Pane.of(part))
    assert added == merged_
    assert (added.count, added.seen, added.shed) == (66, 12, 54)
    assert added.quality == pytest.approx(12 / 66)
    assert Pane().quality == 1.0
    assert Pane.of(whole).quality == 1.0


@pytest.mark.slow
def test_features_of_a_sample_are_those_of_all_records_but_for_chance() -> None:
    rng = random.Random(3)
    values, at = [], START
    for number in range(20_000):
        at += 3000
        # In the second half, when few are looked at, one in two fails: unweighted, the rate would come out far too low.
        bad = number >= 10_000 and rng.random() < 0.5
        values.append(request(number, at, status=500 if bad else 200, duration_ms=round(rng.expovariate(0.01), 3)))
    panes = [run_whole(values, changes) for changes in ({}, {10_000: 10})]
    truth, sample = ({name: feature(pane, name, 1000) for name in FEATURES} for pane in panes)
    assert panes[1].seen < 12_000
    assert truth["failure_rate"] == pytest.approx(0.25, abs=0.02)
    for name in FEATURES:
        assert sample[name] == pytest.approx(truth[name], rel=0.1), name


FEATURES = ("count", "failure_rate", "mean", "deviation", "p50", "p95")
KEPT_OF_FORTY = [0, 3, 11, 14, 17, 19, 35]


def run_whole(values: list[bytes], changes: dict[int, int]) -> Pane:
    source, whole = channel(), Pane()
    for offset in range(0, len(values), 5_000):
        if offset in changes:
            source.sample(changes[offset])
        taken = source.take(batch(values[offset : offset + 5_000], offset))
        for group in combine(taken.measures, "telemetry/0", 1_000 * MINUTE, 1).values():
            for partial in group:
                whole.add(partial)
    return whole
