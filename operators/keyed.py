"""Key groups: ordered, event-time processing of keyed state. The core of the runtime, without an engine.

A stage's keys are divided into a fixed number of *key groups* (as Flink's maximum parallelism). A group buffers the
events of its channels and processes only what is strictly before the minimum of their watermarks, in the order
(event time, event id, …: `Event.order`), timers before events of the same time. Strictly: at the watermark itself
equals may still be under way, and processing them early would make a tie's order depend on how batches were cut.

What follows: the outputs of a group depend only on the content of its channels, not on batches, interleaving,
pauses or restarts. `receive` and `advance` are all there is to running it; `delta` and `restore` are its durability.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Any, Generic, TypeVar

import msgspec

from config.clock import TIME_MAX, TIME_MIN
from config.errors import RecoveryError
from config.events import BROADCAST, Event
from config.identity import short_hash
from operators.frame import Frame, Watermarks
from operators.logic import KeyedLogic

S = TypeVar("S")

STALE_TIMERS_MAX = 1024
"""Replaced and cancelled timers a heap may hold beyond the live ones before it is rebuilt."""


class Entry(msgspec.Struct, Generic[S], gc=False):
    """All that is kept of one key.

    A restored entry stays encoded until its key is met again: a million journeys are back in seconds, and those
    that sleep take a tenth of the memory.
    """

    state: S | None
    """None while `body` holds it, encoded."""
    timers: dict[str, int]
    """Event time by timer name."""
    seen: dict[int, int]
    """Event time by hash of event id, oldest first: what the duplicate check remembers."""
    body: bytes = b""
    version: int = 0
    """State version of `body`."""


class Delta(msgspec.Struct, frozen=True, array_like=True):
    """What changed in a group since the delta before; the first one of a log holds all.

    Applied in order, deltas give the group back. Buffered events need no removal: whatever is before `cut` was
    processed, so a buffer is all arrivals at or after it.
    """

    cut: int
    watermarks: dict[str, int]
    arrivals: list[Event]
    entries: list[tuple[str, dict[str, int], bytes, int]]
    """(key, timers, encoded state and seen ids, state version); an empty body for a key that was forgotten."""


_encoder = msgspec.msgpack.Encoder()
_delta_decoder = msgspec.msgpack.Decoder(Delta)


_body_decoders: dict[type[Any], msgspec.msgpack.Decoder[Any]] = {}


def body_decoder(state_type: type[Any]) -> msgspec.msgpack.Decoder[Any]:
    """Return what decodes a key's state and seen ids.

    It is to be asked for once before threads ask: see `config.converter`.
    """
    if state_type not in _body_decoders:
        _body_decoders[state_type] = msgspec.msgpack.Decoder(tuple[state_type, dict[int, int]])  # type: ignore[valid-type]
    return _body_decoders[state_type]


_Buffered = tuple[tuple[int, str, str, str, str, int], int, Event]


class KeyedGroup(Generic[S]):
    """One key group of one stage.

    Args:
        logic: What to do for each key.
        channels: Names of all channels that bring frames to this group.
    """

    def __init__(self, logic: KeyedLogic[S], channels: Iterable[str]) -> None:
        self._logic = logic
        self._watermarks = Watermarks(channels)
        self._cut = TIME_MIN
        self._buffer: list[_Buffered] = []
        self._received = 0
        self._entries: dict[str, Entry[S]] = {}
        self._timers: list[tuple[int, str, str]] = []
        self._live_timers = 0
        self._arrivals: list[Event] = []
        self._dirty: dict[str, None] = {}
        self._context = _Context(self)
        self._body_decoder = body_decoder(logic.state_type)

    # -- running ---------------------------------------------------------------------------------------------------

    def receive(self, frame: Frame) -> None:
        """Take in a frame: raise its channel's watermark, buffer its events, merge its partials.

        Raises:
            KeyError: the frame's channel was not declared.
            ValueError: an event comes before what was processed already: its channel broke its promise.
        """
        self._watermarks.raise_to(frame.channel, frame.watermark)
        if frame.ended:
            self._watermarks.end(frame.channel)
        cut = self._cut
        for event in frame.events:
            if event.at < cut:
                raise ValueError(
                    f"stage {self._logic.name}: {frame.channel} brings {event.at} after {cut} was promised"
                )
            heappush(self._buffer, self._buffered(event))
        self._arrivals += frame.events
        if frame.partials:
            context = self._context
            context.now = self._cut
            on_partial = self._logic.on_partial
            for partial in frame.partials:
                key = partial.key
                on_partial(key, context.enter(key), partial, context)
                context.leave()

    def advance(self) -> list[tuple[str, Event]]:
        """Process everything strictly before the watermark; return what was emitted, as (stage, event), in order."""
        cut = self._watermarks.minimum
        if cut <= self._cut:
            return []
        context, logic = self._context, self._logic
        emitted = context.emitted = []
        buffer, timers = self._buffer, self._timers
        while True:
            timer_at = self._next_timer()
            event_at = buffer[0][0][0] if buffer else TIME_MAX
            if timer_at >= cut and event_at >= cut:
                break
            if timer_at <= event_at:
                context.now, key, name = heappop(timers)
                state = context.enter(key)
                del self._entries[key].timers[name]
                self._live_timers -= 1
                logic.on_timer(key, state, name, context)
            else:
                event = heappop(buffer)[2]
                context.now = event_at
                state = context.enter(event.key)
                if not self._is_duplicate(event):
                    logic.on_event(event.key, state, event, context)
            context.leave()
        self._cut = cut
        return emitted

    def _buffered(self, event: Event) -> _Buffered:
        # The count keeps the heap from comparing events; among equals in every part of the order, any will do.
        self._received += 1
        return (event.order, self._received, event)

    def _next_timer(self) -> int:
        timers, entries = self._timers, self._entries
        while timers:
            at, key, name = timers[0]
            entry = entries.get(key)
            if entry is not None and entry.timers.get(name) == at:
                return at
            heappop(timers)
        return TIME_MAX

    def _is_duplicate(self, event: Event) -> bool:
        ttl = self._logic.dedupe_ttl
        if not ttl or event.key == BROADCAST:
            return False
        seen, horizon = self._entries[event.key].seen, event.at - ttl
        # Insertion order is event-time order, since that is the order of processing: old ones stand in front.
        while seen and (oldest := next(iter(seen.items())))[1] < horizon:
            del seen[oldest[0]]
        identity = short_hash(event.id)
        if identity in seen:
            return True
        seen[identity] = event.at
        return False

    # -- what the adapter and reports ask --------------------------------------------------------------------------

    @property
    def cut(self) -> int:
        """Everything strictly before this has been processed: the watermark of what this group emits."""
        return self._cut

    @property
    def ended(self) -> bool:
        """Whether every channel has ended in this run."""
        return self._watermarks.ended

    @property
    def open_events(self) -> int:
        """Events received and not yet processed."""
        return len(self._buffer)

    @property
    def open_timers(self) -> int:
        """Timers set and not yet due."""
        return self._live_timers

    @property
    def keys(self) -> int:
        """Keys with state."""
        return len(self._entries)

    def versions(self) -> Counter[int]:
        """Return the number of keys by the version of their state; those met in this run are of today's."""
        today = self._logic.state_version
        return Counter(today if entry.state is not None else entry.version for entry in self._entries.values())

    def state_of(self, key: str) -> S | None:
        """Return the state of `key`, to look at; None when it has none."""
        entry = self._entries.get(key)
        return None if entry is None else self._thaw(entry)

    # -- durability ------------------------------------------------------------------------------------------------

    def delta(self) -> bytes:
        """Return what changed since the last `delta` or `whole`, encoded, and start anew."""
        arrivals = [event for event in self._arrivals if event.at >= self._cut]
        encoded = self._encode(arrivals, self._dirty)
        self._arrivals, self._dirty = [], {}
        return encoded

    def whole(self) -> bytes:
        """Return the complete state as one delta; the next `delta` continues from it."""
        encoded = self._encode([item[2] for item in sorted(self._buffer)], self._entries)
        self._arrivals, self._dirty = [], {}
        return encoded

    def _encode(self, arrivals: list[Event], keys: Iterable[str]) -> bytes:
        entries: list[tuple[str, dict[str, int], bytes, int]] = []
        version = self._logic.state_version
        for key in keys:
            entry = self._entries.get(key)
            if entry is None:
                entries.append((key, {}, b"", version))
            elif entry.state is None:
                entries.append((key, entry.timers, entry.body, entry.version))
            else:
                entries.append((key, entry.timers, _encoder.encode((entry.state, entry.seen)), version))
        return _encoder.encode(Delta(self._cut, self._watermarks.dump(), arrivals, entries))

    def restore(self, deltas: Iterable[bytes]) -> None:
        """Apply deltas, oldest first, to a new group.

        Raises:
            RecoveryError: a delta cannot be read, or is of a state version that the logic does not know.
        """
        arrivals: list[Event] = []
        entries = self._entries
        for encoded in deltas:
            try:
                delta = _delta_decoder.decode(encoded)
            except msgspec.MsgspecError as error:
                raise self._unreadable(error) from error
            for key, timers, body, version in delta.entries:
                if not body:
                    entries.pop(key, None)
                    continue
                if version > self._logic.state_version:
                    raise RecoveryError(
                        f"stage {self._logic.name}: recovered state is of version {version}, "
                        f"this program knows {self._logic.state_version}",
                        remedy="Resume with the version of the program that wrote it, or a newer one.",
                    )
                entries[key] = Entry(None, timers, {}, body, version)
            self._watermarks.restore(delta.watermarks)
            self._cut = delta.cut
            arrivals += delta.arrivals
        older = {entry.version: entry for entry in entries.values() if entry.version != self._logic.state_version}
        for entry in older.values():
            # A key is migrated when it is met. That it can be is tried here on a copy, not amid a run.
            self._thaw(Entry(None, {}, {}, entry.body, entry.version))
        self._buffer = [self._buffered(event) for event in arrivals if event.at >= self._cut]
        heapify(self._buffer)
        self._timers = [(at, key, name) for key, entry in entries.items() for name, at in entry.timers.items()]
        self._live_timers = len(self._timers)
        heapify(self._timers)

    def _thaw(self, entry: Entry[S]) -> S:
        if entry.state is not None:
            return entry.state
        logic = self._logic
        try:
            if entry.version == logic.state_version:
                entry.state, entry.seen = self._body_decoder.decode(entry.body)
            else:
                old, entry.seen = msgspec.msgpack.decode(entry.body, type=tuple[Any, dict[int, int]])
                entry.state = logic.migrate(entry.version, old)
        except msgspec.MsgspecError as error:
            raise self._unreadable(error) from error
        entry.body = b""
        assert entry.state is not None
        return entry.state

    def _unreadable(self, error: Exception) -> RecoveryError:
        return RecoveryError(
            f"stage {self._logic.name}: recovered state cannot be read: {error}",
            remedy="Restore the recovery folder from a backup taken with the store, or start a new store.",
        )

    # -- timers, on behalf of the context --------------------------------------------------------------------------

    def _set_timer(self, key: str, entry: Entry[S], name: str, at: int) -> None:
        if name not in entry.timers:
            self._live_timers += 1
        elif entry.timers[name] == at:
            return
        entry.timers[name] = at
        heappush(self._timers, (at, key, name))
        if len(self._timers) > 2 * self._live_timers + STALE_TIMERS_MAX:
            # In place, for `advance` holds the list: drop what was replaced or cancelled.
            self._timers[:] = [t for t in self._timers if self._is_live(*t)]
            heapify(self._timers)

    def _is_live(self, at: int, key: str, name: str) -> bool:
        entry = self._entries.get(key)
        return entry is not None and entry.timers.get(name) == at


