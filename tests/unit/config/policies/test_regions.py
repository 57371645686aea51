from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.expressions import Bound
from config.policies.conditions import Atom, atoms, take_apart
from config.policies.documents import FactDocument
from config.policies.regions import OTHER, describe, regions


def atoms_of(*sources: str) -> list[Atom]:
    return [atom for source in sources for atom in atoms(take_apart(source))]


def fact(fact_type: Any, nullable: bool = False) -> FactDocument:
    return FactDocument(fact_type, "d", nullable, "f" if nullable else "")


def samples(found: Any) -> list[Any]:
    return [region.sample for region in found]


def test_numbers_have_a_region_at_below_between_and_above_each_constant() -> None:
    found = regions(fact("number", nullable=True), atoms_of("a > 0.5", "a <= 1", "a != null"))
    assert [describe([region], "number") for region in found] == [
        "< 0.5",
        "= 0.5",
        "> 0.5 and < 1",
        "= 1",
        "> 1",
        "unknown",
    ]


def test_adjacent_regions_read_as_one() -> None:
    found = regions(fact("number"), atoms_of("a > 0.5 && a < 1.0"))
    assert [describe(run, "number") for run in (found[:2], found[1:4], found[3:], found[2:4], found)] == [
        "<= 0.5",
        ">= 0.5 and <= 1",
        ">= 1",
        "> 0.5 and <= 1",
        "known",
    ]


def test_text_has_a_region_for_each_that_is_named_and_one_for_the_rest() -> None:
    assert samples(regions(fact("string"), atoms_of("a in ['x', 'y'] || a == ''"))) == ["", "x", "y", OTHER]
    assert len(set(samples(regions(fact("string"), atoms_of(f"a == '{OTHER}'"))))) == 2


def test_instants_have_whole_samples_and_no_region_between_neighbours() -> None:
    found = regions(fact("instant"), atoms_of("a > 5 && a < 6 && a != 9"))
    assert samples(found) == [4, 5, 6, 7, 9, 10]


def test_bool_and_nothing_named() -> None:
    assert samples(regions(fact("bool"), atoms_of("a"))) == [False, True]
    assert samples(regions(fact("number"), [])) == [0]
    assert samples(regions(fact("bool", nullable=True), [])) == [False, True, None]


CONDITIONS = ["a > 0.5", "a >= 2.0", "a != null && a < -1.0", "a == 3.0", "a in [0.0, 0.25]", "a <= 0.25 || a > 7.5"]


@given(
    st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=4),
    st.one_of(st.none(), st.floats(-10, 10), st.sampled_from([-1.0, 0.0, 0.25, 0.5, 2.0, 3.0, 7.5])),
)
def test_each_value_is_in_one_region_on_whose_sample_every_atom_says_the_same(sources: list[str], value: Any) -> None:
    named = atoms_of(*sources)
    found = regions(fact("number", nullable=True), named)
    (region,) = [region for region in found if region.holds(value, found)]
    for atom in named:
        assert says(atom, value) == says(atom, region.sample)


def says(atom: Atom, value: Any) -> Any:
    try:
        return atom.expression.holds(Bound({"a": float(value) if isinstance(value, int) else value}))
    except Exception as error:
        return type(error)


@pytest.mark.parametrize("value", ["x", "y", "other"])
def test_each_text_is_in_one_region(value: str) -> None:
    found = regions(fact("string", nullable=True), atoms_of("a in ['x', 'y']"))
    assert [region.sample for region in found if region.holds(value, found)] == [value if value in "xy" else OTHER]
    assert [region.sample for region in found if region.holds(None, found)] == [None]
