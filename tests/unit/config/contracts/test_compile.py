from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
import pytest

from config.contracts.compile import annotation
from config.contracts.model import ABSENT, Bounds, Field

NAME = Field(name="name", type="string", required=True)


def decode(field: Field, value: bytes, extra: Bounds | None = None) -> Any:
    """Decode a JSON value as a field."""
    return msgspec.json.decode(value, type=annotation(field, extra or Bounds(), "t"))


def field(type_name: Any, **parts: Any) -> Field:
    return Field(name="x", type=type_name, required=True, **parts)


@pytest.mark.parametrize(
    ("bounds", "well", "bad"),
    [
        (Bounds(minimum=1), b"1", b"0.999"),
        (Bounds(exclusive_minimum=1), b"1.001", b"1"),
        (Bounds(maximum=1), b"1", b"1.001"),
        (Bounds(exclusive_maximum=1), b"0.999", b"1"),
    ],
)
def test_ranges_of_numbers(bounds: Bounds, well: bytes, bad: bytes) -> None:
    assert decode(field("number", bounds=bounds), well) == float(well)
    with pytest.raises(msgspec.ValidationError):
        decode(field("number", bounds=bounds), bad)


@pytest.mark.parametrize(
    "bounds",
    [Bounds(), Bounds(minimum=-1e300, maximum=1e300), Bounds(exclusive_minimum=-1e300, exclusive_maximum=1e300)],
)
@pytest.mark.parametrize("value", [b"10.5", b"-10.5"])
def test_limits_of_the_runtime_hold_where_the_contract_is_wider(bounds: Bounds, value: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(field("number", bounds=bounds), value, Bounds(minimum=-10, maximum=10))


@pytest.mark.parametrize("value", [b"9223372036854775808", b"-9223372036854775809", b"1e3", b"1.0", b"true", b'"1"'])
def test_integers_are_integers_of_64_bits(value: bytes) -> None:
    assert decode(field("integer"), b"9223372036854775807") == 2**63 - 1
    with pytest.raises(msgspec.ValidationError):
        decode(field("integer"), value)


def test_strings_keep_length_and_pattern() -> None:
    code = field("string", bounds=Bounds(length_min=2, length_max=3, pattern="^[A-Z]+$"))
    assert decode(code, b'"AB"') == "AB"
    for bad in (b'"A"', b'"ABCD"', b'"ab"', b"5", b"null"):
        with pytest.raises(msgspec.ValidationError):
            decode(code, bad)


def test_enumerations_of_integers() -> None:
    assert decode(field("integer", allowed=(1, 2)), b"2") == 2
    with pytest.raises(msgspec.ValidationError):
        decode(field("integer", allowed=(1, 2)), b"3")


def test_dates_are_dates() -> None:
    assert decode(field("date"), b'"2024-02-29"') == date(2024, 2, 29)
    with pytest.raises(msgspec.ValidationError):
        decode(field("date"), b'"2023-02-29"')


def test_arrays_keep_length_and_say_which_item_is_at_fault() -> None:
    names = field("array", items=NAME, bounds=Bounds(length_min=1, length_max=2))
    assert decode(names, b'["a","b"]') == ["a", "b"]
    for bad in (b"[]", b'["a","b","c"]'):
        with pytest.raises(msgspec.ValidationError):
            decode(names, bad)
    with pytest.raises(msgspec.ValidationError, match=r"\$\[1\]"):
        decode(names, b'["a",null]')
    assert decode(field("array", items=Field(name="i", type="string")), b"[null]") == [None]


def test_maps_bound_names_and_number_of_entries() -> None:
    numbers = field("object", values=field("number"), bounds=Bounds(length_max=2))
    assert decode(numbers, b'{"a":1,"b":2.5}') == {"a": 1.0, "b": 2.5}
    for bad in (b'{"a":null}', b'{"":1}', b'{"a":1,"b":2,"c":3}', b'{"%s":1}' % (b"a" * 129)):
        with pytest.raises(msgspec.ValidationError):
            decode(numbers, bad)


def test_objects_nest_are_open_or_closed_and_may_be_free() -> None:
    inner = field("object", fields=(NAME, Field(name="more", type="integer", default=3)))
    assert decode(inner, b'{"name":"n","other":1}').more == 3
    closed = field("object", fields=(NAME,), closed=True)
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        decode(closed, b'{"name":"n","other":1}')
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        decode(field("object", closed=True), b'{"other":1}')
    assert decode(field("object"), b'{"any":[1]}') == {"any": [1]}
    assert ABSENT is NAME.default


def test_null_for_a_field_with_a_default_is_null_only_where_it_is_not_required() -> None:
    for required, accepted in ((False, True), (True, False)):
        outer = field("object", fields=(Field(name="n", type="integer", required=required, default=3),))
        assert decode(outer, b"{}").n == 3
        if accepted:
            assert decode(outer, b'{"n":null}').n is None
        else:
            with pytest.raises(msgspec.ValidationError):
                decode(outer, b'{"n":null}')
