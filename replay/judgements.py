"""Runs the stages up to the complaint risk over a recording, in this process, and tells every checkpoint judged.

The stages are those of a job, on one key group each and in the order of event time, so that what they read at a
checkpoint is what the job reads there, value for value; nothing is stored and nothing leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
    receivers = dict.fromkeys([*CHAIN, "cause", "case"], 1)
    for sender, receiver in pairwise(CHAIN):
        routed = route(groups[sender].advance(), receivers)
        channel = group_channel(sender, 0)
        groups[receiver].receive(Frame(0, channel, groups[sender].cut, routed[receiver].get(0, [])))
    groups[CHAIN[-1]].advance()


def _frames(recording: Recording, settings: Settings, on_read: Callable[[int], None]) -> Iterator[dict[str, Frame]]:
    """Yield what each batch brings to the stages that sources send to; the partition furthest behind reads on."""
    contracts, time = load_contract_set(settings), settings.time
    decoder = Decoder(contracts, schemas=recording.schemas())
    panes = panes_of(build_streams(settings.telemetry, contracts))
    open_channels = {
        (part.topic, part.partition): Channel(
            part.topic, part.partition, decoder, micros(time.lateness(part.topic)), micros(time.jump_max)
        )
        for part in recording.partitions
    }
    readers = {place: recording.reader(*place) for place in open_channels}
    while open_channels:
        place = min(open_channels, key=lambda place: (open_channels[place].watermark, place))
        channel = open_channels[place]
        batch = readers[place].read(channel.next_offset, settings.runtime.batch_records)
        if batch is None:
            del open_channels[place]
            until = max(channel.watermark, recording.recorded_until)
            yield {stage: Frame(0, channel.name, until) for stage in ("telemetry", "journey")}
            continue
        taken = channel.take(batch)
        on_read(len(batch))
        partials = combine(taken.measures, channel.name, panes, 1).get(0, [])
        yield {
            "telemetry": Frame(0, channel.name, channel.watermark, partials=partials),
            "journey": Frame(0, channel.name, channel.watermark, events=taken.events),
        }
