from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from config.contracts.model import Field
from operators.instants import to_integers

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
