"""Bytes to records by contract: batches in, accepted records and rejects out.

One bad record costs its batch only itself. The loop over values runs in C (`list.extend` over `map`); when a record
cannot be decoded it ends with what came before already taken, and goes on behind the bad one, so that no record is
decoded twice. Everything that can be columnar is: event times, ids, rules, measures.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Container, Iterable, Sequence
from datetime import datetime
from typing import Any, cast
from zlib import crc32

import msgspec
import numpy as np
import polars as pl

from config.contracts.compile import Envelope, compile_contracts
from config.contracts.model import Contract, ContractSet
from config.events import Event, Reject
from operators.batch import RawBatch
from operators.fields import ChosenFields
from operators.gather import Gathered, Part, Plan
from operators.instants import to_integers
from operators.limits import broken_limits
from operators.mapping import Mapper
from operators.measure import SCHEMA, Measures
from operators.quality import Quality, Rules, look_for_drift
from operators.reject import judge, reject
from operators.shedding import Shedding
from operators.wire import Schemas, any_framed, headers_matter

EVENT_TIME_MIN = 946_684_800_000_000
"""2000-01-01: no business record is older; 1970 is what a broken clock says."""
EVENT_TIME_MAX = 4_102_444_800_000_000
"""2100-01-01 (exclusive): no record comes from the future; 9999 is what "never" says."""

Fault = tuple[str, str, str]
"""Why a record is rejected: reason, detail, contract."""

CHUNK = 2000
"""Records decoded at a time; see `gather`."""

SAMPLE_EVERY = 1024
"""One record in so many is looked at for fields its contract does not name."""


class Decoded:
    """The accepted records of one batch, in offset order, and what became of the others."""

    def __init__(
        self,
        decoder: Decoder,
        channel: str,
        index: pl.DataFrame,
        is_telemetry: np.ndarray,
        parts: list[Part],
        rejects: list[Reject],
        quality: Quality,
        weights: np.ndarray | None,
        shed: int,
    ) -> None:
        self._decoder = decoder
        self._channel = channel
        self.parts = {part.contract.type: part for part in sorted(parts, key=lambda part: part.contract.type)}
        """The records by type; sorted."""
        self.index = index
        """Columns: row (Int64), offset (Int64), at (Int64, event time in µs), id (String, `source|id`),
        type (String)."""
        self.is_telemetry = is_telemetry
        """By row."""
        self.rejects = rejects
        self.quality = quality
        self.weights = weights
        """By row, how many records it stands for; None when nothing was sampled."""
        self.shed = shed
        """Records that were not looked into: they are among none of the above."""

    def __len__(self) -> int:
        return len(self.index)

    def measures(self, rows: pl.Series | None = None) -> pl.DataFrame:
        """Return the measures of the telemetry records among `rows` (all, if None), as `operators.measure.SCHEMA`.

        Grouped by type; within a type and metric in the order of `rows`. Of a sampled batch, with the column `weight`
        (Int64): how many records each stands for.
        """
        frames = []
        for name, part in self.parts.items():
            maker = self._decoder.measures.get(name)
            if maker is None:
                continue
            fields, at_rows = part.fields, part.rows
            at, offset = self.index["at"], self.index["offset"]
            if rows is not None:
                # Where in this type's fields each row of the batch is; -1 for rows of other types.
                places = np.full(len(self), -1)
                places[at_rows] = np.arange(len(at_rows))
                places = places[rows.to_numpy()]
                places = places[places >= 0]
                fields, at_rows = ChosenFields(fields, pl.Series(places)), at_rows[places]
            if len(at_rows) < len(self):
                chosen = pl.Series(at_rows)
                at, offset = at.gather(chosen), offset.gather(chosen)
            frames.append(maker.frame(fields, at, offset))
        if not frames:
            return pl.DataFrame(schema=SCHEMA)
        measures = frames[0] if len(frames) == 1 else pl.concat(frames)
        if self.weights is None:
            return measures
        row = self.index["offset"].to_numpy().searchsorted(measures["offset"].to_numpy())
        return measures.with_columns(weight=pl.Series(self.weights[row]))

    def events(self, rows: pl.Series | None = None) -> list[Event]:
        """Return the business records among `rows` (all, if None) as events, in the order of `rows`.

        The key is the contract's entity key; data are the contract's fields, instants in µs since the epoch,
        personal fields without a purpose left out.
        """
        if self.is_telemetry.all():
            return []
        kept = np.full(len(self), None, object)
        for part in self.parts.values():
            if part.data:
                kept[part.rows] = part.data
        chosen = np.arange(len(self)) if rows is None else rows.to_numpy()
        chosen = chosen[~self.is_telemetry[chosen]]
        plain: list[dict[str, Any]] = msgspec.to_builtins(kept[chosen].tolist(), builtin_types=(datetime,))
        events = []
        index = self.index[chosen]
        columns = (index[name].to_list() for name in ("at", "id", "type", "offset"))
        for at, identity, name, offset, fields in zip(*columns, plain, strict=True):
            contract, convert = self._decoder.business[name]
            if convert is not None:
                convert(fields)
            events.append(Event(at, identity, fields[contract.key], name, fields, self._channel, offset))
        return events


class Decoder:
    """Decodes batches under a set of contracts. Holds no state: equal batches give equal results."""

    def __init__(
        self,
        contracts: ContractSet,
        *,
        schemas: Schemas | None = None,
        control_topics: Container[str] = (),
        seed: int = 0,
        sample_every: int = SAMPLE_EVERY,
    ) -> None:
        self.contracts = contracts
        self.measures = {c.type: Measures(c) for c in contracts if c.flow == "telemetry"}
        """What makes measures, by telemetry type."""
        self.business = {c.type: (c, to_integers(c.body)) for c in contracts if c.flow != "telemetry"}
        """By business or control type: the contract, and what makes the instants in its data integers."""
        compiled = compile_contracts(contracts)
        self._decode = compiled.decoder.decode
        self._rules = {c.type: Rules(c) for c in contracts if c.rules}
        self._plans = {
            struct: self._plan(contract, code) for code, (struct, contract) in enumerate(compiled.contracts.items())
        }
        self._by_code = [plan.contract for plan in self._plans.values()]
        self._type_names = pl.Series([contract.type for contract in self._by_code], dtype=pl.String())
        self._telemetry = np.array([contract.flow == "telemetry" for contract in self._by_code])
        self._control = np.array([contract.flow == "control" for contract in self._by_code])
        self._control_topics = control_topics
        self._mapper = Mapper(contracts)
        self._shedding = Shedding(contracts)
        self._schemas = Schemas() if schemas is None else schemas
        self._seed = seed
        self._sample_every = sample_every

    def _plan(self, contract: Contract, code: int) -> Plan:
        measures, rules = self.measures.get(contract.type), self._rules.get(contract.type)
        columns = set(measures.columns if measures else ()) | set(rules.columns if rules else ())
        return Plan(contract, code, columns, set(measures.lists if measures else ()))

    def decode(self, batch: RawBatch, one_in: np.ndarray | None = None) -> Decoded:
        """Return the accepted records of `batch` and the rejects, both in offset order.

        Args:
            batch: What was read.
            one_in: The rate at which telemetry is sampled, at each record; None for not at all.
        """
        faults: dict[int, Fault] = {}
        gathered, positions, sampled, weights = self._gather(batch, faults, one_in)
        shed = len(batch) - len(positions) - len(faults)
        quality = Quality()
        at, identity, codes, parts = gathered.at, gathered.identity, gathered.codes, gathered.parts
        judged = self._judge_records(gathered, at, codes, parts, quality)
        judged |= self._misplaced(codes, batch.topic in self._control_topics)
        if judged:
            faults.update((int(positions[i]), fault) for i, fault in judged.items())
            keep = np.full(len(codes), True)
            keep[list(judged)] = False
            rows, numbers = np.flatnonzero(keep), np.cumsum(keep) - 1
            positions = positions[rows]
            at, identity, codes = at.gather(rows), identity.gather(rows), codes[rows]
            weights = None if weights is None else weights[rows]
            parts = [kept for part in parts if len((kept := part.keep(keep, numbers)).rows)]
        for place, value in sampled.items():
            if place not in faults:
                look_for_drift(value, self._by_code[codes[positions.searchsorted(place)]], quality)
        offsets = batch.offset_array()
        index = pl.DataFrame(
            {
                "row": pl.int_range(len(codes), dtype=pl.Int64, eager=True),
                "offset": pl.Series(offsets if len(positions) == len(offsets) else offsets[positions]),
                "at": at,
                "id": identity,
                "type": self._type_names.gather(pl.Series(codes)),
            }
        )
        rejects = [reject(batch, position, *faults[position]) for position in sorted(faults)]
        return Decoded(self, batch.channel, index, self._telemetry[codes], parts, rejects, quality, weights, shed)

    def _gather(
        self, batch: RawBatch, faults: dict[int, Fault], one_in: np.ndarray | None
    ) -> tuple[Gathered, np.ndarray, dict[int, bytes], np.ndarray | None]:
        """Return the columns of the records that can be decoded, their places, a sample of values, and their weights.

        The faults of those that cannot are noted by place.
        """
        gathered, sampled = Gathered(self._plans), dict[int, bytes]()
        positions = [np.empty(0, np.int64)]
        weights: list[np.ndarray] = []
        sample = self._sample_of(batch)
        for start in range(0, len(batch), CHUNK):
            values, places = self._candidates(batch, range(start, min(start + CHUNK, len(batch))), faults)
            chosen: np.ndarray | None = None
            if one_in is not None and len(places):
                chosen = self._shedding.weights(values, one_in[_array(places)])
                kept = np.flatnonzero(chosen).tolist()
                values, places, chosen = [values[i] for i in kept], [places[i] for i in kept], chosen[kept]
            records, failed = decode_all(self._decode, values)
            decoded = _array(places)
            if failed:
                faults.update((places[i], judge(values[i], error, self.contracts)) for i, error in failed)
                decoded = np.delete(decoded, [i for i, _ in failed])
            gathered.add(records)
            if chosen is not None:
                weights.append(np.delete(chosen, [i for i, _ in failed]) if failed else chosen)
            for place in sample[bisect_left(sample, start) : bisect_left(sample, start + CHUNK)]:
                at = int(decoded.searchsorted(place))
                if at < len(decoded) and decoded[at] == place:
                    sampled[place] = values[bisect_left(places, place)]
            positions.append(decoded)
        return gathered, np.concatenate(positions), sampled, np.concatenate(weights) if weights else None

    def _candidates(
        self, batch: RawBatch, places: Sequence[int], faults: dict[int, Fault]
    ) -> tuple[list[bytes], Sequence[int]]:
        """Return the values to decode of those at `places`, and where they are; the faults of the others are noted."""
        stretch = slice(places[0], places[-1] + 1)
        found, headers = batch.values[stretch], batch.headers if headers_matter(batch.headers[stretch]) else []
        values = [value for value in found if value is not None]
        if len(values) < len(found):
            absent = {place for place, value in zip(places, found, strict=True) if value is None}
            faults.update((place, ("tombstone", "no value", "")) for place in absent)
            places = [place for place in places if place not in absent]
        joined: bytes | None = b"".join(values)
        if headers or any_framed(joined or b""):
            joined = None
            heads = [headers[place] if headers else () for place in places]
            opened = [self._schemas.unframed(v, head) for v, head in zip(values, heads, strict=True)]
            values, places = _without_faults(opened, places, faults)
        values, places = _within_limits(values, places, faults, joined)
        if headers or self._mapper.targets(batch.topic):
            made = [self._mapper.canonical(batch, place, v) for v, place in zip(values, places, strict=True)]
            # Keys and headers have entered the text: once more.
            values, places = _within_limits(*_without_faults(made, places, faults), faults)
        return values, places

    def _sample_of(self, batch: RawBatch) -> list[int]:
        """Return where to look for schema drift: depends on seed, partition and offset, not on the batching."""
        phase, every = crc32(f"{self._seed}/{batch.channel}".encode()) % self._sample_every, self._sample_every
        if isinstance(batch.offsets, range) and batch.offsets.step == 1:
            return list(range((phase - batch.offsets.start) % every, len(batch), every))
        places: list[int] = np.flatnonzero(batch.offset_array() % every == phase).tolist()
        return places

    def _judge_records(
        self, gathered: Gathered, at: pl.Series, codes: np.ndarray, parts: list[Part], quality: Quality
    ) -> dict[int, Fault]:
        """Return the faults of decoded records that only their columns show: time, version, rules."""
        faults: dict[int, Fault] = {}
        for row, path in gathered.impossible.items():
            detail = f"Expected an instant within 1900 … 2199 - at `$.data{path}`"
            faults[row] = ("contract", detail, self._by_code[codes[row]].ref)
        should: list[tuple[str, str, list[int]]] = []
        for part in parts:
            contract = part.contract
            rules = self._rules.get(contract.type)
            for rule, broken in rules.broken(part.fields) if rules else ():
                at_fault: list[int] = part.rows[broken.to_numpy()].tolist()
                if rule.must:
                    faults.update((i, ("contract", f"breaks rule {rule.name}", contract.ref)) for i in at_fault)
                else:
                    should.append((contract.type, rule.name, at_fault))
        for row in gathered.foreign:
            contract = self._by_code[codes[row]]
            faults[row] = ("unknown-version", f"`dataschema` is not of major version {contract.major}", contract.ref)
        possible = at.is_between(EVENT_TIME_MIN, EVENT_TIME_MAX, closed="left").fill_null(False)
        if not possible.all():
            for row in (~possible).arg_true().to_list():
                what = "no RFC 3339 instant" if at[row] is None else "outside 2000-01-01 … 2100-01-01"
                faults[row] = ("time", f"`time` is {what}", self._by_code[codes[row]].ref)
        for type_name, rule_name, at_fault in should:
            if accepted := sum(i not in faults for i in at_fault):
                quality.should[type_name, rule_name] += accepted
        return faults

    def _misplaced(self, codes: np.ndarray, is_control: bool) -> dict[int, Fault]:
        """Return the faults of records on a topic of another kind.

        Who may write what the shop measures may not therefore tell the job what to do.
        """
        wrong = np.flatnonzero(self._control[codes] != is_control).tolist()
        detail = "no control record, on a control topic" if is_control else "a control record, on another topic"
        return {row: ("misplaced", detail, self._by_code[codes[row]].ref) for row in wrong}


def _array(places: Sequence[int]) -> np.ndarray:
    return np.arange(places.start, places.stop) if isinstance(places, range) else np.array(places, np.int64)


def _without_faults(
    made: list[bytes | tuple[str, str]], places: Sequence[int], faults: dict[int, Fault]
) -> tuple[list[bytes], Sequence[int]]:
    """Return what was made of records and their places, without the faults, which are noted."""
    if not any(isinstance(each, tuple) for each in made):
        return cast(list[bytes], made), places
    faults.update((place, (*m, "")) for place, m in zip(places, made, strict=True) if isinstance(m, tuple))
    kept = [(m, place) for m, place in zip(made, places, strict=True) if not isinstance(m, tuple)]
    return [m for m, _ in kept], [place for _, place in kept]


def _within_limits(
    values: list[bytes], places: Sequence[int], faults: dict[int, Fault], joined: bytes | None = None
) -> tuple[list[bytes], Sequence[int]]:
    """Return values and their places without those beyond a limit, whose faults are noted."""
    broken = broken_limits(values, joined)
    if not broken:
        return values, places
    faults.update((places[i], (*fault, "")) for i, fault in broken.items())
    kept = [i for i in range(len(values)) if i not in broken]
    return [values[i] for i in kept], [places[i] for i in kept]


def decode_all(
    decode: Callable[[bytes], Envelope], values: Iterable[bytes]
) -> tuple[list[Envelope], list[tuple[int, Exception]]]:
    """Return the decoded values, and position and error of those that cannot be; calls `decode` once for each."""
    records: list[Envelope] = []
    failed: list[tuple[int, Exception]] = []
    rest = iter(values)
    while True:
        try:
            records.extend(map(decode, rest))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            failed.append((len(records) + len(failed), error.with_traceback(None)))
        else:
            return records, failed
