"""The outage agent on recorded hours of two microservice shops with injected faults: what `docs/outage.md` says of it.

The bounds are loose: they tell that it works, not how well. Half a day of each would take minutes.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from config.agents.load import FOLDER, load_manifest
from config.clock import HOUR
from config.contracts.load import BUILT_IN, load_contracts
from config.services.load import load_service_map
from operators.batch import RawBatch
from operators.decode import Decoder
from operators.fleet import FleetLogic, FleetRule
from operators.frame import Frame
from operators.keyed import KeyedGroup
from operators.streams import panes_of
from operators.window import combine
from replay.backtest.faults import alerts_of, judged, read_faults
from tests.support.telemetry import STREAMS, telemetry_group

HOURS = 4 * HOUR
"""Of each day: in these all faults of the one and all of the other were injected."""
pytestmark = [pytest.mark.shared_data, pytest.mark.slow]


class Message(msgspec.Struct):
    """One line of a `kcat -J` dump."""

    partition: int
    offset: int
    ts: int
    payload: str


@dataclass(frozen=True)
class Day:
    """What was found in the first hours of a day."""

    rows: list[dict[str, Any]]
    document: dict[str, Any]


def batches(file: Path) -> Iterator[RawBatch]:
    decoder = msgspec.json.Decoder(Message)
    with gzip.open(file) as lines:
        messages = [decoder.decode(line) for line in lines]
    until = messages[0].ts + HOURS // 1000
    for partition in sorted({message.partition for message in messages}):
        own = [message for message in messages if message.partition == partition and message.ts < until]
        yield RawBatch(
            "telemetry",
            partition,
            [message.offset for message in own],
            [message.ts for message in own],
            [None] * len(own),
            [message.payload.encode() for message in own],
        )


def found_on(folder: Path) -> Day:
    decoder = Decoder(load_contracts(BUILT_IN))
    measures: dict[str, pl.DataFrame] = {}
    for batch in batches(folder / "telemetry.kcat.jsonl.gz"):
        decoded = decoder.decode(batch)
        assert not decoded.rejects
        measures[batch.channel] = decoded.measures()
    group = telemetry_group(measures)
    until = max(int(table["at"].max()) for table in measures.values())  # type: ignore[arg-type]
    since = min(int(table["at"].min()) for table in measures.values())  # type: ignore[arg-type]
    for channel, table in measures.items():
        partials = combine(table, channel, panes_of(STREAMS), 1)[0]
        group.receive(Frame(0, channel, until, partials=partials))
    said = [event for to, event in group.advance() if to == "fleet"]
    rule = load_manifest(FOLDER / "outage.yaml").parameters("fleet", FleetRule)
    fleet = KeyedGroup(FleetLogic(rule, load_service_map()), ("telemetry",))
    fleet.receive(Frame(0, "telemetry", until, said))
    rows = [event.data for _, event in fleet.advance()]
    faults = [fault for fault in read_faults(folder / "faults.json") if fault.at < until]
    return Day(rows, judged(faults, rows, since, until))


@pytest.fixture(scope="module", params=["2022-08-22", "2023-01-30"])
def day(request: pytest.FixtureRequest, shared_data: Path) -> Day:
    return found_on(shared_data / "nezha" / request.param)


def test_most_faults_are_found_within_minutes_and_false_alerts_are_few(day: Day) -> None:
    document = day.document
    assert document["found"] >= 0.6 * document["faults"]
    # On the first day five faults were injected that nobody wrote down.
    assert document["false_alerts"] <= 8
    kind = document["by_kind"]["cpu_contention"]
    assert kind["service_named"] >= 0.7 * kind["faults"]


def test_one_incident_is_one_finding_but_for_a_few(day: Day) -> None:
    opened = [row for row in day.rows if not row["resolves"]]
    assert len(opened) <= 1.3 * len(alerts_of(day.rows))


def test_what_opens_is_resolved(day: Day) -> None:
    opened = {(row["entity"], row["kind"], row["occurrence"]) for row in day.rows if not row["resolves"]}
    resolved = {
        (row["entity"], row["kind"], row["occurrence"].partition(" until ")[0]) for row in day.rows if row["resolves"]
    }
    assert resolved <= opened
    assert len(opened - resolved) <= 1
