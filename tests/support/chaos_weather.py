"""What befalls broker and network in a campaign: kills, pauses, outages, commits whose answer is lost or late."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.kafka import free_port
from tests.support.kafka_cluster import ClusterBroker
from tests.support.proxy import Proxy

PROXIED = "PROXIED"


SETTINGS = {
    "log.retention.ms": "-1",  # worlds are older than a week
    # Transactions of the dead are aborted soon: readers wait for that.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "200",
    "transaction.max.timeout.ms": "60000",
    "num.io.threads": "2",
    "num.network.threads": "2",
    "log.cleaner.threads": "1",
    "num.recovery.threads.per.data.dir": "2",
}


class Event(NamedTuple):
    """Something that befalls broker or network: a method of `Weather` with its arguments, some time from now."""

    after_s: float
    what: str
    arguments: tuple[Any, ...] = ()


class Weather:
    """Broker and proxy, and what is done to them; all on one thread, whose end would be the broker's."""

    def __init__(self, folder: Path) -> None:
        inner, outer = free_port(), free_port()
        self.broker = ClusterBroker(folder, SETTINGS, {PROXIED: (inner, "PLAINTEXT")})
        advertise(folder, self.broker.bootstrap, outer)
        self.broker.start()
        self.proxied = f"127.0.0.1:{outer}"
        self.proxy = Proxy(outer, inner)
        self.runs = True
        self.events = 0

    def kill(self) -> None:
        """Kill the broker as a loss of power would."""
        self.broker.kill()
        self.runs = False

    def stop(self) -> None:
        """Shut the broker down in good order."""
        self.broker.stop()
        self.runs = False

    def start(self) -> None:
        """Start it again."""
        if not self.runs:
            self.broker.start()
            self.runs = True

    def pause(self) -> None:
        """Stop the broker in its tracks."""
        if self.runs:
            self.broker.pause()

    def resume(self) -> None:
        """Let the broker go on."""
        if self.runs:
            self.broker.resume()

    def cut(self) -> None:
        """Make the broker unreachable for the job."""
        self.proxy.cut()

    def reset(self) -> None:
        """Break the job's connections once."""
        self.proxy.reset()

    def hold(self) -> None:
        """Let the job's bytes get stuck on the way."""
        self.proxy.hold()

    def lose(self, count: int) -> None:
        """Lose the answers to commits."""
        self.proxy.lose_commits(count)

    def delay(self, count: int, seconds: float) -> None:
        """Let commits arrive late."""
        self.proxy.delay_commits(count, seconds)

    def heal(self) -> None:
        """Make the network good again."""
        self.proxy.heal()

    def calm(self) -> None:
        """Make all good again, and wait until the broker answers."""
        self.proxy.heal()
        self.resume()
        self.start()
        self.broker.wait()


def advertise(folder: Path, bootstrap: str, outer: int) -> None:
    """Make clients that come through the proxy go on through it."""
    properties = folder / "server.properties"
    listeners = f"PLAINTEXT://{bootstrap},{PROXIED}://127.0.0.1:{outer}"
    properties.write_text(f"{properties.read_text()}advertised.listeners={listeners}\n")


class Driver:
    """Runs `Weather` on the main thread of the process."""

    def __init__(self, folder: Path) -> None:
        self._due: list[tuple[float, int, Event, Future[None] | None]] = []
        self._count = itertools.count()
        self._changed = threading.Condition()
        self._folder = folder
        self.failed: str | None = None
        self.weather: Weather | None = None
        self.started: Future[Weather] = Future()

    def run(self) -> None:
        try:
            self.weather = Weather(self._folder)
        except BaseException as error:
            self.started.set_exception(error)
            return
        self.started.set_result(self.weather)
        while True:
            event, done = self._next()
            if event.what == "end":
                self.weather.broker.end()
                return
            try:
                getattr(self.weather, event.what)(*event.arguments)
                self.weather.events += 1
            except BaseException as error:
                self.failed = f"{event}: {error}"
                if done is not None:
                    done.set_exception(error)
                continue
            if done is not None:
                done.set_result(None)

    def plan(self, events: Iterable[Event]) -> None:
        now = time.monotonic()
        with self._changed:
            for event in events:
                heapq.heappush(self._due, (now + event.after_s, next(self._count), event, None))
            self._changed.notify()

    def at_once(self, what: str) -> None:
        done: Future[None] = Future()
        with self._changed:
            self._due = [(0.0, next(self._count), Event(0.0, what), done)]
            self._changed.notify()
        if what != "end":
            done.result()

    def _next(self) -> tuple[Event, Future[None] | None]:
        with self._changed:
            while True:
                wait = None
                if self._due:
                    wait = self._due[0][0] - time.monotonic()
                    if wait <= 0:
                        _, _, event, done = heapq.heappop(self._due)
                        return event, done
                self._changed.wait(wait)
