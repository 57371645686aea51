"""What befalls a store in one round of a campaign, drawn from the round's own seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.support.faults import CALLS, Call, Fault, Hold, Kill, Point, Stop, Victim

Kind = Literal["kill", "call", "error", "point", "zombie", "hold", "rescale"]

VICTIMS: tuple[Victim, ...] = ("all", "all", "worker", "worker", "supervisor")
SHORT_S = (0.0, 0.6)
"""Wall time that a second life has after its flow was built: a crash loop."""
RESCALED = (1, 2, 3, 1)
"""Numbers of processes, one after the other, each killed; the last one goes on to the end."""
RESCALED_S = (0.1, 0.25)
"""Wall time of each since its flow was built: a few epochs, so that there is enough left for all."""
KILLS = (3, 8)
"""Kills of one store."""
POINTS = 24
"""Snapshots of sink parts with new outputs, or releases, of which one is struck at: about a dozen epochs."""
EARLY = {"pwrite64": 250, "fdatasync": 60, "fsync": 40}
"""System calls of the first epochs after a start, about a dozen of them."""


@dataclass(frozen=True)
class Blow:
    """One life of a round: on so many processes, with this to befall it."""

    processes: int
    fault: Fault
    chosen: int = 0
    workers: int = 1
    """Threads per process."""


@dataclass(frozen=True)
class Ranges:
    """What an unbroken run takes."""

    span_s: float
    """Wall time of a whole life."""
    calls: dict[str, int]
    """System calls on one process, by name."""


def plan(kind: Kind, number: int, total: int, seed: str, processes: Sequence[int], ranges: Ranges) -> Iterator[Blow]:
    """Yield what befalls the store of round `number` of `total`."""
    draw = random.Random(f"{seed}/{kind}/{number}")
    if kind == "kill":
        yield from _kills(draw, processes, ranges)
    elif kind == "point":
        yield from _points(draw, processes)
    elif kind == "zombie":
        # One worker has written its part of an epoch, the other dies before it has; then a life too short to read.
        yield Blow(2, Point(1, "snapshot", 1 + 3 * number))
        yield Blow(2, Stop(0.0))
    elif kind == "rescale":
        for count in RESCALED:
            yield Blow(count, Kill(draw.uniform(*RESCALED_S), True, draw.choice(VICTIMS)), draw.randrange(count))
    elif kind == "hold":
        yield Blow(1, Hold(2 + number), workers=2)
    else:
        yield from _calls(kind, number, total, draw, processes, ranges)


def _kills(draw: random.Random, processes: Sequence[int], ranges: Ranges) -> Iterator[Blow]:
    count = draw.choice(processes)
    for _ in range(draw.randint(*KILLS)):
        victim = draw.choice(VICTIMS)
        yield Blow(count, Kill(ranges.span_s * draw.random() ** 1.5, False, victim), draw.randrange(count))
        if draw.random() < 0.3:
            count = draw.choice(processes)
        if draw.random() < 0.4:
            yield Blow(count, Kill(draw.uniform(*SHORT_S), True, victim), draw.randrange(count))


def _calls(
    kind: Kind, number: int, total: int, draw: random.Random, processes: Sequence[int], ranges: Ranges
) -> Iterator[Blow]:
    """Strike at one of all calls, the rounds being spread evenly over them.

    On one process, of the whole life; every other round strikes a second time, soon. On several, where tracing a whole
    life would take long, of the first epochs after a kill at any instant.
    """
    count = processes[number % len(processes)]
    name = draw.choice(CALLS)  # each name gets its share of the rounds, not of the calls: fsyncs are few and tell most
    place = (number + draw.random()) / total
    effect = "signal=KILL" if kind == "call" else draw.choice(("error=EIO", "error=ENOSPC"))
    if count > 1:
        yield Blow(count, Kill(draw.uniform(0.3, 1.0) * ranges.span_s))
        yield Blow(count, Call(draw.randrange(count), name, _nth(EARLY[name], place), effect))
        return
    yield Blow(count, Call(0, name, _nth(ranges.calls[name], place), effect))
    if number // len(processes) % 2:
        name = draw.choice(CALLS)
        yield Blow(count, Call(0, name, _nth(EARLY[name], draw.random() ** 2), effect))


def _nth(most: int, place: float) -> int:
    return 1 + int(most * place) % max(most, 1)


def _points(draw: random.Random, processes: Sequence[int]) -> Iterator[Blow]:
    """Strike in the middle of an epoch's commit; then again, or stop the next life before it reads a record."""
    count = draw.choice(processes)
    for most in (POINTS, POINTS // 4):
        name: Literal["snapshot", "release"] = draw.choice(("snapshot", "release"))
        yield Blow(count, Point(draw.randrange(count), name, draw.randint(1, most)))
        if draw.random() < 0.5:
            yield Blow(count, Stop(draw.choice((0.0, 0.0, 0.2))))
