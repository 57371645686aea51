from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ExpressionError
from config.expressions import Bound, compile_expression
from config.policies.conditions import atoms, take_apart
from config.policies.documents import FactDocument
from config.policies.regions import regions_by_fact
from operators import boxes
from operators.boxes import Space, TooComplex, find, meet, minus

FACTS = {
    "a": FactDocument("number", "d"),
    "b": FactDocument("string", "d"),
    "c": FactDocument("bool", "d"),
    "n": FactDocument("number", "d", True, "n"),
}
PARTS = ["a > 0.5", "a <= 2.0", "b == 'x'", "b in ['x', 'y']", "c", "n == null", "n > 1.0", "a > n", "true"]
CONDITIONS = st.recursive(
    st.sampled_from(PARTS),
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
    ),
    max_leaves=6,
)
VALUES = st.fixed_dictionaries(
    {
        "a": st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0]),
        "b": st.sampled_from(["x", "y", "z"]),
        "c": st.booleans(),
        "n": st.sampled_from([None, 0.0, 1.0, 2.0]),
    }
)


def space_of(*sources: str) -> Space:
    named = [atom for source in sources for atom in atoms(take_apart(source))]
    opaque = {atom.expression.source: True for atom in named if atom.constants is None}
    return Space(regions_by_fact(FACTS, named), opaque)


def holds(source: str, facts: dict[str, Any]) -> bool | None:
    try:
        return compile_expression(source).holds(Bound(facts))
    except ExpressionError:
        return None


def holding(space: Space, facts: dict[str, Any]) -> boxes.Box:
    """Return the box of the regions that the facts are in."""
    place = {True: 1, False: 2, None: 4}
    return tuple(
        place[holds(name, facts)]
        if name in space.opaque
        else sum(1 << i for i, region in enumerate(its) if region.holds(facts[name], its))
        for name, its in space.regions.items()
    )


def within(box: boxes.Box, others: boxes.Boxes) -> bool:
    return any(all(a & b for a, b in zip(box, other, strict=True)) for other in others)


@given(CONDITIONS, VALUES)
def test_condition_is_true_false_or_an_error_where_its_boxes_say(source: str, facts: dict[str, Any]) -> None:
    space = space_of(source)
    true, false = space.truth(take_apart(source))
    here = holding(space, facts)
    assert all(mask & (mask - 1) == 0 for mask in here)
    assert (within(here, true), within(here, false)) == {
        True: (True, False),
        False: (False, True),
        None: (False, False),
    }[holds(source, facts)]


@given(CONDITIONS, CONDITIONS, VALUES)
def test_meeting_and_taking_away_are_those_of_sets(one: str, other: str, facts: dict[str, Any]) -> None:
    space = space_of(one, other)
    ones, others = space.truth(take_apart(one))[0], space.truth(take_apart(other))[0]
    here = holding(space, facts)
    assert within(here, meet(ones, others)) == (within(here, ones) and within(here, others))
    assert within(here, minus(ones, others)) == (within(here, ones) and not within(here, others))


@given(CONDITIONS, CONDITIONS)
def test_search_finds_a_box_outside_of_others_or_there_is_none(one: str, other: str) -> None:
    space = space_of(one, other)
    ones, others = space.truth(take_apart(one))[0], space.truth(take_apart(other))[0]
    found = find(ones, others)
    assert (found is None) == (minus(ones, others) == [])
    if found is not None:
        assert meet([found], others) == []
        assert meet([found], ones) != []


def test_facts_of_a_box_are_one_value_of_each_region() -> None:
    space = space_of("a > 0.5 && b == 'x' && c && a > n")
    true, _ = space.truth(take_apart("a > 0.5 && b == 'x' && c && a > n"))
    (box,) = true
    assert next(space.samples(box, 1)) == {"a": 1.5, "b": "x", "c": True, "n": 0.0}
    tried = list(space.samples(box, 100))
    assert len(tried) > 1
    assert all(facts["a"] > 0.5 and facts["b"] == "x" for facts in tried)
    assert any(facts["a"] < facts["n"] for facts in tried)
    assert len(list(space.samples(box, 3))) == 3
    assert space.is_free(box, "n")
    assert not space.is_free(box, "a > n")


def test_what_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    space = space_of("a > 0.5", "b == 'x'", "c")
    scattered = space.truth(take_apart("a > 0.5 || b == 'x' || c"))[0]
    monkeypatch.setattr(boxes, "STEPS_MAX", 1)
    with pytest.raises(TooComplex):
        find([space.full], scattered)
    monkeypatch.setattr(boxes, "STEPS_MAX", 100)
    monkeypatch.setattr(boxes, "BOXES_MAX", 1)
    with pytest.raises(TooComplex):
        meet(scattered, scattered)
    with pytest.raises(TooComplex):
        minus([space.full, space.full], [])
