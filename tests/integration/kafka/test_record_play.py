from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from confluent_kafka import Producer

from config.clock import SECOND, to_text
from replay.recording import Recording
from tests.support.commands import ROOT, end, eventually, forestall, start
from tests.support.kafka import Broker

pytestmark = pytest.mark.kafka

STAMP = 1_714_564_800_000
"""2024-05-01T12:00:00Z, milliseconds."""
KEEP: dict[str, Any] = {"retention_ms": -1}
Row = dict[str, Any]


def rows(folder: Path, *columns: str) -> dict[str, list[Row]]:
    """Return the records of a recording by partition; without their offsets, unless asked for."""
    recording = Recording.open(folder)
    names = columns or ("timestamp", "timestamp_type", "key", "value", "headers")
    found: dict[str, list[Row]] = {}
    for part in recording.partitions:
        tables = [pq.read_table(folder / file.name, columns=list(names), partitioning=None) for file in part.files]
        found[f"{part.topic}/{part.partition}"] = [row for table in tables for row in table.to_pylist()]
    return found


def fill(kafka: Broker, topic: str, partitions: int, count: int, **producer: Any) -> None:
    """Write records of all kinds: tombstones, no key, bytes that are no text, headers twice and without value."""
    made = Producer(kafka.client(enable_idempotence=True, **producer))
    transactional = "transactional_id" in producer
    if transactional:
        made.init_transactions(30)
    for number in range(count):
        if transactional and number % 5 == 0:
            made.begin_transaction()
        made.produce(
            topic,
            value=None if number % 7 == 3 else b"\xff\x00%d" % number,
            key=None if number % 5 == 4 else b"key-%d" % (number % 3),
            partition=number % partitions,
            timestamp=STAMP + 1000 * number - (2_500 if number % 4 == 3 else 0),
            headers=[("a", b"1"), ("a", None), ("ü", b"\xfe")] if number % 2 else [],
        )
        if transactional and number % 5 == 4:
            assert made.flush(30) == 0  # an abort takes back what is not sent yet
            made.abort_transaction(30) if number % 10 == 9 else made.commit_transaction(30)
    assert made.flush(30) == 0


