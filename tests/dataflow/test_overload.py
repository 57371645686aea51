"""Overload from end to end: what was sampled live comes out the same in a replay, and orders do not notice."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import orjson
import pytest
import sqlalchemy as sa

from config.clock import DAY, HOUR, MINUTE, SECOND, to_text
from config.findings import DATA_QUALITY
from replay.manifest import MANIFEST, Manifest, Sampled, content_id, encode
from replay.play import Job
from replay.recording import Recording
from sinks.schema import outputs
from sinks.store import Store
from tests.support.cloudevents import ORDER, cloud_event
from tests.support.recordings import Record, record
from tests.support.replays import Left, Run, left_in, replayed
from tests.support.strained import Strain, play_under

pytestmark = pytest.mark.slow

START = 1_700_000_000 * SECOND // HOUR * HOUR
REQUESTS = 24_000
SETTINGS = """
runtime.epoch_interval = "100ms"
runtime.batch_records = 500
overload.lag_max = 4000
overload.steps = [2, 3, 4]
overload.step_interval = "1s"
time.alignment_max = "1h"
"""


def shop() -> dict[tuple[str, int], list[Record]]:
    """Two partitions of requests, 100 a minute and service, with an incident in the middle; orders that come late."""
    rng = random.Random(5)
    requests: list[tuple[int, bytes]] = []
    for number in range(REQUESTS):
        at = START + number * 2 * HOUR // REQUESTS
        slow = 8 if 60 * MINUTE <= at - START < 75 * MINUTE else 1
        data = {
            "service": "checkout" if number % 2 else "search",
            "route": "/",
            "status": 200,
            "duration_ms": round(80 * slow * rng.uniform(1, 2), 3),
            "customer_id": f"c{number % 50}",
        }
        requests.append((at, cloud_event("request.completed", data, id=f"r{number}", time=to_text(at))))
    orders: list[tuple[int, bytes]] = []
    for number in range(60):
        at = START + number * MINUTE
        order = ORDER | {
            "order_id": f"o{number}",
            "customer_id": f"c{number}",
            "promised_at": to_text(at + 20 * MINUTE),
        }
        orders.append((at, cloud_event("order.placed", order, id=f"o{number}", time=to_text(at))))
    # Some orders share a partition with requests, under load or not.
    mixed = sorted([*requests[1::2], *orders[1::2]])
    return {
        ("orders", 0): _records(orders[::2]),
        ("telemetry", 0): _records(requests[::2]),
        ("telemetry", 1): _records(mixed),
    }


def _records(values: list[tuple[int, bytes]]) -> list[Record]:
    return [(offset, at // 1000, None, value) for offset, (at, value) in enumerate(values)]


def rows(folder: Path, kind: str) -> list[tuple[str, dict[str, object]]]:
    with Store.open(f"sqlite:///{folder / 'store.db'}") as store, store.read() as connection:
        query = sa.select(outputs.c.id, outputs.c.body).where(outputs.c.kind == kind).order_by(outputs.c.id)
        return [(row.id, orjson.loads(row.body)) for row in connection.execute(query)]


def with_sampling(recording: Recording, told: list[dict[str, object]], folder: Path) -> Path:
    """Return the recording with what was decided when it was live, as its recorder writes it down."""
    folder.mkdir()
    for path in recording.folder.iterdir():
        if path.name != MANIFEST:
            (folder / path.name).symlink_to(path)
    sampled = [
        msgspec.convert({name: row[name] for name in ("topic", "partition", "next_offset", "one_in")}, Sampled)
        for row in told
    ]
    manifest: Manifest = msgspec.structs.replace(recording.manifest, sampled=sampled)
    manifest = msgspec.structs.replace(manifest, id=content_id(manifest))
    (folder / MANIFEST).write_bytes(encode(manifest))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("overload")


@pytest.fixture(scope="module")
def recording(folder: Path) -> Recording:
    return record(folder / "recording", shop(), recorded_until=START + DAY)


@pytest.fixture(scope="module")
def live(recording: Recording, folder: Path) -> Left:
    """What a job leaves that samples by its lag: by so many looks of each partition, not by the wall clock."""
    place = folder / "live"
    place.mkdir()
    (place / "settings.toml").write_text(SETTINGS)
    job = Job(
        recording=str(recording.folder),
        store_url=f"sqlite:///{place / 'store.db'}",
        recovery=str(place / "recovery"),
        config=str(place / "settings.toml"),
    )
    play_under(job, Strain(log=str(place / "log"), looks_per_s=1))
    return left_in(place)


@pytest.fixture(scope="module")
def replays(live: Left, recording: Recording, folder: Path) -> dict[str, Left]:
    again = with_sampling(recording, [data for _, data in rows(folder / "live", "sampling")], folder / "again")
    plain = Run((recording.folder,), settings=SETTINGS)
    runs = {
        "whole": plain,
        "sampled": Run((again,), settings=SETTINGS),
        "in other batches": Run((again,), settings=SETTINGS.replace("= 500", "= 97")),
        "by two processes": Run((again,), processes=2, settings=SETTINGS),
    }
    return replayed(runs, folder)


def test_a_job_that_is_behind_samples_more_and_more_and_recovers(live: Left, folder: Path) -> None:
    by_partition: dict[int, list[tuple[int, int]]] = {}
    for _, data in rows(folder / "live", "sampling"):
        assert data["topic"] == "telemetry"
        by_partition.setdefault(int(str(data["partition"])), []).append(
            (int(str(data["next_offset"])), int(str(data["one_in"])))
        )
    assert sorted(by_partition) == [0, 1]
    for changes in by_partition.values():
        rates = [one_in for _, one_in in sorted(changes)]
        assert rates[:3] == [2, 3, 4]
        assert rates[-1] == 1
    assert REQUESTS // 3 < live.totals["shed"] < REQUESTS
    assert live.totals["records"] == REQUESTS + 60
    assert live.totals["accepted"] + live.totals["shed"] == REQUESTS + 60


def test_a_replay_equals_what_was_sampled_live(live: Left, replays: dict[str, Left]) -> None:
    for name in ("sampled", "in other batches", "by two processes"):
        left = replays[name]
        assert (left.digest, left.counts, left.totals) == (live.digest, live.counts, live.totals), name
    assert replays["whole"].digest != live.digest


def test_orders_do_not_notice(live: Left, replays: dict[str, Left], folder: Path) -> None:
    def of_orders(place: str) -> list[tuple[str, dict[str, object]]]:
        return [row for row in rows(folder / place, "finding") if str(row[1]["entity"]).startswith("order:")]

    assert len(of_orders("whole")) >= 60
    assert of_orders("live") == of_orders("whole")


def test_findings_on_samples_say_so_and_decisions_see_it(live: Left, replays: dict[str, Left], folder: Path) -> None:
    def of_checkout(place: str) -> dict[str, object]:
        found = [data for _, data in rows(folder / place, "finding") if data["entity"] == "service:checkout"]
        return min(found, key=lambda data: int(str(data["at"])))

    whole, sampled = of_checkout("whole"), of_checkout("live")
    assert (sampled["kind"], sampled["occurrence"]) == (whole["kind"], whole["occurrence"])
    assert float(str(sampled["confidence"])) < float(str(whole["confidence"]))
    decisions = [data["facts"] for _, data in rows(folder / "live", "decision")]
    seen = [facts[DATA_QUALITY] for facts in decisions if isinstance(facts, dict) and DATA_QUALITY in facts]
    assert seen
    assert max(seen) < 1


def most_held(folder: Path, held_bytes_max: int) -> tuple[Left, int]:
    """Replay a flood of records that nobody can read into a slow store; return the most bytes that an outbox held."""
    poison = [(offset, START // 1000, None, b"x" * 600) for offset in range(5_000)]
    flood = record(folder / "flood", {("orders", 0): poison}, recorded_until=START + DAY)
    (folder / "settings.toml").write_text(
        f'runtime.epoch_interval = "2s"\nruntime.batch_records = 200\noverload.held_bytes_max = {held_bytes_max}\n'
    )
    job = Job(
        recording=str(flood.folder),
        store_url=f"sqlite:///{folder / 'store.db'}",
        recovery=str(folder / "recovery"),
        config=str(folder / "settings.toml"),
        processes=2,  # a source and its outbox are not always in one
    )
    play_under(job, Strain(log=str(folder / "log"), release_s=1.0))
    held = [orjson.loads(line)[3] for line in (folder / "log").read_text().splitlines()]
    return left_in(folder), max(held)


def test_a_slow_store_holds_sources_up_instead_of_filling_memory(tmp_path: Path) -> None:
    (tmp_path / "bound").mkdir()
    (tmp_path / "free").mkdir()
    bound, most = most_held(tmp_path / "bound", 2**20)
    free, most_free = most_held(tmp_path / "free", 2**36)
    assert bound.counts == free.counts == {"dead_letter": 5_000}
    assert bound.digest == free.digest
    assert most < 2 * 2**20
    assert most_free > 2 * most


def test_a_recording_without_sampling_keeps_its_id(recording: Recording) -> None:
    assert b"sampled" not in (recording.folder / MANIFEST).read_bytes()
    assert content_id(recording.manifest) == recording.manifest.id
