"""The outbox: the one way out of a dataflow.

What a run wants to say is numbered, chained and kept in the sink's snapshot. Only when that snapshot is durable (see
`sinks/gate.py`) is it released into the store. So nothing is visible outside before the state that made it is safe,
and a replay after a crash may come out in another order without anybody noticing.

1. `write` appends to memory; nothing leaves.
2. `snapshot` returns bytes with everything not known to be in the store.
3. The epoch becomes durable; the gate calls back; the entries up to that snapshot go out in one transaction: into the
   store, or onto topics.
4. Only when that is certain are they forgotten.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

import msgspec
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from config.events import Event
from sinks.chain import Entry, canonical, link
from sinks.counted import OutboxMetrics, until_durable
from sinks.failures import noted
from sinks.gate import register
from sinks.outbox_state import STATE_VERSION, OutboxState, decoded
from sinks.part_writer import ChannelStats


class Release(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a sender hands to a sink part: the items of the stream into an `OutboxSink`, keyed by part."""

    sender: str
    """One of the senders the sink was built with: `@stage/group`, `topic/partition`."""
    events: list[Event] = []
    ended: bool = False
    """The sender has come to the end of its input and sends no more events in this run."""
    stats: list[ChannelStats] = []


class Writer(Protocol):
    """Where an outbox releases to."""

    def release(self, entries: Sequence[Entry], stats: Sequence[ChannelStats]) -> bool:
        """Write all of it, or nothing; return False where that goes on beside the caller, who is to ask again."""

    def mark_done(self) -> None:
        """Note that everything of this run is released."""


class Outlet(Protocol):
    """What outboxes release to, in this process."""

    name: str
    """What metrics call it."""

    def open_part(self, part: str, base_seq: int, heads: Sequence[bytes]) -> Writer:
        """Take over a sink part: see `Store.open_part`."""


ENTRY_BYTES = 200
"""What an entry takes beside its body, about."""
HELD_MAX = 100_000
"""Entries held before whoever writes to an outbox has to wait for the release that is under way."""
WAIT_S = 0.01


class Outbox:
    """The outbox of one sink part: numbers, chains, holds, releases.

    Args:
        part: Name of the sink part.
        senders: All who will send to it, and say when they have ended.
        open_part: Takes over the part in the store, as `Store.open_part` does.
        state: What `snapshot` returned, when resuming.
        name: What metrics call it; by default as its part.
        tell: Told how many bytes it holds.

    Raises:
        RecoveryError: `state` cannot be read.
        SequenceError: `state` does not continue the store.
    """

    def __init__(
        self,
        part: str,
        senders: frozenset[str],
        open_part: Callable[[str, int, list[bytes]], Writer],
        state: bytes | None = None,
        name: str | None = None,
        tell: Callable[[int], None] = lambda held: None,
    ) -> None:
        recovered = decoded(part, state)
        self.part = part
        self._senders = senders
        self._ended: set[str] = set()
        self._done = False
        self._base_seq = recovered.base_seq
        self._base_head = recovered.base_head
        self._entries = recovered.entries
        self._bytes = sum(map(_size, self._entries))
        self._tell = tell
        self._stats = {each.channel: each for each in recovered.stats}
        self._encoded: bytes | None = None
        self._metrics = OutboxMetrics(name or part)
        self._writer = open_part(part, self._base_seq, [self._base_head, *(each.chain for each in self._entries)])
        # What is durable and not yet released: what is under way, and all that came since. What was recovered is.
        self._due: deque[tuple[int, dict[str, ChannelStats]]] = deque([(self.seq, dict(self._stats))])
        tell(self._bytes)
        self.advance()

    @property
    def seq(self) -> int:
        """The number of the last entry written, in this run or before."""
        return self._base_seq + len(self._entries)

    def write(self, releases: Iterable[Release]) -> None:
        """Append the events of `releases`; nothing leaves yet.

        Raises:
            ValueError: A sender is unknown, or goes on after it ended.
        """
        seq = self.seq
        head = self._entries[-1].chain if self._entries else self._base_head
        for release in releases:
            if release.sender not in self._senders:
                raise ValueError(f"Sink part {self.part}: {release.sender} is not among its senders.")
            if release.events and release.sender in self._ended:
                raise ValueError(f"Sink part {self.part}: {release.sender} goes on after it has ended.")
            for event in release.events:
                seq += 1
                body = canonical(event.data)
                head = link(head, self.part, seq, event.type, event.id, event.at, event.key, body)
                self._entries.append(Entry(seq, event.type, event.id, event.at, event.key, body, head))
                self._bytes += _size(self._entries[-1])
            for stats in release.stats:
                self._stats[stats.channel] = stats
            if release.ended:
                self._ended.add(release.sender)
            if release.events or release.stats:
                self._encoded = None
        while len(self._entries) > HELD_MAX and not self.advance():
            time.sleep(WAIT_S)
        self._settle()

    def snapshot(self) -> tuple[bytes, Callable[[], None]]:
        """Return the state, and what to call as soon as that state is durable, and not before."""
        if self._encoded is None:
            began = time.perf_counter()
            state = OutboxState(
                STATE_VERSION, self._base_seq, self._base_head, self._entries, list(self._stats.values())
            )
            self._encoded = msgspec.msgpack.encode(state)
            self._metrics.saved(len(self._encoded), time.perf_counter() - began)
        upto, stats = self.seq, dict(self._stats)

        def durable() -> None:
            waiting = self._due.pop() if len(self._due) > 1 else (0, {})
            self._due.append((max(upto, waiting[0]), waiting[1] | stats))
            self.advance()

        return self._encoded, durable

    def advance(self) -> bool:
        """Release what is durable, then forget it; return whether there is nothing left of it."""
        while self._due:
            upto, stats = self._due[0]
            count = max(upto - self._base_seq, 0)
            if not self._writer.release(self._entries[:count], list(stats.values())):
                return False
            self._due.popleft()
            self._forget(count, stats)
        return True

    def _forget(self, count: int, stats: dict[str, ChannelStats]) -> None:
        """Drop the first `count` entries, and `stats` where there are no newer ones."""
        if count:
            self._base_seq, self._base_head = self._entries[count - 1].seq, self._entries[count - 1].chain
            self._bytes -= sum(map(_size, self._entries[:count]))
            del self._entries[:count]
        for channel, released in stats.items():
            if self._stats.get(channel) is released:
                del self._stats[channel]
        if count or stats:
            self._encoded = None
        self._settle()

    def _settle(self) -> None:
        """Say so when every sender has ended and nothing is held back."""
        self._metrics.holds(self._base_seq, self.seq)
        self._tell(self._bytes)
        if not (self._done or self._due or self._entries or self._stats) and self._ended == self._senders:
            self._writer.mark_done()
            self._done = True


