"""Records framed with ids of a real registry's schemas, on live topics: the same results as from plain JSON."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import fastavro
import orjson
import pytest

from config.contracts import BUILT_IN, load_contracts
from operators.decode import Decoder
from replay.recording import Recording
from replay.writer import RecordingWriter
from tests.integration.kafka.test_live import assert_same, replayed
from tests.support.cloudevents import raw_batch, request
from tests.support.commands import forestall
from tests.support.kafka import Broker
from tests.support.live import LONG_AGO, Job, World, simulated
from tests.support.recordings import MADE_AT
from tests.support.registry import Registry

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

DATA = {
    "type": "record",
    "name": "Request",
    "namespace": "shop",
    "fields": [
        {"name": "service", "type": "string"},
        {"name": "route", "type": "string"},
        {"name": "status", "type": "int"},
        {"name": "duration_ms", "type": "double"},
        {"name": "customer_id", "type": ["null", "string"], "default": None},
    ],
}
EVENT = {
    "type": "record",
    "name": "Event",
    "namespace": "shop",
    "fields": [
        *({"name": name, "type": "string"} for name in ("specversion", "id", "source", "type", "time")),
        {"name": "data", "type": DATA},
    ],
}
JSON_SCHEMA = '{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","title":"any"}'


class Framer:
    """Writes JSON records as producers with a registry do: requests in Avro, others as JSON, every third as it is."""

    def __init__(self, registry: Registry) -> None:
        self._avro, self._json = registry.register(orjson.dumps(EVENT).decode()), registry.register(JSON_SCHEMA, "JSON")
        self._parsed = fastavro.parse_schema(EVENT)
        self._decoder = Decoder(load_contracts(BUILT_IN))
        self.avro = 0

    def framed(self, number: int, value: bytes | None) -> bytes | None:
        if value is None or number % 3 == 2 or self._decoder.decode(raw_batch([value])).rejects:
            return value  # a dead letter keeps the bytes that came
        record = orjson.loads(value)
        if record["type"] != "request.completed":
            return b"\0" + self._json.to_bytes(4, "big") + value
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, self._parsed, record)
        self.avro += 1
        return b"\0" + self._avro.to_bytes(4, "big") + stream.getvalue()


@pytest.fixture
def jobs() -> Iterator[list[Job]]:
    made: list[Job] = []
    yield made
    for job in made:
        if job.process is not None and job.process.poll() is None:
            job.kill()


def without_end(recording: Path, into: Path) -> Path:
    """Return a copy that says nothing of time beyond its records, as a live topic that is not idle."""
    opened = Recording.open(recording)
    with RecordingWriter(into, created_at=MADE_AT) as writer:
        for part in opened.partitions:
            writer.declare(part.topic, part.partition, part.first_offset)
            for table in opened.reader(part.topic, part.partition).tables(part.first_offset, part.end_offset):
                writer.append_table(part.topic, part.partition, table)
        copytree(recording / "schemas", into / "schemas")
        writer.finish(LONG_AGO, schemas=[schema.id for schema in opened.manifest.schemas or ()])
    return into


def test_framed_records_live_and_replayed_give_what_plain_json_gives(
    kafka: Broker, registry: Registry, jobs: list[Job], tmp_path: Path
) -> None:
    plain = simulated(tmp_path / "world", uuid.uuid4().hex[:8])
    framer = Framer(registry)
    framed = World(
        {
            channel: [(stamp, key, framer.framed(number, value)) for number, (stamp, key, value) in enumerate(rows)]
            for channel, rows in plain.records.items()
        }
    )
    assert framer.avro > 100
    framed.create(kafka)
    framed.produce(kafka)
    job = Job(kafka, tmp_path / "job", framed.topics, registry={"url": registry.url})
    jobs.append(job)
    job.start("--processes", 2)
    job.wait_for(framed.ends())
    live = job.stop().document
    assert_same(live, replayed(plain, tmp_path, job.config))
    assert len(list((job.recovery / "schemas").iterdir())) == 2

    arguments = ("--topics", ",".join(framed.topics), "--config", job.config, "--into", tmp_path / "R", "--json")
    assert len(forestall("record", *arguments).document["schemas"]) == 2
    recording = without_end(tmp_path / "R", tmp_path / "same")
    registry_away = tmp_path / "away.toml"
    registry_away.write_text(job.config.read_text().replace(registry.url, "http://127.0.0.1:1"))
    again = forestall(
        "replay", recording, "--config", registry_away, "--store", f"sqlite:///{tmp_path / 'again.db'}", "--json"
    ).document
    assert_same(live, again)


def test_bad_frames_are_dead_letters_with_their_reasons(
    kafka: Broker, registry: Registry, jobs: list[Job], tmp_path: Path
) -> None:
    topic = kafka.topic(1, retention_ms=-1)
    avro = registry.register(orjson.dumps(EVENT).decode()).to_bytes(4, "big")
    values = [request(), b"\0\0\x0f\x42\x40{}", b"\0" + avro + b"\x02", b"\0\0", request()]
    kafka.produce(topic, values)
    job = Job(kafka, tmp_path / "job", [topic], registry={"url": registry.url, "unknown_after": "1s"})
    jobs.append(job)
    job.start()
    job.wait_for({f"{topic}/0": 5})
    job.stop()
    found: Any = forestall("dead-letters", "--store", job.store_url, "--json").document
    letters = {item["offset"]: (item["reason"], item["detail"]) for item in found["dead_letters"]}
    assert letters[1] == ("unknown-schema", "the registry knows no schema 1000000")
    assert letters[2][0] == "undecodable"
    assert letters[3][0] == "undecodable"
    assert sorted(letters) == [1, 2, 3]


def test_registry_that_is_away_is_told_at_the_start_with_all_else_that_is_wrong(kafka: Broker, tmp_path: Path) -> None:
    job = Job(kafka, tmp_path / "job", ["no-such-topic"], registry={"url": "http://127.0.0.1:1"})
    ended = forestall("run", "detection", "--config", job.config, "--store", job.store_url)
    assert ended.code == 3
    assert "schema registry http://127.0.0.1:1" in ended.err
    assert "no topic no-such-topic" in ended.err
