from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace as Struct
from typing import Any

import pytest

from config.contracts.model import Field
from operators.instants import impossible, to_integers

AT = datetime(1970, 1, 1, 0, 0, 1, 2, tzinfo=UTC)
INSTANT = Field(name="at", type="timestamp")


def in_object(*fields: Field) -> Field:
    return Field(name="o", type="object", fields=fields)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (in_object(INSTANT), {"at": AT, "x": 1}, {"at": 1_000_002, "x": 1}),
        (in_object(INSTANT), {"at": AT.astimezone(timezone(timedelta(hours=5)))}, {"at": 1_000_002}),
        (in_object(INSTANT), {"at": None}, {"at": None}),
        (in_object(Field(name="i", type="array", items=INSTANT)), {"i": [AT, None]}, {"i": [1_000_002, None]}),
        (in_object(Field(name="i", type="array", items=INSTANT)), {"i": None}, {"i": None}),
        (in_object(Field(name="m", type="object", values=INSTANT)), {"m": {"a": AT}}, {"m": {"a": 1_000_002}}),
        (in_object(Field(name="m", type="object", values=INSTANT)), {"m": {}}, {"m": {}}),
        (
            in_object(Field(name="i", type="array", items=in_object(INSTANT))),
            {"i": [{"at": AT}, None]},
            {"i": [{"at": 1_000_002}, None]},
        ),
        (in_object(Field(name="p", type="object", fields=(INSTANT,))), {"p": None}, {"p": None}),
    ],
)
def test_instants_become_microseconds_wherever_they_stand(field: Field, value: Any, expected: Any) -> None:
    convert = to_integers(field)
    assert convert is not None
    assert convert(value) == expected


@pytest.mark.parametrize(
    "field",
    [
        in_object(Field(name="s", type="string"), Field(name="i", type="array", items=Field(name="n", type="number"))),
        in_object(Field(name="at", type="timestamp", classification="personal")),
    ],
)
def test_fields_that_hold_none_need_no_conversion(field: Field) -> None:
    assert to_integers(field) is None
    assert impossible(field) is None


FAR = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))  # before the first year, in UTC


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        (in_object(INSTANT), Struct(at=AT), None),
        (in_object(INSTANT), Struct(at=None), None),
        (in_object(INSTANT), Struct(at=FAR), ".at"),
        (in_object(INSTANT), Struct(at=datetime(1900, 1, 1, tzinfo=UTC)), None),
        (in_object(INSTANT), Struct(at=datetime(2200, 1, 1, tzinfo=UTC)), ".at"),
        (in_object(INSTANT), Struct(at=datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-14)))), ".at"),
        (in_object(Field(name="i", type="array", items=INSTANT)), Struct(i=[AT, None, FAR]), ".i[...]"),
        (in_object(Field(name="i", type="array", items=INSTANT)), Struct(i=None), None),
        (in_object(Field(name="m", type="object", values=INSTANT)), Struct(m={"a": AT, "b": FAR}), ".m[...]"),
        (in_object(Field(name="m", type="object", values=INSTANT)), Struct(m=None), None),
        (in_object(Field(name="p", type="object", fields=(INSTANT,))), Struct(p=Struct(at=FAR)), ".p.at"),
        (in_object(Field(name="p", type="object", fields=(INSTANT,))), Struct(p=None), None),
    ],
)
def test_instants_beyond_the_calendar_are_found_wherever_they_stand(field: Field, value: Any, path: str | None) -> None:
    find = impossible(field)
    assert find is not None
    assert find(value) == path
