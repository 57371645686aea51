"""What a data contract says, once its document has been read and checked.

A contract governs one record type: its fields, who owns it, what the runtime does with it. The documents are
ODCS v3 YAML (`document.py`); this is the part of them that the job works with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import blake2b
from typing import Any, Final, Literal

LogicalType = Literal["string", "integer", "number", "boolean", "timestamp", "date", "object", "array"]
Classification = Literal["public", "internal", "personal", "sensitive"]
Flow = Literal["telemetry", "business", "control"]
"""Measurements; what happened in the business; what people and systems tell the job itself to do."""
Mode = Literal["NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"]

PERSONAL: Final = frozenset({"personal", "sensitive"})
"""The classes of personal data: a field of such a class needs a purpose, or it is dropped while decoding."""


class Absent:
    """The type of `ABSENT`."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()
"""No default: `None` is a default of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What values of a field may be, beyond their type; None where there is no bound."""

    minimum: float | int | None = None
    maximum: float | int | None = None
    exclusive_minimum: float | int | None = None
    exclusive_maximum: float | int | None = None
    length_min: int | None = None
    """Characters of a string, items of an array, entries of a map."""
    length_max: int | None = None
    pattern: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a record, or of an object inside it."""

    name: str
    type: LogicalType
    required: bool = False
    """Whether null is refused; a required field may be absent only if it has a default."""
    default: Any = ABSENT
    """A built-in scalar taken where the field is absent; `ABSENT` where there is none."""
    bounds: Bounds = Bounds()
    allowed: tuple[str | int, ...] = ()
    """The only values allowed (an enumeration); empty allows all."""
    classification: Classification = "internal"
    purposes: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    """Of an object."""
    items: Field | None = None
    """Of an array."""
    values: Field | None = None
    """Of a map: an object with any names, whose values are all alike."""
    closed: bool = False
    """Of an object: whether fields the contract does not name are refused."""

    @property
    def dropped(self) -> bool:
        """Whether the field is personal and has no purpose: it is never decoded."""
        return self.classification in PERSONAL and not self.purposes


@dataclass(frozen=True, slots=True)
class Rule:
    """A quality rule over the top-level fields of one record, as a Polars SQL expression; null passes."""

    name: str
    expression: str
    must: bool
    """A record that breaks a `must` goes to the dead letters; a broken `should` is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """How a telemetry record becomes numbers; exactly one of three forms.

    - `field`: the metric of that name is that field's value, or `metric` names it otherwise.
    - `field` with `name_field`: the metric's name stands in another field.
    - `map`: one metric for each entry of a map of numbers.
    """

    field: str = ""
    metric: str = ""
    name_field: str = ""
    map: str = ""
    digits: int = 6
    """Decimal digits kept: values are integers in units of 10 ** -digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """Where a mapped value comes from: a dotted path into the record, or `@topic`, `@key`, …, or a constant."""

    path: str = ""
    constant: Any = None
    unit: Literal["", "s", "ms", "us", "ns", "text"] = ""
    """Of an instant; "" guesses nothing and passes the value on."""
    to: Literal["", "string", "number", "integer"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignMapping:
    """How records of some topics, which are no CloudEvents, become records of this type."""

    topics: tuple[str, ...]
    """Names or shell-style patterns."""
    debezium: bool = False
    """Change events, with or without their schema envelope."""
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Path and the values it may have: which records of the topic are of this type."""
    unless: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Path and the values it must not have: with `when`, selects a change of state."""
    source: str = ""
    """CloudEvents `source` of the mapped records; the topic's name where empty."""
    id: tuple[Path, ...] = ()
    """Joined by `/`; by default topic, partition and offset."""
    time: Path = Path(path="@timestamp", unit="ms")
    data: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The contract of one record type."""

    type: str
    version: str
    status: str
    owner: str
    escalation: tuple[str, ...]
    """Channels to turn to, in order."""
    description: str
    key: str
    """The field that holds the entity key."""
    flow: Flow
    body: Field
    """The record's data: an object."""
    rules: tuple[Rule, ...] = ()
    measures: tuple[Measure, ...] = ()
    failed_when: str = ""
    """Polars SQL over the top-level fields: which records count as failed."""
    customer: str = ""
    """The field that names the customer a telemetry record touched."""
    mappings: tuple[ForeignMapping, ...] = ()
    freshness: timedelta | None = None
    """How old the newest record may be before the source counts as stale."""
    lateness_max: timedelta = timedelta(0)
    """How far behind its partition's newest event time a record may come."""
    compatibility: Mode = "BACKWARD"
    """What the next version must keep."""
    sampled_max: int = 1
    """Under overload, one record in so many may be all that is looked at; 1 where each one counts."""
    digest: str
    """BLAKE2b-128 of the document's content; comments and layout do not count."""
    file: str

    @property
    def ref(self) -> str:
        """The contract as others name it: `type@version`."""
        return f"{self.type}@{self.version}"

    @property
    def major(self) -> str:
        """The major version: what readers and writers must agree on."""
        return self.version.partition(".")[0]

    @property
    def fields(self) -> dict[str, Field]:
        """The top-level fields by name."""
        return {f.name: f for f in self.body.fields}


class ContractSet:
    """The contracts a job runs under, one for each type."""

    def __init__(self, contracts: Mapping[str, Contract]) -> None:
        self._of = {name: contracts[name] for name in sorted(contracts)}
        digest = blake2b(digest_size=16)
        for contract in self:
            digest.update(f"{contract.ref} {contract.digest}\n".encode())
        self.digest = digest.hexdigest()
        """One hash over all contracts: what a run was judged by."""

    @property
    def types(self) -> tuple[str, ...]:
        """The record types, sorted."""
        return tuple(self._of)

    def of(self, type_name: str) -> Contract:
        """Return the contract of a record type.

        Raises:
            KeyError: no contract has this type.
        """
        return self._of[type_name]

    def __contains__(self, type_name: object) -> bool:
        return type_name in self._of

    def __iter__(self) -> Iterator[Contract]:
        return iter(self._of.values())

    def __len__(self) -> int:
        return len(self._of)
