"""Kafka's side of a campaign: broker, proxy, topics and worlds, in a process of its own.

A campaign forks its lives from a process without threads. Clients of Kafka are threads; so they live here, and the
campaign asks: `Place.started(folder).call("ends", topics)`.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from replay.manifest import Idle
from tests.support.chaos_topics import Record, Topics
from tests.support.chaos_weather import Driver, Event, Weather
from tests.support.chaos_world import spoilt, tagged, topics_of, world, write_recording
from tests.support.faults import die_with_parent


class Keeper(Topics):
    """What a campaign may ask for; runs in the process of the broker."""

    def __init__(self, driver: Driver, weather: Weather, folder: Path) -> None:
        super().__init__(weather.broker)
        self._driver, self._weather, self._folder = driver, weather, folder
        self._worlds: dict[str, tuple[list[Record], list[int] | None]] = {}

    def addresses(self) -> tuple[str, str]:
        """Return the broker's address, and that of the proxy before it."""
        return self._weather.broker.bootstrap, self._weather.proxied

    def plan(self, events: Sequence[Event]) -> None:
        """Let something befall broker and network, from now on."""
        self._driver.plan(events)

    def calm(self) -> None:
        """Forget what is planned, and make all good again."""
        self._driver.at_once("calm")
        if self._driver.failed:
            raise RuntimeError(self._driver.failed)

    def seen(self) -> dict[str, int]:
        """Return what befell so far: events, and what the proxy did."""
        return {"events": self._weather.events, **vars(self._weather.proxy.seen)}

    # -- worlds ----------------------------------------------------------------------------------------------------

    def load(self, tag: str, seed: int, events: int, *, transactional: Sequence[int] = ()) -> int:
        """Make a world and put it on topics of its own, all at once; return how many records it has."""
        records = self._made(tag, seed, events)
        offsets = self.write(records, transactional)
        self._worlds[tag] = (records, offsets)
        return len(records)

    def load_slowly(self, tag: str, seed: int, events: int, seconds: float, silences: Sequence[float] = ()) -> int:
        """Make a world and put it on topics of its own over so many seconds; return how many records it has."""
        records = self._made(tag, seed, events)
        self._worlds[tag] = (records, None)
        self.trickle(records, seconds, silences)
        return len(records)

    def record(self, tag: str, folder: Path, idle: Sequence[Idle] = ()) -> None:
        """Write down what was put on the topics of a world, for an embedded replay."""
        records, offsets = self._worlds[tag]
        write_recording(folder, records, offsets, idle)

    def lasts(self, tag: str) -> dict[tuple[str, int], int]:
        """Return, by partition, the offset after the last record that was put there at once; past it are only marks."""
        records, offsets = self._worlds[tag]
        return {} if offsets is None else {record[:2]: at + 1 for record, at in zip(records, offsets, strict=True)}

    def forget(self, tag: str) -> None:
        """Delete the topics of a world."""
        del self._worlds[tag]
        self.delete(list(topics_of(tag)))

    def _made(self, tag: str, seed: int, events: int) -> list[Record]:
        records = spoilt(world(seed, events, self._folder / f"world-{tag}"), random.Random(f"{seed}/{tag}"))
        self.make(topics_of(tag))
        return tagged(records, tag)


@dataclass
class Place:
    """The campaign's end of the line to the process that keeps the broker."""

    pid: int
    line: Connection

    @classmethod
    def started(cls, folder: Path) -> Place:
        """Start broker and proxy.

        Raises:
            RuntimeError: They cannot be started; says why.
        """
        ours, theirs = multiprocessing.Pipe()
        folder.mkdir(parents=True)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                die_with_parent()
                ours.close()
                log = os.open(folder / "keeper.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                os.dup2(log, 1)
                os.dup2(log, 2)
                _keep(folder, theirs)
                code = 0
            except BaseException:
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(code)
        theirs.close()
        place = cls(pid, ours)
        place._answer()
        return place

    def call(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Call a method of `Keeper`.

        Raises:
            RuntimeError: It failed.
        """
        self.line.send((method, arguments, named))
        return self._answer()

    def stop(self) -> None:
        """End broker and proxy."""
        with suppress(OSError):
            self.line.send(("end", (), {}))
        os.waitpid(self.pid, 0)

    def _answer(self) -> Any:
        try:
            well, answer = self.line.recv()
        except EOFError as error:
            raise RuntimeError("the process that keeps the broker is gone; see keeper.log") from error
        if not well:
            raise RuntimeError(answer)
        return answer


def _keep(folder: Path, line: Connection) -> None:
    """Keep a broker, and answer until the campaign has no more questions."""
    driver = Driver(folder)

    def answer() -> None:
        try:
            keeper = Keeper(driver, driver.started.result(), folder)
        except BaseException as error:
            line.send((False, f"{type(error).__name__}: {error}"))
            return
        line.send((True, None))
        while True:
            try:
                method, arguments, named = line.recv()
            except EOFError:
                method = "end"
            if method == "end":
                driver.at_once("end")
                return
            try:
                line.send((True, getattr(keeper, method)(*arguments, **named)))
            except BaseException as error:
                traceback.print_exc()
                line.send((False, f"{method}: {type(error).__name__}: {error}"))

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    driver.run()
    thread.join(5)
