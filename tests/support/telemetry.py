"""The telemetry stage on measures of one's own, without an engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from config.agents.load import FOLDER, load_manifest
from config.clock import MINUTE, micros
from config.contracts.load import BUILT_IN, load_contracts
from config.events import Event
from config.findings import Finding
from config.settings import load
from operators.agents.outage import OutageAgent
from operators.frame import Frame
from operators.keyed import KeyedGroup
from operators.streams import build_streams, panes_of
from operators.telemetry import TelemetryLogic, TelemetryState
from operators.window import combine
from tests.support.measures import Measure, table

CHANNEL = "telemetry/0"
SETTINGS = load().telemetry
STREAMS = build_streams(SETTINGS, load_contracts(BUILT_IN))
MANIFEST = load_manifest(FOLDER / "outage.yaml")

Emitted = list[tuple[str, Event]]


def telemetry_group(channels: Iterable[str] = (CHANNEL,)) -> KeyedGroup[TelemetryState]:
    """Return a key group of the stage as the job's defaults make it."""
    logic = TelemetryLogic(STREAMS, OutageAgent(MANIFEST), micros(SETTINGS.entity_ttl))
    return KeyedGroup(logic, channels)


def feed(
    group: KeyedGroup[TelemetryState],
    rows: Sequence[Measure],
    offset: int,
    watermark: int,
    channel: str = CHANNEL,
    one_in: int = 1,
) -> None:
    """Give a batch to the group as a source would; of a sample of one in so many, each row stands for so many."""
    measures = table(rows, offset)
    if one_in > 1:
        measures = measures.with_columns(weight=pl.lit(one_in, dtype=pl.Int64))
    partials = combine(measures, channel, panes_of(STREAMS), 1).get(0, [])
    group.receive(Frame(0, channel, watermark, partials=partials))


def emitted(rows: Sequence[Measure], until: int) -> Emitted:
    """Return what the stage emits for `rows` when time goes on to `until`."""
    group = telemetry_group()
    feed(group, rows, 0, until)
    return group.advance()


def findings(emissions: Emitted) -> list[Finding]:
    """Return the findings among what was emitted."""
    return [Finding.of(event) for _, event in emissions if event.type == "finding"]


def requests(minutes: range, *, failing: float = 0.0, slow: float = 1.0, per_minute: int = 40) -> list[Measure]:
    """Return requests to `checkout`: with a share of failures and so many times slower than usual."""
    rows = []
    for minute in minutes:
        for number in range(per_minute):
            spread = 1 + (minute * 7 + number * 13) % 20 / 20
            rows.append(
                Measure(
                    at=minute * MINUTE + number * MINUTE // per_minute,
                    value=int(80_000 * spread * slow),
                    failed=number < failing * per_minute,
                    customer=f"c{minute}-{number}",
                    contract="request.completed@1.0.0",
                )
            )
    return rows
