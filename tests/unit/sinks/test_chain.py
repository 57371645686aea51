from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.chain import GENESIS, Entry, canonical, link

fields = st.tuples(st.text(), st.integers(0, 999), st.text(), st.text(), st.integers(), st.text(), st.binary())


@given(fields, fields)
def test_outputs_that_differ_anywhere_link_differently(
    one: tuple[str, int, str, str, int, str, bytes], two: tuple[str, int, str, str, int, str, bytes]
) -> None:
    assert (link(GENESIS, *one) == link(GENESIS, *two)) == (one == two)


@pytest.mark.parametrize("swap", [("ab", "c", "a", "bc"), ("a", "1:b", "a1:", "b"), ("", "0:", "0:", "")])
def test_fields_do_not_run_into_each_other(swap: tuple[str, str, str, str]) -> None:
    one, two, three, four = swap
    assert link(GENESIS, "p", 1, one, two, 0, "k", b"") != link(GENESIS, "p", 1, three, four, 0, "k", b"")


def test_link_depends_on_what_came_before() -> None:
    assert link(GENESIS, "p", 1, "t", "i", 0, "k", b"") != link(b"\1" * 32, "p", 1, "t", "i", 0, "k", b"")


def test_canonical_json_does_not_depend_on_the_order_of_insertion() -> None:
    assert canonical({"b": [1, {"d": 1, "c": 2}], "a": "é"}) == '{"a":"é","b":[1,{"c":2,"d":1}]}'.encode()


def test_data_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError):
        canonical({"raw": b"bytes"})


@pytest.mark.parametrize(("type_", "kind"), [("finding", "finding"), ("case.opened", "case"), ("a.b.c", "a")])
def test_kind_is_the_type_up_to_the_first_stop(type_: str, kind: str) -> None:
    assert Entry(1, type_, "id", 0, "key", b"", b"").kind == kind