def _size(entry: Entry) -> int:
    return len(entry.body) + ENTRY_BYTES


class OutboxPart(StatefulSinkPartition[Release, bytes]):
    """An `Outbox` as Bytewax calls it."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._polled = False
        self._poll()

    @noted
    def write_batch(self, values: list[Release]) -> None:
        """Take in what the senders say."""
        self._outbox.write(values)

    @noted
    def snapshot(self) -> bytes:
        """Return the state; release once it is durable."""
        state, durable = self._outbox.snapshot()

        def called() -> None:
            durable()
            self._poll()

        register(until_durable(called))
        return state

    def _poll(self) -> None:
        """Ask at every tick of the gate, until what is durable is released."""
        if not self._polled and not self._outbox.advance():
            self._polled = True
            register(self._poll_again)

    def _poll_again(self) -> None:
        self._polled = False
        self._poll()


class OutboxSink(FixedPartitionedSink[Release, bytes]):
    """Sends `(part, Release)` out.

    Args:
        outlet: Where to.
        parts: Names of all sink parts, the same in every run.
        senders: All who send to every part.
        tell: Told how many bytes an outbox holds, by name.
    """

    def __init__(
        self,
        outlet: Outlet,
        parts: Sequence[str],
        senders: frozenset[str],
        tell: Callable[[str, int], None] = lambda name, held: None,
    ) -> None:
        self._outlet, self._tell = outlet, tell
        self._parts = sorted(parts)
        self._senders = senders

    def list_parts(self) -> list[str]:
        """Return all parts: any worker can write any of them."""
        return self._parts

    def part_fn(self, item_key: str) -> int:
        """Return the place of the part that `item_key` names.

        Raises:
            ValueError: There is no such part.
        """
        return self._parts.index(item_key)

    @noted
    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> OutboxPart:
        """Take over a part and release what was recovered.

        Raises:
            SequenceError: What was released and the recovered state do not continue each other.
        """
        outlet = self._outlet
        name = f"{outlet.name}/{for_part}" if outlet.name else for_part
        tell = partial(self._tell, name)
        return OutboxPart(Outbox(for_part, self._senders, outlet.open_part, resume_state, name, tell))


def part_names(count: int) -> list[str]:
    """Return the names of `count` sink parts, in order."""
    return [f"part-{number:03}" for number in range(count)]


def part_of(key_group: int, parts: Sequence[str]) -> str:
    """Return the sink part that the outputs of a key group go to."""
    return parts[key_group % len(parts)]
