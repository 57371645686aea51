"""Bytes to records by contract: batches in, accepted records and rejects out.

One bad record costs its batch only itself. The loop over values runs in C (`list.extend` over `map`); when a record
cannot be decoded it ends with what came before already taken, and goes on behind the bad one, so that no record is
decoded twice. Everything that can be columnar is: event times, ids, rules, measures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zlib import crc32

import msgspec
import numpy as np
import polars as pl

from config.contracts.compile import Envelope, compile_contracts
from config.contracts.model import ContractSet
from config.events import Event, Reject
from operators.batch import RawBatch
from operators.fields import ChosenFields, Fields, RecordFields
from operators.instants import impossible, to_integers
from operators.limits import broken_limits
from operators.mapping import Mapper
from operators.measure import SCHEMA, Measures
from operators.quality import Quality, Rules, look_for_drift
from operators.reject import judge, reject, version_differs

EVENT_TIME_MIN = 946_684_800_000_000
"""2000-01-01: no business record is older; 1970 is what a broken clock says."""
EVENT_TIME_MAX = 4_102_444_800_000_000
"""2100-01-01 (exclusive): no record comes from the future; 9999 is what "never" says."""

SAMPLE_EVERY = 1024
"""One record in so many is looked at for fields its contract does not name."""


@dataclass(frozen=True, slots=True)
class Part:
    """The records of one type within a batch."""

    struct: type[Envelope]
    rows: list[int]
    """Where they are in the batch's records."""
    fields: Fields


class Decoded:
    """The accepted records of one batch, in offset order, and what became of the others."""

    def __init__(
        self,
        decoder: Decoder,
        channel: str,
        index: pl.DataFrame,
        records: list[Envelope],
        parts: list[Part],
        rejects: list[Reject],
        quality: Quality,
    ) -> None:
        self._decoder = decoder
        self._parts = {decoder.type_of(part): part for part in parts}
        self._channel = channel
        self.index = index
        """Columns: row (Int64, into `records`), offset (Int64), at (Int64, event time in µs), id (String,
        `source|id`), type (String)."""
        self.records = records
        self.rejects = rejects
        self.quality = quality

    def __len__(self) -> int:
        return len(self.records)

    @property
    def types(self) -> tuple[str, ...]:
        """The types of the accepted records, sorted."""
        return tuple(sorted(self._parts))

    def measures(self, rows: pl.Series | None = None) -> pl.DataFrame:
        """Return the measures of the telemetry records among `rows` (all, if None), as `operators.measure.SCHEMA`.

        Grouped by type; within a type and metric in the order of `rows`.
        """
        frames = []
        for name in self.types:
            maker = self._decoder.measures.get(name)
            if maker is None:
                continue
            part = self._parts[name]
            fields, at_rows = part.fields, np.asarray(part.rows)
            if rows is not None:
                # Where in this type's fields each row of the batch is; -1 for rows of other types.
                places = np.full(len(self.records), -1)
                places[at_rows] = np.arange(len(at_rows))
                places = places[rows.to_numpy()]
                places = places[places >= 0]
                fields, at_rows = ChosenFields(fields, pl.Series(places)), at_rows[places]
            chosen = self.index if len(at_rows) == len(self.records) else self.index[at_rows]
            frames.append(maker.frame(fields, chosen["at"], chosen["offset"]))
        if not frames:
            return pl.DataFrame(schema=SCHEMA)
        return frames[0] if len(frames) == 1 else pl.concat(frames)

    def events(self, rows: pl.Series | None = None) -> list[Event]:
        """Return the business records among `rows` (all, if None) as events, in the order of `rows`.

        The key is the contract's entity key; data are the contract's fields, instants in µs since the epoch,
        personal fields without a purpose left out.
        """
        chosen = self.index if rows is None else self.index[rows]
        business = self._decoder.business
        if not any(name in business for name in self.types):
            return []
        chosen = chosen.filter(pl.col("type").is_in(list(business)))
        data = [self.records[row].data for row in chosen["row"].to_list()]
        plain: list[dict[str, Any]] = msgspec.to_builtins(data, builtin_types=(datetime,))
        events = []
        columns = (chosen[name].to_list() for name in ("at", "id", "type", "offset"))
        for at, identity, name, offset, fields in zip(*columns, plain, strict=True):
            contract, convert = business[name]
            if convert is not None:
                convert(fields)
            events.append(Event(at, identity, fields[contract.key], name, fields, self._channel, offset))
        return events


