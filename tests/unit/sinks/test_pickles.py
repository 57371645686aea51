from __future__ import annotations

import os
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from sinks.pickles import refusal


class Exploit:
    def __reduce__(self) -> Any:
        return os.system, ("true",)


PLAIN = [
    None,
    True,
    0,
    -1,
    2**15,
    2**40,
    -(2**200),
    1.5,
    "text",
    "x" * 300,
    b"bytes",
    b"x" * 300,
    [],
    [1, [2]],
    (),
    (1,),
    (1, 2),
    (1, 2, 3),
    (1, 2, 3, 4),
    {},
    {"a": {"b": [b"c", None]}},
    ["again", "again"],
    list(range(3000)),
    {str(number): number for number in range(3000)},
]


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("value", PLAIN, ids=range(len(PLAIN)))
def test_plain_values_are_let_through(value: Any, protocol: int) -> None:
    assert refusal(pickle.dumps(value, protocol)) is None


@pytest.mark.parametrize("protocol", range(6))
def test_anything_that_calls_is_refused(protocol: int) -> None:
    assert refusal(pickle.dumps(Exploit(), protocol)) is not None
    assert refusal(pickle.dumps([1, {"a": Exploit()}], protocol)) is not None


@pytest.mark.parametrize("value", [datetime(2026, 1, 1, tzinfo=UTC), Exploit, os.system, 1j, {1, 2}, bytearray(b"x")])
def test_other_types_are_refused(value: Any) -> None:
    assert refusal(pickle.dumps(value)) is not None


@pytest.mark.parametrize("damaged", [b"", b"\x80", b"hello", pickle.dumps([1, 2, 3])[:-1]])
def test_what_is_no_pickle_is_refused(damaged: bytes) -> None:
    assert refusal(damaged) is not None
