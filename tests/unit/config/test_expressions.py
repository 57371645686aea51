import pytest

from config.errors import ExpressionError
from config.expressions import SOURCE_MAX, Block, BlockError, Bound, compile_expression, named_values, split_conjuncts


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("a", ["a"]),
        ("a && b", ["a", "b"]),
        ("a && (b || c) && d", ["a", "(b || c)", "d"]),
        ("a && b || c", ["a && b || c"]),
        ("a ? b && c : d", ["a ? b && c : d"]),
        ("(a && b)", ["(a && b)"]),
        ("a == 'x && y' && b", ["a == 'x && y'", "b"]),
        (r"a == 'it\'s && so' && b", [r"a == 'it\'s && so'", "b"]),
        (r"a == r'\' && b", [r"a == r'\'", "b"]),
        ('a == """x " && " y""" && b', ['a == """x " && " y"""', "b"]),
        ("[a].exists(x, x && b) && c", ["[a].exists(x, x && b)", "c"]),
        ("a && // why && so\n b", ["a", "// why && so\n b"]),
        ("{'k': a && b}['k'] && c", ["{'k': a && b}['k']", "c"]),
    ],
)
def test_conjuncts_are_those_of_the_top(source: str, parts: list[str]) -> None:
    assert split_conjuncts(source) == parts
    for part in parts:
        compile_expression(part)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a &&", "line 1, column 5: Syntax error: mismatched input '<EOF>'"),
        ("a &&\n  b c", "line 2, column 5: Syntax error: extraneous input 'c'"),
        ("", "line 1, column 1"),
        ("a == 'x", "line 1, column 6"),
        ("now() > a", "unknown function 'now'"),
        ("a.lower() == 'x'", "unknown function 'lower'"),
        ("a" * (SOURCE_MAX + 1), "4001 characters"),
    ],
)
def test_broken_expression_names_its_place(source: str, message: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        compile_expression(source)
    assert message in raised.value.message
    assert "expecting {" not in raised.value.message


def test_names_are_the_facts_without_bound_variables() -> None:
    assert compile_expression("a > 1 && [b, c].exists(x, x == d) && e.startsWith('f')").names == set("abcde")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a", "yields int"),
        ("missing > 1", "missing"),
        ("a > 'x'", "No such overload"),
        ("1 / (a - 1) > 0", "division by zero"),
        ("9223372036854775807 + a > 0", "overflow"),
    ],
)
def test_condition_that_cannot_be_evaluated_is_an_error(source: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        compile_expression(source).holds(Bound({"a": 1}))


def test_false_conjunct_decides_whatever_the_others_are() -> None:
    bound = Bound({"a": 1})
    assert not compile_expression("missing > 1 && a > 5").holds(bound)
    assert not compile_expression("a > 5 && a").holds(bound)


@pytest.mark.parametrize("value", [object(), {1: object()}])
def test_value_that_is_no_fact_is_refused(value: object) -> None:
    with pytest.raises(ExpressionError, match="cannot be bound"):
        Bound({"a": value})


def block(*sources: str) -> Block:
    return Block.of(tuple(compile_expression(source) for source in sources))


def test_block_finds_the_first_that_holds() -> None:
    bound = Bound({"a": 1})
    assert block("a > 5", "a == 1 // a comment", "a > 0").first(bound) == 1
    assert block("a > 5", "a > 6").first(bound) is None


def test_block_ignores_an_error_behind_the_first_that_holds() -> None:
    assert block("a > 5", "a > 0", "missing > 1", "a").first(Bound({"a": 1})) == 1


@pytest.mark.parametrize("broken", ["missing > 1", "a"])
def test_block_reports_an_error_before_the_first_that_holds(broken: str) -> None:
    with pytest.raises(BlockError) as raised:
        block("a > 5", broken, "a > 0").first(Bound({"a": 1}))
    assert raised.value.position == 1


def test_block_reports_an_error_where_none_holds() -> None:
    with pytest.raises(BlockError):
        block("a > 5", "missing > 1").first(Bound({"a": 1}))


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("a > sure && b.sure < low", "a > 0.9 && b.sure < (-1.0)"),
        ("a. sure > sure", "a. sure > 0.9"),
        ("'sure' == x && r'sure' != \"sure\" // sure", "'sure' == x && r'sure' != \"sure\" // sure"),
        ("sure(a) > unsure * sure", "sure(a) > unsure * 0.9"),
        ("1e5 > e5 // end.\n && a > sure", "1e5 > 3.0 // end.\n && a > 0.9"),
    ],
)
def test_values_stand_in_place_of_names_and_nowhere_else(source: str, written: str) -> None:
    assert named_values(source, {"sure": 0.9, "low": -1.0, "e5": 3.0}) == written
