"""The digest of a replay depends only on the content of the recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from config.clock import DAY, HOUR, SECOND, from_text, to_text
from replay.cut import cut
from replay.recording import Recording
from replay.world.model import Spec
from replay.world.record import simulate
from sinks import schema
from sinks.store import Store
from tests.support.cloudevents import cloud_event
from tests.support.recordings import MADE_AT, Record, between, imported, record
from tests.support.replays import Left, Run, replayed
from tests.support.shop import START, recorded, shop

pytestmark = pytest.mark.slow

HASTY = 'runtime.epoch_interval = "20ms"\nruntime.emit_interval = "0ms"\ntime.alignment_max = "12h"\n'
LAZY = 'runtime.epoch_interval = "2s"\nruntime.emit_interval = "500ms"\ntime.alignment_max = "3650d"\n'
STRICT = 'time.lateness_max = "0s"\n'


def batches(records: int) -> str:
    return f"runtime.batch_records = {records}\n"


def ways(recording: Path) -> dict[str, Run]:
    """Return ways to replay a recording of which none may show in its outputs; the first is the plain one."""
    plain = Run((recording,))
    return {
        "plain": plain,
        "two workers": replace(plain, workers=2),
        "three workers": replace(plain, workers=3, settings=HASTY),
        "two processes": replace(plain, processes=2),
        "two processes of two workers": replace(plain, processes=2, workers=2, settings=batches(1000)),
        "batches of 97": replace(plain, settings=batches(97)),
        "batches of 1000": replace(plain, settings=batches(1000)),
        "hasty": replace(plain, settings=HASTY),
        "lazy": replace(plain, settings=LAZY),
    }


def assert_equal(left: dict[str, Left]) -> None:
    plain = left["plain"]
    assert {name: each.counts for name, each in left.items()} == dict.fromkeys(left, plain.counts)
    assert {name: each.digest for name, each in left.items()} == dict.fromkeys(left, plain.digest)
    assert {name: each.totals for name, each in left.items()} == dict.fromkeys(left, plain.totals)
    assert {name: each.open_ for name, each in left.items()} == dict.fromkeys(left, plain.open_)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("world")


@pytest.fixture(scope="module")
def world(folder: Path) -> dict[str, Left]:
    """What is left of replays of a world with bad records, late ones and duplicates; all from one warm start."""
    simulate(Spec(seed=11, events=15_000, days=10), folder / "recording")
    recording = Recording.open(folder / "recording")
    end = recording.recorded_until
    plain = Run((recording.folder,))
    return replayed(
        ways(recording.folder)
        | {
            "pieces": Run(in_pieces(recording, [end - 6 * DAY, end - 3 * DAY - 7 * HOUR - 11], folder), workers=2),
            "again": Run((recording.folder, recording.folder), processes=2),
            "drained": replace(plain, drain=True),
        },
        folder,
    )


def test_workers_processes_batches_and_intervals_do_not_show(world: dict[str, Left]) -> None:
    plain = world["plain"]
    assert all(plain.counts[kind] > 0 for kind in ("finding", "case", "decision", "late", "dead_letter"))
    assert plain.totals["duplicates"] > 0
    assert_equal({name: world[name] for name in ways(Path())})


def test_pieces_one_after_the_other_into_one_store(world: dict[str, Left]) -> None:
    assert_equal({name: world[name] for name in ("plain", "pieces")})


def test_a_finished_replay_repeated_changes_nothing(world: dict[str, Left]) -> None:
    assert_equal({name: world[name] for name in ("plain", "again")})


def test_draining_lets_what_is_open_come_due_and_changes_nothing_else(world: dict[str, Left], folder: Path) -> None:
    assert world["drained"].counts["finding"] > world["plain"].counts["finding"]
    assert outputs(folder / "plain") <= outputs(folder / "drained")
    assert world["plain"].open_["journey"]["timers"] > 0
    assert {stage: (of["timers"], of["events"]) for stage, of in world["drained"].open_.items()} == dict.fromkeys(
        ("telemetry", "fleet", "journey", "risk", "cause", "autonomy", "case", "guard"), (0, 0)
    )


def test_heavy_ties_without_any_lateness(tmp_path: Path) -> None:
    recording = record(tmp_path / "recording", recorded(shop(3, disorder=DAY)), recorded_until=shop(3).until)
    runs = {name: replace(run, settings=run.settings + STRICT) for name, run in ways(recording.folder).items()}
    left = replayed(runs, tmp_path)
    plain = left["plain"]
    assert plain.counts["finding"] > 50
    assert plain.counts["late"] > 50
    assert plain.counts.get("dead_letter", 0) == 0
    assert_equal(left)


def in_pieces(recording: Recording, borders: Sequence[int], folder: Path) -> tuple[Path, ...]:
    """Cut a recording at the borders; each piece continues the one before."""
    pieces = []
    for number, (since, until) in enumerate(zip([None, *borders], [*borders, None], strict=True)):
        pieces.append(folder / f"piece-{number}")
        cut(recording, pieces[-1], created_at=MADE_AT, from_=since, until=until)
    return tuple(pieces)


def test_pieces_of_heavy_ties(tmp_path: Path) -> None:
    content = shop(4)
    whole = record(tmp_path / "whole", recorded(content, stamped=True), recorded_until=content.until)
    # In the middle of a tie, and beside it: records at a border belong to the piece that begins there.
    pieces = in_pieces(whole, [START + 6 * DAY + 2 * 60 * SECOND, START + 20 * DAY], tmp_path)
    runs = {"plain": Run((whole.folder,), settings=STRICT), "pieces": Run(pieces, settings=STRICT)}
    left = replayed(runs, tmp_path)
    assert left["plain"].counts["finding"] > 50
    assert_equal(left)


def ten_seconds() -> dict[tuple[str, int], list[Record]]:
    """Return orders of ten seconds, each of which should have been handed over before."""
    records: dict[tuple[str, int], list[Record]] = {("orders", 0): [], ("orders", 1): []}
    for number in range(100):
        at = START + number * SECOND // 10
        data = {"order_id": f"o{number}", "customer_id": f"c{number % 7}", "ship_by": to_text(START - DAY)}
        value = cloud_event("order.approved", data, id=str(number), time=to_text(at))
        part = records["orders", number % 2]
        part.append((len(part), at // 1000, None, value))
    return records


def test_ten_seconds_as_fast_as_possible_and_paced(tmp_path: Path) -> None:
    recording = record(tmp_path / "recording", ten_seconds(), recorded_until=START + 10 * SECOND)
    plain = Run((recording.folder,), settings='time.lateness_max = "1s"\n')
    left = replayed({"plain": plain, "paced": replace(plain, speed=4.0, workers=2)}, tmp_path)
    assert 50 < left["plain"].counts["finding"] < 100  # the last ones are not settled when the recording ends
    assert_equal(left)


def outputs(folder: Path) -> set[tuple[str, bytes]]:
    with Store.open(f"sqlite:///{folder / 'store.db'}") as store, store.read() as connection:
        return {(row.id, row.body) for row in connection.execute(sa.select(schema.outputs))}


def test_three_months_of_real_orders(shared_data: Path, tmp_path: Path) -> None:
    whole = imported(sorted((shared_data / "olist").glob("*.gz")), tmp_path / "olist")
    part = between(whole, "2017-10-20T00:00:00Z", "2018-01-10T00:00:00Z", tmp_path / "part")
    pieces = in_pieces(part, [from_text("2017-11-24T12:00:00Z"), from_text("2017-12-20T00:00:00Z")], tmp_path)
    plain = Run((part.folder,))
    runs = {
        "plain": plain,
        "pieces": Run(pieces),
        "batches of 97": replace(plain, settings=batches(97)),
        "two processes": replace(plain, processes=2),
    }
    left = replayed(runs, tmp_path)
    assert left["plain"].counts["finding"] > 100
    assert_equal(left)


def test_a_day_of_real_telemetry(shared_data: Path, tmp_path: Path) -> None:
    whole = imported(sorted((shared_data / "nezha" / "2022-08-22").glob("*.gz")), tmp_path / "nezha")
    middle = whole.recorded_until - 6 * HOUR
    plain = Run((whole.folder,))
    runs = {
        "plain": plain,
        "pieces": Run(in_pieces(whole, [middle], tmp_path)),
        "batches of 97": replace(plain, settings=batches(97)),
        "two processes": replace(plain, processes=2),
    }
    left = replayed(runs, tmp_path)
    assert left["plain"].counts["finding"] > 0
    assert_equal(left)
