"""What befalls a store in one round of a campaign, drawn from the round's own seed."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.support.faults import CALLS, Call, Fault, Kill, Point, Victim

Kind = Literal["kill", "call", "error", "point"]

VICTIMS: tuple[Victim, ...] = ("all", "all", "worker", "worker", "supervisor")
SHORT_S = (0.0, 0.6)
"""Wall time that a second life has after its flow was built: a crash loop."""
KILLS = (3, 8)
"""Kills of one store."""
EPOCHS = 12
"""Points of the protocol are drawn from so many epochs, or nearly."""


@dataclass(frozen=True)
class Blow:
    """One life of a round: on so many processes, with this to befall it."""

    processes: int
    fault: Fault
    chosen: int = 0


@dataclass(frozen=True)
class Ranges:
    """What an unbroken run takes."""

    span_s: float
    """Wall time of the whole life, on the slowest number of processes."""
    calls: dict[tuple[int, int, str], int]
    """System calls, by number of processes, worker and name."""


def plan(kind: Kind, number: int, total: int, seed: str, processes: Sequence[int], ranges: Ranges) -> Iterator[Blow]:
    """Yield what befalls the store of round `number` of `total`."""
    draw = random.Random(f"{seed}/{kind}/{number}")
    if kind == "kill":
        yield from _kills(draw, processes, ranges)
    elif kind == "point":
        yield from _points(draw, processes)
    else:
        yield from _calls(kind, number, total, draw, processes, ranges)


def _kills(draw: random.Random, processes: Sequence[int], ranges: Ranges) -> Iterator[Blow]:
    count = draw.choice(processes)
    for _ in range(draw.randint(*KILLS)):
        victim = draw.choice(VICTIMS)
        yield Blow(count, Kill(draw.uniform(0.0, ranges.span_s), False, victim), draw.randrange(count))
        if draw.random() < 0.3:
            count = draw.choice(processes)
        if draw.random() < 0.4:
            yield Blow(count, Kill(draw.uniform(*SHORT_S), True, victim), draw.randrange(count))


def _calls(
    kind: Kind, number: int, total: int, draw: random.Random, processes: Sequence[int], ranges: Ranges
) -> Iterator[Blow]:
    """Strike at one of all calls, the rounds being spread evenly over them; every other round a second time, soon."""
    count = processes[number % len(processes)]
    worker = (number // len(processes)) % count
    # fsyncs are few and tell most: each name gets its share of the rounds, not of the calls
    name = CALLS[draw.randrange(len(CALLS))]
    most = max(1, ranges.calls[count, worker, name])
    nth = 1 + int(most * (number + draw.random()) / total) % most
    effect = "signal=KILL" if kind == "call" else draw.choice(("error=EIO", "error=ENOSPC"))
    yield Blow(count, Call(worker, name, nth, effect))
    if number % 2:
        count = draw.choice(processes)
        name = draw.choice(CALLS)
        soon = int(math.exp(draw.uniform(0.0, math.log(300 if name == "pwrite64" else 40))))
        yield Blow(count, Call(draw.randrange(count), name, soon, effect))


def _points(draw: random.Random, processes: Sequence[int]) -> Iterator[Blow]:
    """Strike in the middle of an epoch's commit; then again, a few epochs later."""
    count = draw.choice(processes)
    name: Literal["snapshot", "release"] = draw.choice(("snapshot", "release"))
    for nth in (draw.randint(1, 4 * EPOCHS), draw.randint(2, 12), draw.randint(2, 12)):
        yield Blow(count, Point(draw.randrange(count), name, max(1, nth // count)))
