"""Runs the stages up to the complaint risk over a recording, in this process, and tells every checkpoint judged.

The stages are those of a job, on one key group each and in the order of event time, so that what they read at a
checkpoint is what the job reads there, value for value; nothing is stored and nothing leaves. Only telemetry that was
sampled under overload is read whole: no view reads what it tells journeys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from config.clock import micros
from config.settings import Settings
from dataflows.detection import Logics
from dataflows.domain import load_contract_set, load_logics
from dataflows.stages import group_channel, route
from operators.channel import Channel
from operators.decode import Decoder
from operators.features.checkpoints import MODEL
from operators.frame import Frame
from operators.keyed import KeyedGroup
from operators.risk import Judgement, RiskLogic
from operators.risk_state import RiskState
from operators.streams import build_streams, panes_of
from operators.window import combine
from replay.recording import Recording
from replay.source import RecordedPartition

CHAIN = ("telemetry", "journey", "risk")
"""The stages that bear on it."""


@dataclass
class Judged:
    """What a run over a recording came to."""

    judgements: list[Judgement]
    """In the order in which they were made."""
    state: RiskState
    """Of the model, at the end."""


def judge(
    folder: Path,
    settings: Settings,
    on_read: Callable[[int], None] = lambda records: None,
    logics: Logics | None = None,
) -> Judged:
    """Run over the recording in `folder`.

    Args:
        folder: Of the recording.
        settings: Of the job.
        on_read: Called with the number of records of each batch read.
        logics: What the stages do, if not what the settings say.

    Raises:
        ForestallError: the recording, a manifest or a view is at fault.
    """
    recording = Recording.open(folder)
    logics = logics or load_logics(settings)
    judgements: list[Judgement] = []
    risk = logics.risk()
    assert isinstance(risk, RiskLogic)
    risk.observer = judgements.append
    sources = [f"{part.topic}/{part.partition}" for part in recording.partitions]
    groups: dict[str, KeyedGroup[Any]] = {
        "telemetry": KeyedGroup(logics.telemetry(), sources),
        "journey": KeyedGroup(logics.journey(), [*sources, group_channel("telemetry", 0)]),
        "risk": KeyedGroup(risk, [group_channel("journey", 0)]),
    }
    for frames in _frames(recording, settings, on_read):
        for stage, frame in frames.items():
            groups[stage].receive(frame)
        _advance(groups)
    return Judged(judgements, groups["risk"].state_of(MODEL) or RiskState())


def _advance(groups: dict[str, KeyedGroup[Any]]) -> None:
    receivers = dict.fromkeys((stage.name for stage in fields(Logics)), 1)
    for sender, receiver in pairwise(CHAIN):
        routed = route(groups[sender].advance(), receivers)
        channel = group_channel(sender, 0)
        groups[receiver].receive(Frame(0, channel, groups[sender].cut, routed[receiver].get(0, [])))
    groups[CHAIN[-1]].advance()


def _frames(recording: Recording, settings: Settings, on_read: Callable[[int], None]) -> Iterator[dict[str, Frame]]:
    """Yield what each batch brings to the stages that sources send to; the partition furthest behind reads on.

    Batches end where a partition was idle when the recording was made: what is late follows from it.
    """
    contracts, time = load_contract_set(settings), settings.time
    decoder = Decoder(contracts, schemas=recording.schemas())
    panes = panes_of(build_streams(settings.telemetry, contracts))
    readers: dict[Channel, RecordedPartition] = {}
    for part in recording.partitions:
        lateness, jump = micros(time.lateness(part.topic)), micros(time.jump_max)
        channel = Channel(part.topic, part.partition, decoder, lateness, jump)
        readers[channel] = RecordedPartition(recording, channel.name)
        channel.begin(readers[channel].open(channel.position))
    while readers:
        channel = min(readers, key=lambda channel: (channel.watermark, channel.name))
        reader, at = readers[channel], channel.next_offset
        if (watermark := reader.idle_until(at)) is not None:
            channel.stay_idle(watermark)
        border, limit = reader.next_idle(at), settings.runtime.batch_records
        found = reader.read(at, limit if border is None else min(limit, border - at))
        if found is None:
            del readers[channel]
            until = max(channel.watermark, recording.recorded_until)
            yield {stage: Frame(0, channel.name, until) for stage in ("telemetry", "journey")}
            continue
        batch = found if border is None else found.until(border)
        taken = channel.take(batch)
        if len(batch) < len(found) and border is not None:
            channel.pass_over(border)
        on_read(len(batch))
        partials = combine(taken.measures, channel.name, panes, 1).get(0, [])
        yield {
            "telemetry": Frame(0, channel.name, channel.watermark, partials=partials),
            "journey": Frame(0, channel.name, channel.watermark, events=taken.events),
        }
