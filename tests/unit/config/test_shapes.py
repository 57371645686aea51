"""What a document may hold is told by its type."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest

from config.shapes import hint


class Leaf(msgspec.Struct, forbid_unknown_fields=True):
    most: int = 1
    per: Literal["customer", "cause"] = "cause"


class Tree(msgspec.Struct, forbid_unknown_fields=True):
    owner: str = ""
    leaf: Leaf | None = None
    leaves: list[Leaf] = []
    named: dict[str, Leaf] = {}
    deep: dict[str, list[Leaf]] = {}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"ownr": ""}, "Did you mean 'owner'? Known: owner, leaf, leaves, named, deep."),
        ({"leaf": {"mots": 1}}, "Did you mean 'most'? Known: most, per."),
        ({"leaves": [{}, {"pre": 1}]}, "Did you mean 'per'? Known: most, per."),
        ({"named": {"a": {"mst": 1}}}, "Did you mean 'most'? Known: most, per."),
        ({"deep": {"a": [{"mst": 1}]}}, "Did you mean 'most'? Known: most, per."),
        ({"leaf": {"per": "custmer"}}, "Did you mean 'customer'? Known: cause, customer."),
        ({"leaf": {"per": "customer's"}}, "Did you mean 'customer'? Known: cause, customer."),
        ({"leaf": {"most": "much"}}, ""),
        ([], ""),
    ],
)
def test_the_nearest_of_what_may_stand_there_is_named(content: object, words: str) -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.convert(content, Tree)
    assert hint(str(raised.value), Tree) == words
