"""What each layer of the telemetry path costs, in nanoseconds per event, one after the other in one process.

The layers are the product's own functions, called as a source partition calls them; what is left to the whole is
Bytewax, pickling and SQLite.
"""

from __future__ import annotations

import gc
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from config.clock import micros
from config.settings import Settings, environment, load
from dataflows.detection import FLEETS, receivers_of
from dataflows.domain import load_contract_set, load_logics
from dataflows.stages import Emitter, route
from dataflows.worker import GC_THRESHOLDS
from detectors.methods import load_learners
from operators.channel import Channel
from operators.decode import Decoder
from operators.keyed import KeyedGroup
from operators.streams import build_streams, panes_of
from operators.window import combine
from replay.recording import Recording

Advance = Callable[[int], None]


class Spent:
    """Nanoseconds of CPU by layer."""

    def __init__(self) -> None:
        self.ns: dict[str, int] = defaultdict(int)

    @contextmanager
    def on(self, layer: str) -> Iterator[None]:
        began = time.process_time_ns()
        yield
        self.ns[layer] += time.process_time_ns() - began


def layers(recording: Recording, events: int, advance: Advance) -> dict[str, float]:
    """Return nanoseconds of CPU per event, by layer, over the first `events` records."""
    settings: Settings = load(None, environment())
    load_learners()
    contracts = load_contract_set(settings)
    decoder = Decoder(contracts)
    panes = panes_of(build_streams(settings.telemetry, contracts))
    receivers = receivers_of(settings.runtime.key_groups)
    group_count = settings.runtime.key_groups.telemetry
    logics = load_logics(settings)
    names = [f"{p.topic}/{p.partition}" for p in recording.partitions]
    groups = [KeyedGroup(logics.telemetry(), names) for _ in range(group_count)]
    downstream = {
        "journey": settings.runtime.key_groups.journey,
        "fleet": FLEETS,
        "cause": settings.runtime.key_groups.cause,
    }
    sources = {}
    for part in recording.partitions:
        lateness = micros(settings.time.lateness(part.topic))
        channel = Channel(part.topic, part.partition, decoder, lateness, micros(settings.time.jump_max))
        emitter = Emitter(channel.name, receivers, settings.runtime.emit_interval, lambda: datetime.now(UTC))
        sources[channel.name] = (recording.reader(part.topic, part.partition), channel, emitter)
    spent, done, partial_count, emitted_count = Spent(), 0, 0, 0
    before = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        while sources and done < events:
            # The slowest partition reads on, as alignment has it.
            name = min(sources, key=lambda name: sources[name][1].watermark)
            reader, channel, emitter = sources[name]
            with spent.on("read"):
                batch = reader.read(channel.next_offset, settings.runtime.batch_records)
            if batch is None:
                del sources[name]
                continue
            with spent.on("decode"):
                decoder.decode(batch)
            with spent.on("decode and judge"):
                taken = channel.take(batch)
            with spent.on("combine"):
                partials = combine(taken.measures, name, panes, group_count)
            with spent.on("route"):
                frames = emitter.frames(channel.watermark, {}, {"telemetry": partials})["telemetry"]
            with spent.on("keyed, merge"):
                for frame in frames:
                    groups[frame.to].receive(frame)
            with spent.on("keyed, close"):
                outputs = [groups[number].advance() for number in {frame.to for frame in frames}]
            with spent.on("snapshot"):
                channel.snapshot()
            for output in outputs:
                route(output, downstream)
                emitted_count += len(output)
            partial_count += sum(map(len, partials.values()))
            done += len(batch)
            advance(len(batch))
    finally:
        gc.set_threshold(*before)
    result = {layer: ns / done for layer, ns in spent.ns.items()}
    result["judge and measure"] = result.pop("decode and judge") - result["decode"]
    result["partials per 1,000 events"] = 1000 * partial_count / done
    return result
