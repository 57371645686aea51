"""The records of a world: how many, in what order, of what shape; what is wrong with some on purpose."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from hashlib import blake2b
from itertools import groupby
from typing import TYPE_CHECKING, Literal

import msgspec
import pytest

from config.clock import HOUR, SECOND
from config.contracts.compile import compile_contracts
from config.contracts.load import BUILT_IN, load_contracts
from config.errors import UsageError
from replay.world import Spec, World

if TYPE_CHECKING:
    from tests.unit.replay.world.conftest import Taken

pytestmark = pytest.mark.slow

DIGEST = """
from hashlib import blake2b
from replay.world import Spec, World
digest = blake2b()
for batch in World(Spec(3, 3_000, 21)).batches():
    digest.update(repr((batch.channel, batch.offsets, batch.timestamps, batch.keys, batch.values)).encode())
print(digest.hexdigest())
"""


def digest(spec: Spec) -> str:
    made = blake2b()
    for b in World(spec).batches():
        made.update(repr((b.channel, b.offsets, b.timestamps, b.keys, b.values)).encode())
    return made.hexdigest()


def test_same_seed_makes_the_same_bytes_in_another_process() -> None:
    other = subprocess.run(
        [sys.executable, "-c", DIGEST], env={"PYTHONHASHSEED": "5", "PYTHONPATH": "."}, capture_output=True, check=True
    )
    assert other.stdout.decode().strip() == digest(Spec(3, 3_000, 21))


def test_another_seed_makes_other_bytes() -> None:
    assert digest(Spec(3, 3_000, 21)) != digest(Spec(4, 3_000, 21))


@pytest.mark.parametrize(
    ("events", "days", "mix"),
    [
        (2_000, 7, "full"),
        (6_000, 60, "telemetry"),
        (20_000, 21, "full"),
        (20_000, 7, "telemetry"),
        pytest.param(900_000, 7, "full", marks=pytest.mark.slow),
    ],
)
def test_a_world_has_as_many_events_as_asked_for(events: int, days: int, mix: Literal["full", "telemetry"]) -> None:
    made = sum(len(batch) for batch in World(Spec(1, events, days, mix)).batches())
    assert abs(made - events) <= events * 0.01


def test_a_tenth_of_a_full_world_is_business(world: Taken) -> None:
    topics = Counter(r.topic for r in world.records)
    assert 0.08 <= (topics["orders"] + topics["crm"]) / len(world.records) <= 0.12


def test_a_telemetry_world_holds_nothing_else() -> None:
    spec = Spec(2, 5_000, 21, mix="telemetry")
    world = World(spec)
    made = list(world.batches())
    labels = world.labels()
    assert {batch.topic for batch in made} == {"telemetry"}
    broken = {(m.partition, m.offset) for m in labels.malformed}
    kinds = {
        msgspec.json.decode(v or b"")["type"]
        for b in made
        for o, v in zip(b.offsets, b.values, strict=True)
        if (b.partition, o) not in broken
    }
    assert kinds == {"request.completed", "service.measured", "sli.measured", "fulfilment.measured"}
    assert {issue.agent for issue in labels.issues} == {"outage"}
    assert all(issue.harm_at is None for issue in labels.issues)


def test_every_type_of_the_shop_occurs(told: Taken) -> None:
    made = {r.event["type"] for r in told.well()}
    assert made == {contract.type for contract in load_contracts(BUILT_IN) if contract.flow != "control"}


@pytest.mark.parametrize("name", ["world", "told"])
def test_contracts_accept_every_record_but_the_malformed(name: str, request: pytest.FixtureRequest) -> None:
    world: Taken = request.getfixturevalue(name)
    decoder = compile_contracts(load_contracts(BUILT_IN)).decoder
    broken = {(m.topic, m.partition, m.offset): m.fault for m in world.labels.malformed}
    refused = {}
    for r in world.records:
        try:
            decoder.decode(r.value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            refused[r.topic, r.partition, r.offset] = broken.get((r.topic, r.partition, r.offset), "well-formed")
    assert refused == {place: fault for place, fault in broken.items() if fault != "wild-clock"}
    assert set(broken.values()) == {
        "not-json", "not-utf8", "not-cloudevent", "unknown-type", "wrong-type", "null-required", "wild-clock",
    }  # fmt: skip


def test_the_malformed_are_a_handful_in_a_world_of_any_size() -> None:
    from replay.world.faults import faults

    assert len(faults(Spec(1, 20_000_000, 21))) == 24


def test_offsets_are_consecutive_in_each_partition(world: Taken) -> None:
    for _, part in groupby(world.records, key=lambda r: (r.topic, r.partition)):
        offsets = [r.offset for r in part]
        assert offsets == list(range(len(offsets)))


def test_a_record_carries_its_subject_as_key_and_its_event_time_as_timestamp(world: Taken) -> None:
    assert all(r.key.decode() == r.event["subject"] and r.timestamp == r.at // 1000 for r in world.well())


def test_a_key_stays_in_one_partition(world: Taken) -> None:
    places: dict[tuple[str, bytes], set[int]] = {}
    for r in world.well():
        places.setdefault((r.topic, r.key), set()).add(r.partition)
    assert all(len(partitions) == 1 for partitions in places.values())
    assert len({r.partition for r in world.records if r.topic == "orders"}) == 3


def test_events_lie_within_the_world(world: Taken) -> None:
    first = world.spec.slices[0][0]
    assert all(first <= r.at < world.spec.until for r in world.well())


def behind(world: Taken, topic: str) -> list[int]:
    """By how much each record is older than the newest before it in its partition, where it is, µs."""
    found = []
    for _, part in groupby((r for r in world.well() if r.topic == topic), key=lambda r: r.partition):
        newest = 0
        for r in part:
            if r.at < newest:
                found.append(newest - r.at)
            newest = max(newest, r.at)
    return found


def test_telemetry_is_a_few_seconds_out_of_order_and_a_few_records_are_late(world: Taken) -> None:
    disorder = behind(world, "telemetry")
    late = [span for span in disorder if span > HOUR]
    assert 1 <= len(late) <= 30
    assert max(span for span in disorder if span <= HOUR) <= 8 * SECOND
    assert len(disorder) > 100


def test_orders_are_in_order_but_for_repeated_records(world: Taken) -> None:
    again = Counter(r.event["id"] for r in world.well() if r.topic == "orders")
    assert len(behind(world, "orders")) <= sum(n > 1 for n in again.values())


@pytest.mark.parametrize("topic", ["orders", "crm", "telemetry"])
def test_some_records_come_twice_soon_after_each_other(world: Taken, topic: str) -> None:
    by_id: dict[str, list[bytes]] = {}
    for r in world.well():
        if r.topic == topic:
            by_id.setdefault(r.event["source"] + "|" + r.event["id"], []).append(r.value)
    repeated = [values for values in by_id.values() if len(values) > 1]
    assert 1 <= len(repeated) <= 60
    assert all(len(values) == 2 and values[0] == values[1] for values in repeated)


def test_days_and_weeks_have_their_seasons(world: Taken) -> None:
    start = world.spec.slices[0][0]
    hours = [(r.at - start) // HOUR for r in world.of("request.completed")]
    by_hour = Counter(h % 24 for h in hours)
    assert by_hour[17] > 2 * by_hour[4]
    workdays = sum(h // 24 % 7 < 5 for h in hours) / 5
    assert workdays > 1.2 * sum(h // 24 % 7 >= 5 for h in hours) / 2


def test_a_field_appears_that_was_not_there_before(world: Taken) -> None:
    new = [r.at for r in world.of("request.completed") if "region" in r.event["data"]]
    old = [r.at for r in world.of("request.completed") if "region" not in r.event["data"]]
    assert max(old) < min(new)


def test_slices_bound_what_is_made_at_once() -> None:
    for events in (3_000, 1_000_000, 20_000_000, 200_000_000):
        spec = Spec(1, events, 21)
        assert events / len(spec.slices) <= 50_000 or len(spec.slices) == spec.days * 1440
        assert [until for _, until in spec.slices[:-1]] == [since for since, _ in spec.slices[1:]]


@pytest.mark.parametrize(
    ("seed", "events", "days"), [(1, 2_099, 21), (1, 1_999, 7), (1, 5_000, 6), (1, 50_000, 367), (-1, 5_000, 21)]
)
def test_a_world_that_cannot_be_is_refused(seed: int, events: int, days: int) -> None:
    with pytest.raises(UsageError) as refused:
        Spec(seed, events, days)
    assert refused.value.remedy
