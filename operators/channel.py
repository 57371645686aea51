"""The logic of one source partition: raw records in, a frame's content out.

Here is decided, per partition and from its content alone, what is believed (`clock_guard`), what is late, and, for
telemetry, what is a duplicate. A record with event time before the partition's watermark is late: the watermark is
the newest event time seen so far less the lateness bound. Every record ends in exactly one place: in the stages'
state, among the late, among the dead letters, dropped as a duplicate, or shed under overload (`shedding`); a few may
be held until their clock is believed, and stay in this state meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b

import msgspec
import numpy as np
import polars as pl

from config.clock import DAY, TIME_MIN, to_text
from config.errors import RecoveryError
from config.events import Event, Reject
from operators.batch import RawBatch
from operators.channel_events import dead_letter, late_events, of_partition
from operators.clock_guard import judge
from operators.decode import Decoded, Decoder
from operators.reject import reject
from operators.shedding import Change, Rates

STATE_VERSION = 1
DRIFT_NAMES_MAX = 200
"""Undeclared fields counted by name; a producer of random names must not fill the state."""


class Counts(msgspec.Struct, array_like=True):
    """What became of the records read so far; they add up to `records`."""

    records: int = 0
    accepted: int = 0
    late: int = 0
    duplicates: int = 0
    rejected: int = 0
    held: int = 0
    shed: int = 0
    """Not looked at, under overload."""


class Position(msgspec.Struct, frozen=True):
    """Where reading stands in a partition, and by what it is known again."""

    next_offset: int = 0
    last_digest: str = ""
    """BLAKE2b-128 of the record read last, or "" before the first."""
    origin: str = ""
    """What the place that keeps the partition calls this very one, if it does: Kafka's id of the topic."""
    begun: bool = False
    """Whether the partition was opened before."""
    idle: bool = False
    """Whether it was idle when it was left."""


class ChannelState(msgspec.Struct, array_like=True):
    """All that a partition remembers."""

    version: int = STATE_VERSION
    next_offset: int = 0
    newest: int | None = None
    """Newest believed event time."""
    promised: int = TIME_MIN
    """The watermark told last. It holds even where no record says so: the partition was idle, or ended; or the
    lateness is another now."""
    recent: dict[str, int] = {}
    """Event time by id of telemetry at or after the watermark: what the duplicate check remembers."""
    held: list[tuple[int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]] = []
    """(offset, timestamp, key, value, headers) of records whose clock is not believed yet."""
    counts: Counts = msgspec.field(default_factory=Counts)
    doubts: dict[str, int] = {}
    """How often a `should` rule was broken, by `type rule`."""
    drift: dict[str, int] = {}
    """How often a sampled record had a field its contract does not name, by `type field`."""
    last_digest: str = ""
    """BLAKE2b-128 of the last record read: tells whether a recording continues the one read before."""
    began: int | None = None
    """The first record's own timestamp, microseconds: what clocks are measured by until one is believed."""
    origin: str = ""
    """See `Position`."""
    begun: bool = False
    """See `Position`."""
    idle: tuple[int, int] | None = None
    """(next offset, watermark promised) while the partition is idle; released with the next record."""
    rates: list[Change] = []
    """At which rate telemetry is sampled, by offset: see `shedding`. The last one is told with the record there."""


_state_decoder = msgspec.msgpack.Decoder(ChannelState)


@dataclass
class Taken:
    """What one batch became."""

    events: list[Event]
    measures: pl.DataFrame
    released: list[Event] = field(default_factory=list)
    """Late records, dead letters, idle times that ended and changes of the sampling rate, for the outbox."""