def stamp_of(path: Path) -> int:
    """Return when a file was written, 0 if there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def record(kafka: Broker, into: Path, *arguments: object) -> Any:
    return forestall("record", "--bootstrap-servers", kafka.bootstrap, "--into", into, "--json", *arguments).document


def again(kafka: Broker, topic: str, recording: Path, tmp_path: Path, *arguments: object) -> dict[str, list[Row]]:
    """Remove the topic, play the recording onto it, and record that."""
    kafka.delete(topic)
    played = forestall("play", recording, "--into-broker", kafka.bootstrap, "--json", *arguments).document
    assert played["created"] == [topic]
    record(kafka, tmp_path / "again", "--topics", topic)
    return rows(tmp_path / "again")


def test_recording_played_and_recorded_again_is_the_same(kafka: Broker, tmp_path: Path) -> None:
    topic = kafka.topic(3, **KEEP)
    fill(kafka, topic, 2, 200)  # the third partition stays empty
    before = time.time_ns() // 1000
    told = record(kafka, tmp_path / "first", "--topics", topic)
    first = rows(tmp_path / "first")
    assert [len(part) for part in first.values()] == [100, 100, 0]
    assert first[f"{topic}/1"][1] == {
        "timestamp": STAMP + 500,
        "timestamp_type": "create",
        "key": b"key-0",
        "value": None,
        "headers": [{"name": "a", "value": b"1"}, {"name": "a", "value": None}, {"name": "ü", "value": b"\xfe"}],
    }
    assert (told["topics"], told["missing"], told["trimmed"]) == ({topic: 200}, {}, {})
    # Complete up to when recording began, less what may still come late.
    until = Recording.open(tmp_path / "first").recorded_until
    assert before <= until + 5 * SECOND <= time.time_ns() // 1000
    assert again(kafka, topic, tmp_path / "first", tmp_path) == first
    offsets = rows(tmp_path / "again", "offset")
    assert [row["offset"] for row in offsets[f"{topic}/0"]] == list(range(100))


def test_compacted_topic_is_recorded_with_its_holes_and_played_without(kafka: Broker, tmp_path: Path) -> None:
    topic = kafka.topic(
        cleanup_policy="compact", segment_ms=100, min_cleanable_dirty_ratio=0.01, max_compaction_lag_ms=100
    )
    now = int(time.time() * 1000)
    for number in range(60):
        kafka.produce(topic, [b"%d" % number], keys=[b"k%d" % (number % 4)], timestamps=[now - 60_000 + number])
    deadline = time.monotonic() + 60
    told: Any = None
    attempt = 0
    while told is None or not told["missing"]:
        assert time.monotonic() < deadline, "the topic was not compacted"
        kafka.produce(topic, [b"roll"], keys=[b"roll-%d" % attempt], timestamps=[now + attempt])
        time.sleep(1)
        attempt += 1
        told = record(kafka, tmp_path / f"first-{attempt}", "--topics", topic)
    folder = tmp_path / f"first-{attempt}"
    missing = told["missing"][f"{topic}/0"]
    assert (missing["compacted"], missing["unexplained"]) == (True, 0)
    first = rows(folder)
    offsets = [row["offset"] for row in rows(folder, "offset")[f"{topic}/0"]]
    assert offsets == sorted(set(offsets))
    assert len(offsets) + missing["offsets"] == offsets[-1] + 1
    assert again(kafka, topic, folder, tmp_path) == first


def test_marks_and_aborted_transactions_are_told_apart_and_not_recorded(kafka: Broker, tmp_path: Path) -> None:
    topic = kafka.topic(1, **KEEP)
    fill(kafka, topic, 1, 40, transactional_id=f"tx-{topic}")
    told = record(kafka, tmp_path / "first", "--topics", topic)
    first = rows(tmp_path / "first")
    assert len(first[f"{topic}/0"]) == 20
    # Eight transactions left a mark each, four of them five aborted records.
    assert told["missing"] == {
        f"{topic}/0": {"offsets": 28, "aborted": 20, "compacted": False, "unexplained": 0},
    }
    assert again(kafka, topic, tmp_path / "first", tmp_path) == first


def test_recordings_until_and_from_one_instant_make_up_the_whole(kafka: Broker, tmp_path: Path) -> None:
    topic = kafka.topic(2, **KEEP)
    fill(kafka, topic, 2, 200)
    border = to_text((STAMP + 101_000) * 1000)
    record(kafka, tmp_path / "whole", "--topics", topic)
    told = record(kafka, tmp_path / "before", "--topics", topic, "--until", border)
    record(kafka, tmp_path / "after", "--topics", topic, "--from", border)
    assert told["recorded_until"] == border
    columns = ("offset", "timestamp", "value")
    before, after = (rows(tmp_path / name, *columns) for name in ("before", "after"))
    whole = rows(tmp_path / "whole", *columns)
    assert {name: before[name] + after[name] for name in whole} == whole
    assert min(row["timestamp"] for part in after.values() for row in part) >= STAMP + 101_000
    assert sum(map(len, before.values())) == 103
    borders = [(p.end_offset, q.first_offset) for p, q in zip(
        Recording.open(tmp_path / "before").partitions, Recording.open(tmp_path / "after").partitions, strict=True
    )]  # fmt: skip
    assert all(end == first for end, first in borders)


def test_recordings_border_within_marks_of_transactions_without_a_gap(kafka: Broker, tmp_path: Path) -> None:
    topic = kafka.topic(1, **KEEP)
    fill(kafka, topic, 1, 40, transactional_id=f"tx-{topic}")
    border = to_text((STAMP + 19_500) * 1000)
    record(kafka, tmp_path / "before", "--topics", topic, "--until", border)
    record(kafka, tmp_path / "after", "--topics", topic, "--from", border)
    (before,), (after,) = (Recording.open(tmp_path / name).partitions for name in ("before", "after"))
    assert (before.records, after.records) == (10, 10)
    assert after.first_offset == before.end_offset


def test_recording_until_an_instant_to_come_waits_for_it(kafka: Broker, tmp_path: Path) -> None:
    topic = kafka.topic(1, **KEEP)
    until = time.time_ns() // 1000 + 3 * SECOND
    running = start(
        "record", "--topics", topic, "--bootstrap-servers", kafka.bootstrap, "--until", to_text(until),
        "--into", tmp_path / "R", FORESTALL_TIME_LATENESS_MAX="1s",
    )  # fmt: skip
    kafka.produce(topic, [b"in time"], timestamps=[until // 1000 - 1])
    time.sleep(max(0.0, until / 1e6 - time.time()) + 0.3)
    kafka.produce(topic, [b"past", b"in time, come late"], timestamps=[until // 1000, until // 1000 - 500])
    kafka.produce(topic, [b"after all"], timestamps=[until // 1000 + 100])
    ended = end(running)
    assert ended.code == 0, ended.err
    assert time.time_ns() // 1000 >= until + SECOND
    assert [row["value"] for row in rows(tmp_path / "R")[f"{topic}/0"]] == [b"in time", b"past", b"in time, come late"]
    assert Recording.open(tmp_path / "R").recorded_until == until


@pytest.mark.slow
def test_recording_killed_in_the_middle_goes_on_and_is_the_same(kafka: Broker, tmp_path: Path) -> None:
    topic = kafka.topic(2, **KEEP)
    count = 60_000
    for partition in range(2):
        stamps = [STAMP + number for number in range(count)]
        kafka.produce(topic, (b"%d" % number for number in range(count)), partition, None, stamps)
    record(kafka, tmp_path / "unbroken", "--topics", topic)
    folder = tmp_path / "R"
    arguments = ("record", "--topics", topic, "--bootstrap-servers", kafka.bootstrap, "--into", folder)
    program = (
        "import replay.record, dataflows.cli.main, time\n"
        "replay.record.CHECKPOINT_RECORDS = 10_000\n"
        "replay.record.BATCH = 2_000\n"
        "take = replay.record.Recorder._take\n"
        "replay.record.Recorder._take = lambda *a: (time.sleep(0.02), take(*a))\n"
        "dataflows.cli.main.main()\n"
    )
    kills = 0
    for _ in range(4):
        seen = stamp_of(folder / ".progress.json")
        running = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)], cwd=ROOT, stdout=subprocess.DEVNULL
        )
        while running.poll() is None and stamp_of(folder / ".progress.json") <= seen:
            time.sleep(0.01)
        if running.poll() is not None:
            break
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        kills += 1
        assert not (folder / "manifest.json").exists()
    kafka.produce(topic, [b"later"], timestamps=[STAMP])
    told = record(kafka, folder, "--topics", topic)
    assert kills >= 2
    assert told["resumed"]
    assert rows(folder, "offset", "timestamp", "value") == rows(tmp_path / "unbroken", "offset", "timestamp", "value")
    assert {path.name for path in folder.iterdir()} == {"manifest.json", f"topic={topic}"}


def test_recording_of_something_else_does_not_go_on_with_one_that_was_begun(kafka: Broker, tmp_path: Path) -> None:
    topic, other = kafka.topic(1, **KEEP), kafka.topic(1, **KEEP)
    until = to_text(time.time_ns() // 1000 + 3600 * SECOND)
    arguments = ("--bootstrap-servers", kafka.bootstrap, "--into", tmp_path / "R")
    running = start("record", "--topics", topic, "--until", until, *arguments)
    eventually((tmp_path / "R" / ".unfinished").exists, "the recording to begin")
    time.sleep(2)
    running.send_signal(signal.SIGTERM)
    stopped = end(running)
    assert (stopped.code, "run the same command again" in stopped.err) == (0, True)
    forestall("record", "--topics", other, *arguments).says(2, "was begun there, and stopped", topic)


def test_playing_is_refused_where_records_are_and_goes_on_where_it_was_stopped(kafka: Broker, tmp_path: Path) -> None:
    topic = kafka.topic(2, **KEEP)
    fill(kafka, topic, 2, 60)
    record(kafka, tmp_path / "first", "--topics", topic)
    first = rows(tmp_path / "first")
    play = ("play", tmp_path / "first", "--into-broker", kafka.bootstrap)
    forestall(*play).says(2, "topics hold records", f"{topic}/0", f"{topic}/1")
    whole = forestall(*play, "--resume", "--json").document
    assert whole == {"created": [], "records": {topic: 0}, "skipped": 60}
    kafka.delete(topic)
    kafka.create(topic, 2, **KEEP)
    head = first[f"{topic}/0"][:7]
    for row in head:
        made = Producer(kafka.client())
        headers = [(each["name"], each["value"]) for each in row["headers"]]
        made.produce(topic, row["value"], row["key"], 0, timestamp=row["timestamp"], headers=headers)
        assert made.flush(10) == 0
    rest = forestall(*play, "--resume", "--json").document
    assert rest == {"created": [], "records": {topic: 53}, "skipped": 7}
    record(kafka, tmp_path / "again", "--topics", topic)
    assert rows(tmp_path / "again") == first
    doubled = forestall(*play, "--append", "--json").document
    assert doubled["records"] == {topic: 60}
    kafka.produce(topic, [b"other"])
    forestall(*play, "--resume").says(2, f"{topic}/", "other records than the recording's")


def test_topic_that_would_delete_old_records_is_refused(kafka: Broker, tmp_path: Path) -> None:
    topic = kafka.topic(1, **KEEP)
    fill(kafka, topic, 1, 5)
    record(kafka, tmp_path / "first", "--topics", topic)
    kafka.delete(topic)
    kafka.create(topic, 1, retention_ms=3_600_000)
    forestall("play", tmp_path / "first", "--into-broker", kafka.bootstrap).says(2, topic, "retention.ms")


def test_topic_with_too_few_partitions_is_refused(kafka: Broker, tmp_path: Path) -> None:
    topic = kafka.topic(3, **KEEP)
    fill(kafka, topic, 3, 9)
    record(kafka, tmp_path / "first", "--topics", topic)
    kafka.delete(topic)
    kafka.create(topic, 2, **KEEP)
    forestall("play", tmp_path / "first", "--into-broker", kafka.bootstrap).says(
        2, f"topic {topic} has 2", f"{topic} 3"
    )


def test_playing_is_paced_by_the_records_timestamps(kafka: Broker, tmp_path: Path) -> None:
    topic = kafka.topic(1, **KEEP)
    kafka.produce(topic, [b"0", b"1", b"2"], timestamps=[STAMP, STAMP + 10_000, STAMP + 20_000])
    record(kafka, tmp_path / "first", "--topics", topic)
    kafka.delete(topic)
    began = time.monotonic()
    assert forestall("play", tmp_path / "first", "--into-broker", kafka.bootstrap, "--speed", 10).code == 0
    assert time.monotonic() - began >= 2
    record(kafka, tmp_path / "again", "--topics", topic)
    assert rows(tmp_path / "again") == rows(tmp_path / "first")


def test_missing_topics_and_brokers_are_told_in_one_message(kafka: Broker, tmp_path: Path) -> None:
    into = ("--into", tmp_path / "R")
    forestall("record", "--topics", "no-one,nor-two", "--bootstrap-servers", kafka.bootstrap, *into).says(
        3, "no topic no-one, nor-two"
    )
    forestall("record", "--topics", "t", *into).says(3, "kafka.bootstrap_servers is not set")
    assert not (tmp_path / "R").exists()
