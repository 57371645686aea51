"""Types of a condition and CEL's engine agree: what fits is not refused, and what fails is not let through."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from config.expression_types import Type, TypeFault, check_types
from config.expressions import Bound, compile_expression
from tests.support.examples import examples

TYPES: dict[str, Type] = {"kind": "string", "confidence": "number", "linked": "bool", "harm_at": "instant"}
VALUES: list[dict[str, Any]] = [
    {"kind": "a", "confidence": 0.5, "linked": True, "harm_at": 5},
    {"kind": "", "confidence": -2.0, "linked": False, "harm_at": 0},
]
TEXTS = st.sampled_from(["kind", "'a'", '"b c"', "r'\\d'"])
NUMBERS = st.sampled_from(["confidence", "0.5", "1e3"])
WHOLE = st.sampled_from(["harm_at", "7", "0x1F"])
TRUTHS = st.sampled_from(["linked", "true", "false"])
ORDERS = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])


def put(form: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda given: form.format(*given))


def sums(leaves: st.SearchStrategy[str], signs: str) -> st.SearchStrategy[str]:
    return st.recursive(leaves, lambda inner: put("({} {} {})", inner, st.sampled_from(signs), inner), max_leaves=3)


TEXT, NUMBER, INTEGER = sums(TEXTS, "+"), sums(NUMBERS, "+-*"), sums(WHOLE, "+-*")
ANY_NUMBER = st.one_of(NUMBER, INTEGER, put("size({})", TEXT), put("double({})", INTEGER))
COMPARED = st.one_of(
    put("{} {} {}", TEXT, ORDERS, TEXT),
    put("{} {} {}", ANY_NUMBER, ORDERS, ANY_NUMBER),
    put("{} == null", st.one_of(TEXT, ANY_NUMBER)),
    put("{}.contains({})", TEXTS, TEXT),
    put("{} in [{}, {}]", TEXT, TEXT, TEXT),
    put("{} in [{}, {}]", ANY_NUMBER, NUMBER, INTEGER),
    TRUTHS,
)
CONDITION = st.recursive(
    COMPARED,
    lambda inner: st.one_of(
        put("{} && {}", inner, inner),
        put("({} || {})", inner, inner),
        put("!({})", inner),
        put("(({}) == ({}))", inner, inner),
        put("({} ? {} : {})", inner, inner, inner),
    ),
    max_leaves=6,
)
ANYTHING = st.recursive(
    st.one_of(TEXTS, NUMBERS, WHOLE, TRUTHS),
    lambda inner: st.one_of(
        put("({} {} {})", inner, st.sampled_from(["&&", "||", "+", "-", "*", "<", "==", "!="]), inner),
        put("({} in [{}, {}])", inner, inner, inner),
        put("({} ? {} : {})", inner, TEXTS, st.one_of(TEXTS, NUMBERS)),
        put("({} ? {} : {})", inner, TRUTHS, inner),
        put("({} != null)", inner),
        put("!({})", inner),
        put("-({})", inner),
        put("size({})", inner),
        put("({}).contains({})", inner, inner),
    ),
    max_leaves=5,
)


@examples(300)
@given(CONDITION)
def test_what_fits_is_let_through_and_yields_true_or_false(source: str) -> None:
    check_types(source, TYPES)
    for values in VALUES:
        compile_expression(source).holds(Bound(values))


@examples(1_000)
@given(ANYTHING)
def test_what_is_let_through_never_fails(source: str) -> None:
    try:
        check_types(source, TYPES)
    except TypeFault:
        return
    for values in VALUES:
        compile_expression(source).holds(Bound(values))