class Channel:
    """One partition's logic and state.

    Args:
        topic: The partition's topic.
        partition: Its number.
        decoder: Turns raw records into columns by contract.
        lateness: Lateness bound, microseconds.
        jump_max: See `clock_guard`, microseconds.
        state: Encoded state to go on from, None to begin.
    """

    def __init__(
        self, topic: str, partition: int, decoder: Decoder, lateness: int, jump_max: int, state: bytes | None = None
    ) -> None:
        self.name = f"{topic}/{partition}"
        self._decoder = decoder
        self._lateness, self._jump_max = lateness, jump_max
        self._state = ChannelState() if state is None else restored(state, self.name)
        self._rates = Rates(self._state.rates)

    @property
    def next_offset(self) -> int:
        """The offset to read next."""
        return self._state.next_offset

    @property
    def position(self) -> Position:
        """Where reading stands."""
        state = self._state
        begun = state.begun or state.counts.records > 0
        return Position(state.next_offset, state.last_digest, state.origin, begun, state.idle is not None)

    @property
    def counts(self) -> Counts:
        """What became of the records read so far."""
        return self._state.counts

    @property
    def watermark(self) -> int:
        """The partition brings no event earlier than this any more."""
        state = self._state
        return state.promised if state.newest is None else max(state.newest - self._lateness, state.promised)

    @property
    def newest(self) -> int | None:
        """The newest event time believed so far, microseconds; None before the first."""
        return self._state.newest

    def begin(self, position: Position) -> None:
        """Take note of where the partition was opened, before it is read."""
        state = self._state
        state.next_offset, state.origin, state.begun = position.next_offset, position.origin, position.begun

    def promise(self, watermark: int) -> None:
        """Promise `watermark` though no record says so: the partition is idle, or at the end of a recording."""
        self._state.promised = max(self._state.promised, watermark)

    def stay_idle(self, watermark: int) -> None:
        """Promise `watermark` for as long as no record follows: the partition is idle.

        What was promised last is part of what the partition brought, as its records are. It is released, with the
        record that ends it, as an event of type `idle`, and a replay that promises the same at the same offset comes
        to the same results.
        """
        self.promise(watermark)
        state = self._state
        state.idle = (state.next_offset, max(watermark, state.idle[1] if state.idle else watermark))

    def stay_idle_for(self, silent_until: int) -> bool:
        """Promise what a silence until then allows, microseconds; return whether that is more than before."""
        watermark = silent_until - self._lateness
        if watermark <= self.watermark:
            return False
        self.stay_idle(watermark)
        return True

    def pass_over(self, offset: int) -> None:
        """Go on at `offset`: there is no record before it."""
        self._state.next_offset = offset

    @property
    def one_in(self) -> int:
        """Of telemetry that may be sampled, one record in so many is looked at."""
        return self._rates.current

    def sample(self, one_in: int) -> None:
        """Look at one record in `one_in` from the next one on, of types whose contracts allow it.

        The change is released with that record, as an event of type `sampling`, and a replay that samples alike at
        the same offset comes to the same results.
        """
        self._rates.change(self._state.next_offset, one_in)

    def snapshot(self) -> bytes:
        """Return the state, encoded."""
        return msgspec.msgpack.encode(self._state)

    def take(self, batch: RawBatch) -> Taken:
        """Take in the next records of the partition."""
        state, counts = self._state, self._state.counts
        woken = self._wake() + self._resample() if len(batch) else []
        if not counts.records and len(batch) and batch.timestamps[0] >= 0:
            state.began = batch.timestamps[0] * 1000
        whole = self._with_held(batch)
        decoded = self._decoded(whole)
        times = decoded.index["at"].to_numpy()
        rows, wild, held = self._believe(times)
        before = self._watermarks_before(times[rows])
        released = woken + [dead_letter(self.name, reject) for reject in decoded.rejects]
        released += [dead_letter(self.name, self._wild(decoded, batch, int(row))) for row in wild]
        late = times[rows] < before
        if late.any():
            released += late_events(self.name, decoded.index[rows[late].tolist()], before[late].tolist())
            rows, before = rows[~late], before[~late]
        unique = self._without_duplicates(decoded, rows, before)

        counts.records += len(batch)
        counts.accepted += len(unique)
        counts.late += int(late.sum())
        counts.duplicates += len(rows) - len(unique)
        counts.rejected += len(decoded.rejects) + len(wild)
        counts.held = len(held)
        counts.shed += decoded.shed
        if len(batch):
            state.next_offset = batch.offsets[-1] + 1
            state.last_digest = record_digest(batch.keys[-1], batch.values[-1])
        selection = None if len(unique) == len(decoded.index) else pl.Series("row", unique, dtype=pl.Int64)
        self._count_quality(decoded)
        self._remember_held(decoded, batch, held)
        self._rates.forget(state.held[0][0] if state.held else state.next_offset)
        state.promised = self.watermark
        return Taken(decoded.events(selection), decoded.measures(selection), released)

    def _decoded(self, batch: RawBatch) -> Decoded:
        return self._decoder.decode(batch, self._rates.at(batch.offsets))

    def _wake(self) -> list[Event]:
        """Return what is to be released of an idle time that ends now."""
        if self._state.idle is None:
            return []
        offset, watermark = self._state.idle
        self._state.idle = None
        return [of_partition(self.name, "idle", offset, watermark, watermark=watermark)]

    def _resample(self) -> list[Event]:
        """Return what is to be released of a sampling rate that holds from now on."""
        offset = self._state.next_offset
        if not self._rates.changed_at(offset):
            return []
        at, shed = max(self.watermark, 0), self._state.counts.shed
        return [of_partition(self.name, "sampling", offset, at, one_in=self.one_in, shed=shed)]

    def _count_quality(self, decoded: Decoded) -> None:
        doubts, drift = self._state.doubts, self._state.drift
        for (kind, rule), count in decoded.quality.should.items():
            doubts[f"{kind} {rule}"] = doubts.get(f"{kind} {rule}", 0) + count
        for (kind, path), count in decoded.quality.unknown_fields.items():
            name = f"{kind} {path}"
            if name in drift or len(drift) < DRIFT_NAMES_MAX:
                drift[name] = drift.get(name, 0) + count

    # -- belief ----------------------------------------------------------------------------------------------------

    def _with_held(self, batch: RawBatch) -> RawBatch:
        held = self._state.held
        if not held:
            return batch
        headers = [h[4] for h in held] + (batch.headers or [[]] * len(batch))
        return RawBatch(
            batch.topic,
            batch.partition,
            [*(h[0] for h in held), *batch.offsets],
            [*(h[1] for h in held), *batch.timestamps],
            [*(h[2] for h in held), *batch.keys],
            [*(h[3] for h in held), *batch.values],
            headers if any(headers) else [],
        )

    def _believe(self, times: np.ndarray) -> tuple[np.ndarray, list[int], list[int]]:
        """Return the rows to believe, the wild ones and those to hold; raises the newest event time."""
        state = self._state
        if not len(times):
            return np.empty(0, np.int64), [], []
        known = state.began if state.newest is None else state.newest
        running = np.maximum.accumulate(times)
        steps = np.diff(running, prepend=running[0] if known is None else known)
        if not state.held and steps.max() <= self._jump_max:
            rows, wild, held = np.arange(len(times)), [], []
        else:
            verdicts = judge(times.tolist(), state.newest, self._lateness, self._jump_max, state.began)
            rows, wild, held = np.array(verdicts.accepted, np.int64), verdicts.wild, verdicts.held
        return rows, wild, held

    def _watermarks_before(self, times: np.ndarray) -> np.ndarray:
        """Return the watermark that held when each believed record came, and raise the newest event time."""
        state = self._state
        if not len(times):
            return times
        start = TIME_MIN if state.newest is None else state.newest
        running = np.maximum.accumulate(np.concatenate(([start], times)))
        state.newest = int(running[-1])
        before: np.ndarray = np.maximum(running[:-1] - self._lateness, state.promised)
        return before

    # -- duplicates ------------------------------------------------------------------------------------------------

    def _without_duplicates(self, decoded: Decoded, rows: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Return `rows` without telemetry whose id was seen within the lateness bound.

        Business events are checked where they are kept, per customer, over a longer time.
        """
        recent = self._state.recent
        telemetry = decoded.is_telemetry[rows]
        chosen = rows[telemetry]
        found = decoded.index.select("row", "id", "at")
        if len(chosen) < len(found):
            found = found[chosen]
        repeated = pl.Series([False]).new_from_index(0, len(found))
        if found["id"].n_unique() < len(found):
            repeated = found["id"].is_duplicated()
        if recent:
            repeated = repeated | found["id"].is_in(list(recent))
        dropped: set[int] = set()
        if repeated.any():
            last: dict[str, int] = {}
            watermarks = before[telemetry][repeated.to_numpy()].tolist()
            for (row, identity, at), watermark in zip(found.filter(repeated).iter_rows(), watermarks, strict=True):
                known = last.get(identity, recent.get(identity))
                if known is not None and known >= watermark:
                    dropped.add(row)
                else:
                    last[identity] = at
        self._remember_ids(found, dropped)
        if not dropped:
            return rows
        return rows[~np.isin(rows, list(dropped))]

    def _remember_ids(self, found: pl.DataFrame, dropped: set[int]) -> None:
        watermark, recent = self.watermark, self._state.recent
        kept = {identity: at for identity, at in recent.items() if at >= watermark}
        fresh = found.filter(pl.col("at") >= watermark).iter_rows()
        self._state.recent = kept | {identity: at for row, identity, at in fresh if row not in dropped}

    # -- what leaves -----------------------------------------------------------------------------------------------

    def _wild(self, decoded: Decoded, batch: RawBatch, row: int) -> Reject:
        offset, at = decoded.index["offset"][row], decoded.index["at"][row]
        # Nothing of the partition's present state: that depends on where the batches were cut.
        detail = f"time: {to_text(at)} is more than {self._jump_max // DAY} days ahead of its partition"
        full = self._with_held(batch)
        return reject(full, full.offsets.index(offset), "wild-clock", detail)

    def _remember_held(self, decoded: Decoded, batch: RawBatch, held: list[int]) -> None:
        full = self._with_held(batch)
        self._state.held = []
        for row in held:
            at = full.offsets.index(decoded.index["offset"][row])
            headers = full.headers[at] if full.headers else []
            self._state.held.append((full.offsets[at], full.timestamps[at], full.keys[at], full.values[at], headers))


def record_digest(key: bytes | None, value: bytes | None) -> str:
    """Return BLAKE2b-128 over a record's key and value, hexadecimal."""
    digest = blake2b(digest_size=16)
    for part in (key, value):
        digest.update(b"-" if part is None else b"%d:%b" % (len(part), part))
    return digest.hexdigest()


def restored(encoded: bytes, name: str) -> ChannelState:
    """Return what `Channel.snapshot` encoded, of the partition `name`.

    Raises:
        RecoveryError: it cannot be read, or is of another version.
    """
    try:
        state = _state_decoder.decode(encoded)
    except msgspec.MsgspecError as error:
        raise RecoveryError(
            f"partition {name}: recovered state cannot be read: {error}",
            remedy="Restore the recovery folder from a backup taken with the store, or start a new store.",
        ) from error
    if state.version != STATE_VERSION:
        raise RecoveryError(
            f"partition {name}: recovered state is of version {state.version}, this program knows {STATE_VERSION}",
            remedy="Resume with the version of the program that wrote it.",
        )
    return state
