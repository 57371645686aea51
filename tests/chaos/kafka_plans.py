"""What befalls one live job in one round of a campaign, drawn from the round's own seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.support.chaos_live import Pause
from tests.support.chaos_tear import TEARS, Tear
from tests.support.chaos_weather import Event
from tests.support.faults import Call, Fault, Kill, Point, Stop, Victim

Input = Literal["there", "transactions", "slow", "silent"]
"""How the input comes: it is there already, in transactions some of which were aborted, while the job runs, or with
silences after which partitions count as idle."""

LIVES = (5, 9)
VICTIMS: tuple[Victim, ...] = ("all", "all", "worker", "worker", "supervisor")
KILL_S = 1.5
"""Wall time since the flow was built, at most."""
SLOW_S = 6.0
"""Wall time over which slow input comes."""
SILENCE_S = 2.0
"""Longer than `time.idle_timeout` of the campaign."""
ZOMBIE_S = (1.6, 2.6)
"""Longer than the transaction timeout of the campaign, with which brokers abort what a stopped worker has begun."""
BROKER_DOWN_S = (0.0, 1.0)
OUTAGE_S = (0.3, 3.0)
CALLS_MAX = {"pwrite64": 220, "fdatasync": 40, "fsync": 20}
"""System calls of the first epochs after a start."""
STEPS_MAX = 60
"""Steps of transactions after a start: the first releases."""


@dataclass(frozen=True)
class Blow:
    """One life of a round: on so many processes, with this to befall it."""

    processes: int
    fault: Fault
    chosen: int = 0
    weather: tuple[Event, ...] = ()
    pauses: tuple[Pause, ...] = ()
    second: bool = False
    """Another job is started beside it."""
    tear: Tear | None = None
    """What is done to the recovery files before."""
    full: bool = False
    """The disk of store and recovery folder is full for as long as the life goes on."""
    host: bool = False
    """It is stopped, and goes on after another job has gone on with a copy of its recovery folder, as on another host.
    """
    limit_s: float = 5.0
    """Wall time since the flow was built after which it is struck if nothing else happened."""


@dataclass(frozen=True)
class Plan:
    """A round."""

    input: Input
    world: int
    """Which of the worlds that are there, or the seed of its own."""
    topics: bool
    """Whether outputs go to topics as well."""
    blows: tuple[Blow, ...]
    small_disk: bool = False
    """Whether store and recovery folder are on a disk of their own."""


OUTAGE_AFTER_S = 2.5
"""Wall time since a life began: what must be there for a start was."""
OUTAGE_LONG_S = 60.0


def special(kind: str, number: int, seed: str, worlds: int) -> Plan:
    """Return a round of a kind that is too slow, or too odd, to be drawn often: `outage`, `disk` or `host`."""
    draw = random.Random(f"{seed}/{kind}/{number}")
    count, world = draw.choice((1, 2)), draw.randrange(worlds)
    first = Blow(count, Kill(draw.uniform(0.1, 0.5), True))
    if kind == "outage":
        how = draw.choice((("cut", "heal"), ("hold", "heal"), ("kill", "start")))
        events = (Event(OUTAGE_AFTER_S, how[0]), Event(OUTAGE_AFTER_S + OUTAGE_LONG_S, how[1]))
        length = OUTAGE_LONG_S + 15
        return Plan("there", world, True, (first, Blow(count, Stop(length), weather=events, limit_s=length + 30)))
    if kind == "disk":
        full = [Blow(count, Kill(draw.uniform(2.0, 5.0), True), full=True, limit_s=8.0) for _ in range(4)]
        return Plan("there", world, True, (first, *full), small_disk=True)
    return Plan("there", world, True, (first, Blow(count, Kill(15.0, True), host=True, limit_s=20.0)))


def plan(number: int, seed: str, processes: Sequence[int], worlds: int, *, weather: bool = True) -> Plan:
    """Return round `number`.

    Args:
        number: Of the round.
        seed: Of the campaign.
        processes: Numbers of processes to draw from.
        worlds: How many worlds are there.
        weather: Whether something may befall broker and network.
    """
    draw = random.Random(f"{seed}/{number}")
    kinds: tuple[Input, ...] = ("there", "transactions", "slow", "silent")
    how = draw.choices(kinds, (60, 12, 20, 8))[0]
    blows = tuple(_blows(draw, processes, weather))
    return Plan(how, draw.randrange(worlds), draw.random() < 0.85, blows)


def points(number: int, total: int, lives: int, worlds: int) -> Plan:
    """Return a round of enumerated crash points: `lives` of them, one after the other, of `total` rounds."""
    every: list[Fault] = [Point(0, "transaction", nth) for nth in range(1, STEPS_MAX + 1)]
    every += [Call(0, name, nth) for name, most in CALLS_MAX.items() for nth in range(1, most + 1)]
    chosen = every[number::total]
    blows = tuple(Blow(1, fault) for fault in chosen[:lives])
    return Plan("there", number % worlds, True, blows)


def points_total() -> int:
    """Return how many crash points there are."""
    return STEPS_MAX + sum(CALLS_MAX.values())


def _blows(draw: random.Random, processes: Sequence[int], weather: bool) -> Iterator[Blow]:
    count = draw.choice(processes)
    broker_dies = weather and draw.random() < 0.15
    lives = draw.randint(*LIVES)
    for life in range(lives):
        if draw.random() < 0.3:
            count = draw.choice(processes)
        chosen = draw.randrange(count)
        kind = draw.choices(("kill", "soon", "point", "stop", "call", "error", "slow"), (40, 20, 16, 8, 6, 3, 3))[0]
        events = _weather(draw) if weather and draw.random() < 0.25 else ()
        if broker_dies and life == lives // 2:
            down = draw.uniform(*BROKER_DOWN_S)
            events = (Event(draw.uniform(0.5, 1.5), "kill"), Event(1.5 + down, "start"))
        tear = draw.choice(TEARS) if life and draw.random() < 0.06 else None
        yield Blow(
            count,
            _fault(draw, kind, chosen, count),
            chosen,
            events,
            _pauses(draw, count) if draw.random() < 0.12 else (),
            second=draw.random() < 0.08,
            tear=tear,
        )


def _fault(draw: random.Random, kind: str, chosen: int, count: int) -> Fault:
    victim = draw.choice(VICTIMS)
    if kind == "kill":
        return Kill(KILL_S * draw.random(), True, victim)
    if kind == "soon":
        return Kill(0.3 * draw.random(), True, victim)
    if kind == "point":
        name: Literal["snapshot", "release", "transaction"] = draw.choice(("snapshot", "release", "transaction"))
        return Point(chosen, name, draw.randint(1, STEPS_MAX if name == "transaction" else 8))
    if kind == "stop":
        return Stop(draw.choice((0.0, draw.uniform(0.0, 1.0))))
    name_of_call = draw.choice(tuple(CALLS_MAX))
    nth = 1 + int(CALLS_MAX[name_of_call] * draw.random() ** 2)
    if kind == "call":
        return Call(chosen, name_of_call, nth)
    if kind == "error":
        return Call(chosen, name_of_call, nth, draw.choice(("error=EIO", "error=ENOSPC")))
    # A disk that takes its time; the life is ended when its time is up.
    return Call(chosen, "fdatasync", 1, "delay_enter=50000", every=True)


def _pauses(draw: random.Random, count: int) -> tuple[Pause, ...]:
    worker = draw.choice((None, draw.randrange(count)))
    return (Pause(draw.uniform(0.1, 1.0), draw.uniform(*ZOMBIE_S), worker),)


def _weather(draw: random.Random) -> tuple[Event, ...]:
    start, length = draw.uniform(0.2, 1.5), draw.uniform(*OUTAGE_S)
    kind = draw.choice(("cut", "hold", "pause", "reset", "lose", "delay"))
    if kind == "reset":
        return tuple(Event(start + step, "reset") for step in range(3))
    if kind == "lose":
        return (Event(0.0, "lose", (draw.randint(1, 6),)),)
    if kind == "delay":
        return (Event(0.0, "delay", (draw.randint(1, 6), draw.choice((0.3, 1.2, 2.5)))),)
    return (Event(start, kind), Event(start + length, "resume" if kind == "pause" else "heal"))
