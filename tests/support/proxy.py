"""A proxy before a Kafka broker that can be told to fail: cut, hold, or lose and delay the ends of transactions.

Clients must know no other way: the broker advertises the proxy's address for the listener that the proxy leads to.
Requests and answers are taken apart only as far as needed: length, kind of request, correlation id.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
END_TXN = 26
"""Kafka's number of the request that commits or aborts a transaction."""
FRAME_BYTES_MAX = 1 << 27


@dataclass
class Faults:
    """What the proxy does to connections now."""

    cut: bool = False
    """Refuse connections."""
    held: bool = False
    """Take bytes, and hand none on."""
    lose_commits: int = 0
    """Of so many ends of transactions to come, the answer is lost, and with it the connection."""
    delay_commits: int = 0
    """So many ends of transactions to come reach the broker late, when the client's connection is long gone."""
    delay_s: float = 0.0


@dataclass
class Seen:
    """What the proxy has done."""

    connections: int = 0
    cut: int = 0
    lost: int = 0
    """Answers to ends of transactions."""
    delayed: int = 0
    """Ends of transactions."""


class Proxy:
    """Listens on loopback, on a thread of its own, and hands connections on to `port` of loopback.

    Args:
        listen: The port to listen at.
        port: The broker's.
    """

    def __init__(self, listen: int, port: int) -> None:
        self.seen = Seen()
        self._listen, self._port = listen, port
        self._faults = Faults()
        self._open: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = self._wait(asyncio.start_server(self._serve, "127.0.0.1", listen))
        self._free = self._wait(_event())
        self._free.set()

    def cut(self) -> None:
        """Break all connections, and refuse new ones until `heal`."""
        self._faults.cut = True
        self._call(self._break_all)

    def reset(self) -> None:
        """Break all connections once."""
        self._call(self._break_all)

    def hold(self) -> None:
        """Hand nothing on until `heal`; connections stay."""
        self._faults.held = True
        self._call(self._free.clear)

    def lose_commits(self, count: int) -> None:
        """Let the next `count` ends of transactions take effect without an answer."""
        self._faults.lose_commits = count

    def delay_commits(self, count: int, seconds: float) -> None:
        """Let the next `count` ends of transactions reach the broker `seconds` after their client was cut off."""
        self._faults.delay_commits, self._faults.delay_s = count, seconds

    def heal(self) -> None:
        """Hand on everything again, what was held included."""
        self._faults.cut = self._faults.held = False
        self._faults.lose_commits = self._faults.delay_commits = 0
        self._call(self._free.set)

    def close(self) -> None:
        """Stop listening and break all connections."""
        self._wait(self._end())
        self._call(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        self._break_all()
        mine = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _call(self, what: Any) -> None:
        self._loop.call_soon_threadsafe(what)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(10)

    def _break_all(self) -> None:
        for connection in list(self._open):
            connection.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen.connections += 1
        if self._faults.cut:
            self.seen.cut += 1
            writer.close()
            return
        try:
            to_broker = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.close()
            return
        connection = _Connection(self._faults, self.seen, self._free, (reader, writer), to_broker)
        self._open.add(connection)
        try:
            await connection.run()
        finally:
            self._open.discard(connection)


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(eq=False)
class _Connection:
    faults: Faults
    seen: Seen
    free: asyncio.Event
    client: Stream
    broker: Stream
    lost: set[int] = field(default_factory=set)
    """Correlation ids whose answer is to be lost."""

    def close(self) -> None:
        """Break both halves, as a lost network would."""
        for _, writer in (self.client, self.broker):
            with suppress(Exception):
                writer.transport.abort()

    async def run(self) -> None:
        """Hand on in both directions until one ends."""
        ways = [asyncio.create_task(self._requests()), asyncio.create_task(self._answers())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self.close()

    async def _requests(self) -> None:
        reader, writer = self.client[0], self.broker[1]
        while (frame := await _frame(reader)) is not None:
            kind, _, correlation = struct.unpack(">hhi", frame[4:12])
            if kind == END_TXN and self.faults.delay_commits > 0:
                self.faults.delay_commits -= 1
                self.seen.delayed += 1
                self.client[1].transport.abort()
                await asyncio.sleep(self.faults.delay_s)
                writer.write(frame)
                await writer.drain()
                await asyncio.sleep(0.2)
                return
            if kind == END_TXN and self.faults.lose_commits > 0:
                self.faults.lose_commits -= 1
                self.lost.add(correlation)
            await self.free.wait()
            writer.write(frame)
            await writer.drain()

    async def _answers(self) -> None:
        reader, writer = self.broker[0], self.client[1]
        while (frame := await _frame(reader)) is not None:
            if struct.unpack(">i", frame[4:8])[0] in self.lost:
                self.seen.lost += 1
                return
            await self.free.wait()
            if not self.client[1].transport.is_closing():
                writer.write(frame)
                await writer.drain()


async def _frame(reader: asyncio.StreamReader) -> bytes | None:
    try:
        head = await reader.readexactly(4)
        (length,) = struct.unpack(">i", head)
        if not 8 <= length <= FRAME_BYTES_MAX:
            return None
        return head + await reader.readexactly(length)
    except (asyncio.IncompleteReadError, OSError):
        return None


async def _event() -> asyncio.Event:
    return asyncio.Event()
