from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from config.errors import RegistryError
from dataflows.schema_folder import SchemaFolder
from dataflows.schemas import SchemaFetcher, SchemaReader
from operators.batch import RawBatch
from operators.channel import Position
from operators.wire import Schema, Schemas
from tests.support.cloudevents import raw_batch


class Source:
    """A registry whose answers a test lays out: a schema, or an error, for each question in turn."""

    def __init__(self, *answers: Schema | Exception) -> None:
        self.answers, self.asked = list(answers), 0

    def schema(self, identity: str) -> Schema:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Nothing to close."""


class Reader:
    """A partition of two batches, then silence."""

    until = 0

    def __init__(self, *batches: RawBatch) -> None:
        self.batches = list(batches)

    def open(self, left: Position) -> Position:
        return left

    def read(self, next_offset: int, limit: int) -> RawBatch | None:
        return self.batches.pop(0) if self.batches else raw_batch([])

    def silent_until(self, next_offset: int) -> int | None:
        return 5

    def behind(self, next_offset: int) -> int:
        return 0

    def publish(self, next_offset: int) -> None:
        """Nothing to tell."""

    def close(self) -> None:
        """Nothing to close."""

    def idle_until(self, next_offset: int) -> int | None:
        return None

    def next_idle(self, next_offset: int) -> int | None:
        return None


@pytest.fixture
def notes() -> list[str]:
    return []


Fetch = Callable[..., SchemaFetcher]


@pytest.fixture
def fetch(tmp_path: Path, notes: list[str]) -> Iterator[Fetch]:
    made: list[SchemaFetcher] = []

    def make(source: Source | None, schemas: Schemas, unknown_after: float = 0) -> SchemaFetcher:
        folder = SchemaFolder(tmp_path / "schemas")
        made.append(SchemaFetcher(schemas, folder, source, timedelta(seconds=unknown_after), notes.append))
        return made[-1]

    yield make
    for fetcher in made:
        fetcher.close()


def framed(number: int) -> bytes:
    return b"\0" + number.to_bytes(4, "big") + b"{}"


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_batch_waits_until_its_schemas_are_at_hand(fetch: Fetch) -> None:
    schemas, source = Schemas(), Source(Schema("7", "JSON"))
    fetcher = fetch(source, schemas)
    batch = raw_batch([b"{}", framed(7), framed(7)])
    assert not fetcher.ready(batch)
    wait(lambda: fetcher.ready(batch))
    assert schemas.unframed(framed(7)) == b"{}"
    assert source.asked == 1


def test_batch_without_frames_is_ready_at_once(fetch: Fetch) -> None:
    source = Source(RegistryError("away"))
    assert fetch(source, Schemas()).ready(raw_batch([b"{}", None]))
    assert source.asked == 0


def test_registry_that_is_away_is_waited_for_and_asked_again(fetch: Fetch, notes: list[str]) -> None:
    schemas = Schemas()
    source = Source(RegistryError("away"), RegistryError("away"), Schema("7", "JSON"))
    fetcher = fetch(source, schemas)
    batch = raw_batch([framed(7)])
    wait(lambda: fetcher.ready(batch))
    assert source.asked == 3
    assert notes == ["waiting for schema 7: away"]


def test_unknown_schema_is_asked_for_again_for_a_while_then_counts_as_unknown(fetch: Fetch, tmp_path: Path) -> None:
    schemas, source = Schemas(), Source(Schema("7"))
    fetcher = fetch(source, schemas, unknown_after=0.3)
    batch = raw_batch([framed(7)])
    began = time.monotonic()
    wait(lambda: fetcher.ready(batch))
    assert time.monotonic() - began >= 0.3
    assert source.asked > 1
    assert schemas.unframed(framed(7)) == ("unknown-schema", "the registry knows no schema 7")
    assert SchemaFolder(tmp_path / "schemas").find("7") == Schema("7")


def test_schema_that_appears_a_little_later_is_known(fetch: Fetch) -> None:
    schemas, source = Schemas(), Source(Schema("7"), Schema("7", "JSON"))
    fetcher = fetch(source, schemas, unknown_after=60)
    wait(lambda: fetcher.ready(raw_batch([framed(7)])))
    assert schemas.unframed(framed(7)) == b"{}"


def test_what_was_fetched_before_is_not_asked_for(fetch: Fetch) -> None:
    batch = raw_batch([framed(7), framed(8)])
    first = fetch(Source(Schema("7", "JSON")), Schemas(), 0)
    wait(lambda: first.ready(raw_batch([framed(7)])))
    schemas, source = Schemas(), Source(Schema("8", "JSON"))
    again = fetch(source, schemas)
    assert schemas.unframed(framed(7)) == b"{}"
    wait(lambda: again.ready(batch))
    assert source.asked == 1


def test_the_process_that_keeps_a_schema_first_decides_for_all(fetch: Fetch) -> None:
    one, other = Schemas(), Schemas()
    first, second = fetch(Source(Schema("7")), one), fetch(Source(Schema("7", "JSON")), other)
    batch = raw_batch([framed(7)])
    wait(lambda: first.ready(batch))
    wait(lambda: second.ready(batch))
    assert one.unframed(framed(7)) == other.unframed(framed(7)) == ("unknown-schema", "the registry knows no schema 7")


def test_unexpected_fault_ends_the_job_instead_of_asking_for_ever(fetch: Fetch) -> None:
    fetcher = fetch(Source(OSError("disk full")), Schemas())
    with pytest.raises(OSError, match="disk full"):
        wait(lambda: fetcher.ready(raw_batch([framed(7)])))


def test_without_a_registry_nothing_waits(fetch: Fetch) -> None:
    assert fetch(None, Schemas()).ready(raw_batch([framed(7)]))


def test_folder_keeps_the_first_of_an_id(tmp_path: Path) -> None:
    folder = SchemaFolder(tmp_path / "schemas")
    assert list(folder.load()) == []
    assert folder.find("7") is None
    first = Schema("7", "AVRO", '"int"', ('"string"',))
    assert folder.keep(first) == first
    assert folder.keep(Schema("7", "JSON")) == first
    assert (list(folder.load()), folder.find("7")) == ([first], first)
    assert [path.name for path in folder.path.iterdir()] == ["7.json"]


def test_reader_hands_on_nothing_while_a_schema_is_fetched_and_is_not_silent_then(fetch: Fetch) -> None:
    source = Source(RegistryError("away"), Schema("7", "JSON"))
    plain, waiting = raw_batch([b"{}"]), raw_batch([framed(7)], offsets=[101])
    reader = SchemaReader(Reader(plain, waiting), fetch(source, Schemas()))
    assert reader.read(100, 10) is plain
    assert (reader.silent_until(101), reader.behind(101)) == (5, 0)
    nothing = reader.read(101, 10)
    assert nothing is not None
    assert len(nothing) == 0
    assert (reader.silent_until(101), reader.behind(101)) == (None, 1)
    found: list[RawBatch] = []

    def read() -> bool:
        batch = reader.read(101, 10)
        assert batch is not None
        found.append(batch)
        return len(batch) > 0

    wait(read)
    assert found[-1] is waiting
    assert reader.silent_until(102) == 5
