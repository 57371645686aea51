from typing import Any

import pytest

from config.policies.conditions import Atom, Either, Every, Negation, atoms, take_apart


def plain(condition: Any) -> Any:
    """Return a condition as nested tuples of texts."""
    match condition:
        case Atom():
            return condition.expression.source
        case Negation(part):
            return ("!", plain(part))
        case Every(parts):
            return ("&&", *map(plain, parts))
        case Either(parts):
            return ("||", *map(plain, parts))


@pytest.mark.parametrize(
    ("source", "structure"),
    [
        ("a", "a"),
        ("a && b || c", ("||", ("&&", "a", "b"), "c")),
        ("a && (b || !c)", ("&&", "a", ("||", "b", ("!", "c")))),
        ("((a))", "a"),
        ("!(a && b)", ("!", ("&&", "a", "b"))),
        ("!!a", ("!", ("!", "a"))),
        ("!a == b", "!a == b"),
        ("(a + 1.0) * 2.0 > b && c", ("&&", "(a + 1.0) * 2.0 > b", "c")),
        ("(a) && (b)", ("&&", "a", "b")),
        ("a ? b && c : d", "a ? b && c : d"),
        ("a && (b ? c : d)", ("&&", "a", "b ? c : d")),
        ("a == '&& (' && b", ("&&", "a == '&& ('", "b")),
        ("[1, 2].exists(x, x > 1 && a > 2) || b", ("||", "[1, 2].exists(x, x > 1 && a > 2)", "b")),
        ("a // && b\n && c", ("&&", "a", "c")),
    ],
)
def test_condition_is_taken_apart_at_its_joints(source: str, structure: Any) -> None:
    assert plain(take_apart(source)) == structure


@pytest.mark.parametrize(
    ("source", "constants"),
    [
        ("a > 0.5", (0.5,)),
        ("0.5 < a", (0.5,)),
        ("a >= -1", (-1,)),
        ("a >= (-1.5)", (-1.5,)),
        ("a == 'x'", ("x",)),
        ('a != "x"', ("x",)),
        ("a in ['x', 'y']", ("x", "y")),
        ("a == null", (None,)),
        ("a == true", (True,)),
        ("a", (True,)),
        ("true", ()),
        ("a < 'x'", None),
        ("a == r'x'", None),
        ("a == 'it\\'s'", None),
        ("a in b", None),
        ("a in ['x', b]", None),
        ("a > b", None),
        ("a + 1.0 > 2.0", None),
        ("size(a) > 2", None),
        ("a.contains('x')", None),
        ("a == -b", None),
    ],
)
def test_comparison_with_constants_tells_them_and_all_else_tells_none(source: str, constants: Any) -> None:
    (atom,) = atoms(take_apart(source))
    assert atom.constants == constants
    assert atom.expression.names <= {"a", "b"}
