"""Whether one version of a contract can follow another.

*Backward*: a reader with the new contract reads what was written under the old one. *Forward*: a reader with the old
contract reads what is written under the new one. Both are one question with the sides exchanged: does the reader
accept every record the writer may write? The modes are the Confluent schema registry's; the transitive ones compare
with all older versions, not only the last.

An open contract lets readers ignore what they do not know; it is no licence for writers. So an optional field may be
added to it, though a record may have held another value under that name (the registry's lenient policy). Such fields
are what the count of schema drift shows. To close an open contract, though, breaks records that were well until then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from config.contracts.model import ABSENT, Bounds, Contract, Field, Mode

Direction = Literal["backward", "forward"]


class Finding(msgspec.Struct, frozen=True):
    """One reason why a version cannot follow another."""

    direction: Direction
    """`backward`: readers of the new contract break on old records; `forward`: readers of the old on new records."""
    field: str
    """Path of the field, `items[].price`; "" for the contract as a whole."""
    why: str
    old: str
    """The older contract, `type@version`."""
    new: str


def check_compatibility(old: Sequence[Contract], new: Contract, mode: Mode) -> list[Finding]:
    """Return why `new` cannot follow `old`, versions in the order they came; nothing if it can.

    Args:
        old: Older versions of the contract; only the last counts unless the mode is transitive.
        new: The version to come.
        mode: What must hold. `NONE` finds nothing.
    """
    if mode == "NONE" or not old:
        return []
    compared = old if mode.endswith("_TRANSITIVE") else old[-1:]
    findings: list[Finding] = []
    for earlier in compared:
        if mode.startswith(("BACKWARD", "FULL")):
            findings += _explain("backward", earlier, new, reader=new, writer=earlier)
        if mode.startswith(("FORWARD", "FULL")):
            findings += _explain("forward", earlier, new, reader=earlier, writer=new)
    return findings


def _explain(direction: Direction, old: Contract, new: Contract, reader: Contract, writer: Contract) -> list[Finding]:
    problems = [*_contract_problems(reader, writer), *_object_problems(reader.body, writer.body, "")]
    return [Finding(direction, path, why, old.ref, new.ref) for path, why in problems]


Problems = Iterator[tuple[str, str]]
"""Path and why the reader cannot read what the writer writes."""


def _contract_problems(reader: Contract, writer: Contract) -> Problems:
    if reader.type != writer.type:
        yield "", f"the type is {writer.type} for writers, {reader.type} for readers"
    if reader.major != writer.major:
        yield "", f"writers announce major version {writer.major}, readers accept {reader.major}"
    if reader.key != writer.key:
        yield reader.key, f"the entity key is {writer.key} for writers, {reader.key} for readers"
    if reader.flow != writer.flow:
        yield "", f"the flow is {writer.flow} for writers, {reader.flow} for readers"
    scales, others = _scales(reader), _scales(writer)
    for metric in sorted(scales.keys() & others.keys()):
        if scales[metric] != others[metric]:
            yield metric, "the scale of the measure differs, so that sums over both would be wrong"
    written = {rule.name: rule for rule in writer.rules if rule.must}
    for rule in reader.rules:
        if rule.must and (rule.name not in written or written[rule.name].expression != rule.expression):
            yield "", f"readers refuse records that break rule {rule.name}, which does not bind writers"


def _scales(contract: Contract) -> dict[str, int]:
    return {measure.map or measure.field: measure.digits for measure in contract.measures}


def _object_problems(reader: Field, writer: Field, path: str) -> Problems:
    """Whether the reader of an object reads what the writer may put into it."""
    read = {f.name: f for f in reader.fields}
    written = {f.name: f for f in writer.fields}
    for name, field in read.items():
        inner = f"{path}.{name}" if path else name
        if name in written:
            yield from _presence_problems(field, written[name], inner)
            yield from _value_problems(field, written[name], inner)
        elif field.required and field.default is ABSENT:
            yield inner, "readers require it, writers do not write it"
    if reader.closed:
        for name in written:
            if name not in read:
                inner = f"{path}.{name}" if path else name
                yield inner, "writers write it, readers are closed and refuse unknown fields"
        if not writer.closed:
            yield path, "readers are closed and refuse unknown fields, writers are open and may write some"


def _presence_problems(reader: Field, writer: Field, path: str) -> Problems:
    may_be_absent = not writer.required or writer.default is not ABSENT
    may_be_null = not writer.required
    if may_be_absent and reader.required and reader.default is ABSENT:
        yield path, "readers require it, writers may leave it out"
    elif may_be_null and reader.required:
        yield path, "readers refuse null, writers may write it"


def _value_problems(reader: Field, writer: Field, path: str) -> Problems:
    if reader.dropped:
        return  # never looked at
    if reader.type != writer.type and (writer.type, reader.type) not in _WIDENINGS:
        yield path, f"readers expect {reader.type}, writers write {writer.type}"
        return
    yield from _allowed_problems(reader, writer, path)
    yield from _bounds_problems(reader, writer, path)
    if reader.items is not None and writer.items is not None:
        yield from _element_problems(reader.items, writer.items, f"{path}[]")
    if reader.type == "object":
        if reader.values is not None and writer.values is not None:
            yield from _element_problems(reader.values, writer.values, f"{path}{{}}")
        elif (reader.values is None) != (writer.values is None):
            yield path, "one side has a map of like values, the other an object of named fields"
        else:
            yield from _object_problems(reader, writer, path)


_WIDENINGS = frozenset({("integer", "number"), ("timestamp", "string"), ("date", "string")})
"""(written, read): types a reader of another type reads without loss, since JSON writes them alike."""


def _element_problems(reader: Field, writer: Field, path: str) -> Problems:
    if reader.required and not writer.required:
        yield path, "readers refuse null, writers may write it"
    yield from _value_problems(reader, writer, path)


def _allowed_problems(reader: Field, writer: Field, path: str) -> Problems:
    if not reader.allowed:
        return
    if not writer.allowed:
        yield path, "readers accept only listed values, writers may write any"
    elif unknown := [str(value) for value in writer.allowed if value not in reader.allowed]:
        yield path, f"writers may write {', '.join(unknown)}, which readers refuse"


def _bounds_problems(reader: Field, writer: Field, path: str) -> Problems:
    read, written = reader.bounds, _bounds_of_allowed(writer) if writer.allowed else writer.bounds
    low, high = _limit(read.minimum, read.exclusive_minimum), _limit(read.maximum, read.exclusive_maximum)
    if low is not None and not _covers(low, _limit(written.minimum, written.exclusive_minimum), sign=1):
        yield path, f"readers refuse values below {low[0]}, writers may write them"
    if high is not None and not _covers(high, _limit(written.maximum, written.exclusive_maximum), sign=-1):
        yield path, f"readers refuse values above {high[0]}, writers may write them"
    if (read.length_min or 0) > (written.length_min or 0):
        yield path, f"readers refuse lengths below {read.length_min}, writers may write them"
    if read.length_max is not None and (written.length_max is None or written.length_max > read.length_max):
        yield path, f"readers refuse lengths above {read.length_max}, writers may write them"
    if read.pattern is not None and not _keeps_to(writer, read.pattern):
        yield path, "readers expect a pattern that writers need not keep to"


def _limit(inclusive: float | None, exclusive: float | None) -> tuple[float, bool] | None:
    """A bound, and whether it is exclusive."""
    if exclusive is not None:
        return exclusive, True
    return None if inclusive is None else (inclusive, False)


def _covers(read: tuple[float, bool], written: tuple[float, bool] | None, sign: int) -> bool:
    """Whether nothing within the writer's bound is beyond the reader's; `sign` is 1 for minima, -1 for maxima."""
    if written is None:
        return False
    if written[0] == read[0]:
        return written[1] or not read[1]
    return (written[0] - read[0]) * sign > 0


def _bounds_of_allowed(writer: Field) -> Bounds:
    """The bounds that a writer keeps to by keeping to its list of values."""
    numbers = [value for value in writer.allowed if isinstance(value, int)]
    lengths = [len(value) for value in writer.allowed if isinstance(value, str)]
    return Bounds(
        minimum=min(numbers, default=None),
        maximum=max(numbers, default=None),
        length_min=min(lengths, default=None),
        length_max=max(lengths, default=None),
    )


def _keeps_to(writer: Field, pattern: str) -> bool:
    if writer.allowed:
        return all(re.search(pattern, str(value)) for value in writer.allowed)
    return writer.bounds.pattern == pattern