class Decoder:
    """Decodes batches under a set of contracts. Holds no state: equal batches give equal results."""

    def __init__(self, contracts: ContractSet, *, seed: int = 0, sample_every: int = SAMPLE_EVERY) -> None:
        self.contracts = contracts
        self.measures = {c.type: Measures(c) for c in contracts if c.flow == "telemetry"}
        """What makes measures, by telemetry type."""
        self.business = {c.type: (c, to_integers(c.body)) for c in contracts if c.flow == "business"}
        """By business type: the contract, and what makes the instants in its data integers."""
        compiled = compile_contracts(contracts)
        self._decode = compiled.decoder.decode
        self._contract_of = compiled.contracts
        self._rules = {struct: Rules(c) for struct, c in compiled.contracts.items() if c.rules}
        self._impossible = {struct: find for struct, c in compiled.contracts.items() if (find := impossible(c.body))}
        self._mapper = Mapper(contracts)
        self._seed = seed
        self._sample_every = sample_every

    def type_of(self, part: Part) -> str:
        """Return the event type of a part of a batch."""
        return self._contract_of[part.struct].type

    def decode(self, batch: RawBatch) -> Decoded:
        """Return the accepted records of `batch` and the rejects, both in offset order."""
        values, positions, faults = self._candidates(batch)
        records, failed = decode_all(self._decode, values)
        if failed:
            for i, error in failed:
                faults[positions[i]] = judge(values[i], error, self.contracts)
            bad = {i for i, _ in failed}
            positions = [p for i, p in enumerate(positions) if i not in bad]
            values = [v for i, v in enumerate(values) if i not in bad]
        quality = Quality()
        at = pl.Series([r.time for r in records], dtype=pl.String()).str.to_datetime("%+", time_unit="us", strict=False)
        at = at.to_physical()
        parts = _parts(records)
        judged = self._judge_records(records, parts, at, quality)
        if judged:
            faults.update((positions[i], fault) for i, fault in judged.items())
            keep = [i for i in range(len(records)) if i not in judged]
            records = [records[i] for i in keep]
            positions = [positions[i] for i in keep]
            values = [values[i] for i in keep]
            at = at.gather(keep)
            parts = _parts(records)
        offsets = batch.offsets if len(positions) == len(batch) else [batch.offsets[p] for p in positions]
        index = self._index(records, parts, at, offsets)
        self._sample(batch, index["offset"], values, records, quality)
        rejects = [reject(batch, position, *faults[position]) for position in sorted(faults)]
        return Decoded(self, batch.channel, index, records, parts, rejects, quality)

    def _candidates(self, batch: RawBatch) -> tuple[list[bytes], Sequence[int], dict[int, tuple[str, str, str]]]:
        """Return the values to decode, their positions in the batch, and the faults of the others by position."""
        positions: Sequence[int] = range(len(batch))
        faults: dict[int, tuple[str, str, str]] = {}
        values = [value for value in batch.values if value is not None]
        if len(values) < len(batch):
            faults = {i: ("tombstone", "no value", "") for i, value in enumerate(batch.values) if value is None}
            positions = [p for p in positions if p not in faults]
        values, positions = _within_limits(values, positions, faults)
        if batch.headers or self._mapper.targets(batch.topic):
            made = [self._mapper.canonical(batch, p) for p in positions]
            faults.update((p, (*m, "")) for p, m in zip(positions, made, strict=True) if isinstance(m, tuple))
            positions = [p for p, m in zip(positions, made, strict=True) if not isinstance(m, tuple)]
            # Keys and headers have entered the text: once more.
            values, positions = _within_limits([m for m in made if not isinstance(m, tuple)], positions, faults)
        return values, positions, faults

    def _judge_records(
        self, records: list[Envelope], parts: list[Part], at: pl.Series, quality: Quality
    ) -> dict[int, tuple[str, str, str]]:
        """Return the faults of decoded records that only their columns show: time, version, rules."""
        faults: dict[int, tuple[str, str, str]] = {}
        should: list[tuple[str, str, list[int]]] = []
        for part in parts:
            contract = self._contract_of[part.struct]
            if find := self._impossible.get(part.struct):
                for row in part.rows:
                    if (path := find(records[row].data)) is not None:  # type: ignore[attr-defined]
                        detail = f"Expected an instant within 1900 … 2199 - at `$.data{path}`"
                        faults[row] = ("contract", detail, contract.ref)
            rules = self._rules.get(part.struct)
            if rules is None:
                continue
            for rule, broken in rules.broken(part.fields):
                at_fault = [part.rows[i] for i in broken.arg_true().to_list()]
                if rule.must:
                    faults.update((i, ("contract", f"breaks rule {rule.name}", contract.ref)) for i in at_fault)
                else:
                    should.append((contract.type, rule.name, at_fault))
        schemas = [r.dataschema for r in records]
        if schemas.count(None) < len(schemas):
            for i, schema in enumerate(schemas):
                contract = self._contract_of[type(records[i])]
                if version_differs(schema, contract.major):
                    detail = f"`dataschema` is not of major version {contract.major}"
                    faults[i] = ("unknown-version", detail, contract.ref)
        possible = at.is_between(EVENT_TIME_MIN, EVENT_TIME_MAX, closed="left").fill_null(False)
        if not possible.all():
            for i in (~possible).arg_true().to_list():
                what = "no RFC 3339 instant" if at[i] is None else "outside 2000-01-01 … 2100-01-01"
                faults[i] = ("time", f"`time` is {what}", self._contract_of[type(records[i])].ref)
        for type_name, rule_name, at_fault in should:
            if accepted := sum(i not in faults for i in at_fault):
                quality.should[type_name, rule_name] += accepted
        return faults

    def _index(self, records: list[Envelope], parts: list[Part], at: pl.Series, offsets: list[int]) -> pl.DataFrame:
        source = pl.Series([r.source for r in records], dtype=pl.String())
        identity = pl.Series([r.id for r in records], dtype=pl.String())
        codes = np.zeros(len(records), np.uint32)
        for code, part in enumerate(parts):
            codes[part.rows] = code
        types = pl.Series(map(self.type_of, parts), dtype=pl.String()).gather(pl.Series(codes))
        return pl.DataFrame(
            {
                "row": pl.int_range(len(records), dtype=pl.Int64, eager=True),
                "offset": pl.Series(offsets, dtype=pl.Int64()),
                "at": at,
                "id": pl.select(pl.concat_str(source, identity, separator="|")).to_series(),
                "type": types,
            }
        )

    def _sample(
        self, batch: RawBatch, offsets: pl.Series, values: list[bytes], records: list[Envelope], quality: Quality
    ) -> None:
        """Look for schema drift in a sample that depends on seed, partition and offset, not on the batching."""
        phase = crc32(f"{self._seed}/{batch.channel}".encode()) % self._sample_every
        for i in (offsets % self._sample_every == phase).arg_true().to_list():
            look_for_drift(values[i], self._contract_of[type(records[i])], quality)


def _parts(records: list[Envelope]) -> list[Part]:
    """Divide records by type."""
    structs = list(map(type, records))
    rows: dict[type[Envelope], list[int]] = {struct: [] for struct in dict.fromkeys(structs)}
    if len(rows) == 1:
        rows[structs[0]] = list(range(len(records)))
    else:
        for row, struct in enumerate(structs):
            rows[struct].append(row)
    return [Part(struct, at, RecordFields([records[row].data for row in at])) for struct, at in rows.items()]  # type: ignore[attr-defined]


def _within_limits(
    values: list[bytes], positions: Sequence[int], faults: dict[int, tuple[str, str, str]]
) -> tuple[list[bytes], Sequence[int]]:
    """Return values and positions without those beyond a limit, whose faults are noted."""
    broken = broken_limits(values)
    if not broken:
        return values, positions
    faults.update((positions[i], (*fault, "")) for i, fault in broken.items())
    kept = [i for i in range(len(values)) if i not in broken]
    return [values[i] for i in kept], [positions[i] for i in kept]


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
