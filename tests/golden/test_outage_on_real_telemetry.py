"""The outage agent on a recorded day of a microservice shop with injected faults: a check of sanity, not of skill."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import msgspec
import polars as pl
import pytest

from config.clock import HOUR, MINUTE, from_text
from config.contracts.load import BUILT_IN, load_contracts
from config.findings import Finding
from operators.batch import RawBatch
from operators.decode import Decoder
from operators.frame import Frame
from operators.streams import panes_of
from operators.window import combine
from tests.support.telemetry import STREAMS, findings, telemetry_group

DAY = "2022-08-22"
pytestmark = [pytest.mark.shared_data, pytest.mark.slow]


class Message(msgspec.Struct):
    """One line of a `kcat -J` dump."""

    partition: int
    offset: int
    ts: int
    payload: str


def batches(file: Path) -> Iterator[RawBatch]:
    decoder = msgspec.json.Decoder(Message)
    with gzip.open(file) as lines:
        messages = [decoder.decode(line) for line in lines]
    for partition in sorted({message.partition for message in messages}):
        own = [message for message in messages if message.partition == partition]
        yield RawBatch(
            "telemetry",
            partition,
            [message.offset for message in own],
            [message.ts for message in own],
            [None] * len(own),
            [message.payload.encode() for message in own],
        )


@pytest.fixture(scope="module")
def found(shared_data: Path) -> tuple[list[Finding], float]:
    """The findings, and the hours they were made in."""
    decoder = Decoder(load_contracts(BUILT_IN))
    measures: dict[str, pl.DataFrame] = {}
    for batch in batches(shared_data / "nezha" / DAY / "telemetry.kcat.jsonl.gz"):
        decoded = decoder.decode(batch)
        assert not decoded.rejects
        measures[batch.channel] = decoded.measures()
    group = telemetry_group(measures)
    newest = max(int(table["at"].max()) for table in measures.values())  # type: ignore[arg-type]
    oldest = min(int(table["at"].min()) for table in measures.values())  # type: ignore[arg-type]
    for channel, table in measures.items():
        partials = combine(table, channel, panes_of(STREAMS), 1)[0]
        group.receive(Frame(0, channel, newest, partials=partials))
    return findings(group.advance()), (newest - oldest) / HOUR


def test_alarms_are_few(found: tuple[list[Finding], float]) -> None:
    opened = [finding for finding in found[0] if not finding.resolves]
    assert 0 < len(opened) / found[1] < 5


def test_some_faults_are_found_in_time_and_named(found: tuple[list[Finding], float], shared_data: Path) -> None:
    faults = msgspec.json.decode((shared_data / "nezha" / DAY / "faults.json").read_bytes())
    hits = 0
    for fault in faults:
        at, entity = from_text(fault["injected_at"]), "service:" + fault["pod"].rsplit("-", 2)[0]
        hits += any(f.entity == entity and at <= f.at <= at + 5 * MINUTE and not f.resolves for f in found[0])
    assert hits >= len(faults) // 5


def test_what_opens_is_resolved(found: tuple[list[Finding], float]) -> None:
    opened = {(f.entity, f.kind, f.occurrence) for f in found[0] if not f.resolves}
    resolved = {(f.entity, f.kind, f.occurrence.partition(" until ")[0]) for f in found[0] if f.resolves}
    assert resolved <= opened
    assert len(opened - resolved) <= 2
