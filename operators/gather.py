"""Decoded records to columns, a chunk at a time.

What is read of a record is read while the processor's caches still hold it, and of telemetry nothing else is kept:
the next chunk's records then take the same memory. Decoding a whole batch before its columns are made takes half as
long again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from config.contracts.build import DTYPES
from config.contracts.compile import Data, Envelope
from config.contracts.model import Contract
from operators.event_time import event_times
from operators.fields import ChosenFields, Fields, MadeFields, RecordFields
from operators.instants import impossible
from operators.reject import version_differs

TIMES = 8000
"""Event times read at a time: of fewer, what a call of NumPy costs at any size is felt."""


class Plan:
    """What is read of the records of one type.

    Args:
        contract: Theirs.
        code: Stands for the type in `Gathered.codes`.
        columns: Fields that become columns.
        lists: Fields whose values are kept as they are.
    """

    def __init__(self, contract: Contract, code: int, columns: set[str], lists: set[str]) -> None:
        self.contract, self.code = contract, code
        self.columns = {name: DTYPES[contract.fields[name].type] for name in sorted(columns)}
        self.lists = sorted(lists)
        self.keeps_data = contract.flow != "telemetry"
        """Events are made of their data; telemetry is only measured."""
        self.impossible = impossible(contract.body)


@dataclass(frozen=True, slots=True)
class Part:
    """The records of one type within a batch."""

    contract: Contract
    rows: np.ndarray
    """Where they are among the batch's decoded records, rising."""
    fields: Fields
    data: list[Data]
    """Empty for telemetry."""

    def keep(self, rows: np.ndarray, numbers: np.ndarray) -> Part:
        """Return the part without the records not in `rows` (Boolean, by row); `numbers` are their rows then."""
        kept = np.flatnonzero(rows[self.rows])
        fields = ChosenFields(self.fields, pl.Series(kept))
        return Part(self.contract, numbers[self.rows[kept]], fields, [self.data[i] for i in kept] if self.data else [])


@dataclass(slots=True)
class _Piece:
    """What was gathered of one type: one item a chunk."""

    rows: list[np.ndarray] = field(default_factory=list)
    columns: dict[str, list[pl.Series]] = field(default_factory=lambda: defaultdict(list))
    lists: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    data: list[Data] = field(default_factory=list)


class Gathered:
    """The records of one batch, column by column.

    Args:
        plans: By the struct of the records.
    """

    def __init__(self, plans: Mapping[type[Envelope], Plan]) -> None:
        self._plans = plans
        self._envelopes: dict[str, list[pl.Series]] = {"at": [], "source": [], "id": []}
        self._times: list[str] = []
        """Those of the last chunks, still to be read."""
        self._codes: list[np.ndarray] = []
        self._pieces: dict[type[Envelope], _Piece] = defaultdict(_Piece)
        self.count = 0
        self.impossible: dict[int, str] = {}
        """Path in data to an instant no calendar holds, by row."""
        self.foreign: list[int] = []
        """Rows whose `dataschema` is of another major version than the contract."""

    def add(self, records: list[Envelope]) -> None:
        """Take in the next records; they need not be kept."""
        if not records:
            return
        structs = list(map(type, records))
        of_any_type: list[Any] = records
        data: list[Data] = [r.data for r in of_any_type]
        self._times += [r.time for r in records]
        if len(self._times) >= TIMES:
            self._read_times()
        self._envelopes["source"].append(pl.Series([r.source for r in records], dtype=pl.String()))
        self._envelopes["id"].append(pl.Series([r.id for r in records], dtype=pl.String()))
        code_of = {struct: self._plans[struct].code for struct in dict.fromkeys(structs)}
        codes = np.fromiter(map(code_of.__getitem__, structs), np.uint32, len(records))
        self._codes.append(codes)
        for struct, code in code_of.items():
            rows = np.flatnonzero(codes == code)
            self._add_type(struct, data if len(rows) == len(data) else [data[row] for row in rows.tolist()], rows)
        self._check_versions(records, structs)
        self.count += len(records)

    def _read_times(self) -> None:
        if self._times:
            self._envelopes["at"].append(event_times(self._times))
            self._times = []

    def _add_type(self, struct: type[Envelope], data: list[Data], rows: np.ndarray) -> None:
        plan, piece = self._plans[struct], self._pieces[struct]
        fields = RecordFields(data)
        piece.rows.append(rows + self.count)
        for name, dtype in plan.columns.items():
            piece.columns[name].append(fields.column(name, dtype))
        for name in plan.lists:
            piece.lists[name] += fields.values(name)
        if plan.keeps_data:
            piece.data += data
        if plan.impossible is not None:
            for row, each in zip(rows.tolist(), data, strict=True):
                if (path := plan.impossible(each)) is not None:
                    self.impossible[self.count + row] = path

    def _check_versions(self, records: list[Envelope], structs: list[type[Envelope]]) -> None:
        schemas = [r.dataschema for r in records]
        if schemas.count(None) < len(schemas):
            self.foreign += [
                self.count + i
                for i, (schema, struct) in enumerate(zip(schemas, structs, strict=True))
                if version_differs(schema, self._plans[struct].contract.major)
            ]

    @property
    def at(self) -> pl.Series:
        """Event times, µs since the epoch; null where `time` is no instant."""
        self._read_times()
        return _whole(self._envelopes["at"], pl.Int64())

    @property
    def identity(self) -> pl.Series:
        """Ids of the events, `source|id`."""
        parts = (_whole(self._envelopes[name], pl.String()) for name in ("source", "id"))
        return pl.select(pl.concat_str(*parts, separator="|")).to_series()

    @property
    def codes(self) -> np.ndarray:
        """The type of each record, by `Plan.code`."""
        return np.concatenate(self._codes) if self._codes else np.empty(0, np.uint32)

    @property
    def parts(self) -> list[Part]:
        """The records by type, in the order in which the types were met."""
        return [
            Part(self._plans[struct].contract, np.concatenate(piece.rows), self._fields(struct, piece), piece.data)
            for struct, piece in self._pieces.items()
        ]

    def _fields(self, struct: type[Envelope], piece: _Piece) -> Fields:
        columns = {name: _whole(piece.columns[name], dtype) for name, dtype in self._plans[struct].columns.items()}
        return MadeFields(sum(map(len, piece.rows)), columns, piece.lists)


def _whole(chunks: list[pl.Series], dtype: pl.DataType) -> pl.Series:
    """Return chunks as one column in one piece of memory."""
    if not chunks:
        return pl.Series(dtype=dtype)
    return chunks[0] if len(chunks) == 1 else pl.concat(chunks, rechunk=True)