class _Context(Generic[S]):
    """The one context of a group, set anew for each call: see `operators.logic.Context`."""

    def __init__(self, group: KeyedGroup[S]) -> None:
        self._group = group
        self._key = ""
        self._entry: Entry[S] | None = None
        self._forgotten = False
        self.now = TIME_MIN
        self.emitted: list[tuple[str, Event]] = []

    def enter(self, key: str) -> S:
        entries = self._group._entries
        entry = entries.get(key)
        if entry is None:
            entry = entries[key] = Entry(self._group._logic.new_state(key), {}, {})
        self._key, self._entry, self._forgotten = key, entry, False
        self._group._dirty[key] = None
        return self._group._thaw(entry)

    def leave(self) -> None:
        if self._forgotten and self._entry is not None:
            self._group._live_timers -= len(self._entry.timers)
            self._group._entries.pop(self._key, None)
        self._entry = None

    def emit(self, to: str, event: Event) -> None:
        if event.at != self.now:
            raise ValueError(f"stage {self._group._logic.name} emits {event.type} at {event.at} while it is {self.now}")
        self.emitted.append((to, event))

    def set_timer(self, name: str, at: int) -> None:
        assert self._entry is not None
        self._group._set_timer(self._key, self._entry, name, max(at, self.now))

    def cancel_timer(self, name: str) -> None:
        assert self._entry is not None
        if self._entry.timers.pop(name, None) is not None:
            self._group._live_timers -= 1

    def forget(self) -> None:
        self._forgotten = True

    def shared(self) -> S:
        entry = self._group._entries.get(BROADCAST)
        return self._group._logic.new_state(BROADCAST) if entry is None else self._group._thaw(entry)

    def common(self) -> S:
        group = self._group
        entry = group._entries.get(BROADCAST)
        if entry is None:
            entry = group._entries[BROADCAST] = Entry(group._logic.new_state(BROADCAST), {}, {})
        group._dirty[BROADCAST] = None
        return group._thaw(entry)
