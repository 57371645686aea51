"""Parts of a condition that do not go together are told before it is evaluated; what CEL allows is not."""

from __future__ import annotations

from typing import Any

import pytest

from config.expression_types import Type, TypeFault, check_types
from config.expressions import Bound, compile_expression

TYPES: dict[str, Type] = {
    "kind": "string",
    "severity": "string",
    "confidence": "number",
    "sure": "number",
    "linked": "bool",
    "harm_at": "instant",
    "expected_at": "instant",
    "after": {"messages": "number", "state": "string"},
}
VALUES: dict[str, Any] = {
    "kind": "ab",
    "severity": "high",
    "confidence": 0.7,
    "sure": 0.9,
    "linked": True,
    "harm_at": 1_000_000,
    "expected_at": 2_000_000,
    "after": {"messages": 2.0, "state": "open"},
}


def check(source: str, wanted: str = "bool") -> None:
    compile_expression(source)
    check_types(source, TYPES, wanted, {"sure": "threshold"})


@pytest.mark.parametrize(
    ("source", "message", "remedy"),
    [
        (
            "kind == 3",
            "fact 'kind' is a string, but 3 is a number, so 'kind == 3' is never true",
            "Write '3', or compare what is a number.",
        ),
        ("kind != 3", "is always true", "Write '3'"),
        ("kind in ['a', 3]", "looks in vain", "Write '3'"),
        ("kind < 3", "'kind < 3' is an error", "Write '3'"),
        ("confidence == '0.5'", "fact 'confidence' is a number, but '0.5' is a string", "Write 0.5 without quotes."),
        ("linked == 'true'", "fact 'linked' is a bool", "Write true without quotes."),
        (
            "kind == confidence",
            "fact 'kind' is a string, but fact 'confidence' is a number",
            "Compare kind with a string, or confidence with a number.",
        ),
        ("sure == kind", "threshold 'sure' is a number, but fact 'kind' is a string", ""),
        ("harm_at == '2026-01-01T00:00:00Z'", "fact 'harm_at' is an instant", "write 1767225600000000."),
        ("kind && linked", "fact 'kind' is a string, and each side of && has to be a bool", "Compare it: kind == 'a'."),
        ("!kind", "what '!kind' negates has to be a bool", ""),
        (
            "confidence",
            "fact 'confidence' is a number, and a condition has to be a bool",
            "Compare it: confidence > 0.5.",
        ),
        ("confidence + 1 > 2.0", "'confidence + 1' mixes whole numbers with others", "Write 1.0."),
        ("linked + linked == linked", "so 'linked + linked' is an error", "CEL has no + for a bool."),
        ("size(confidence) > 1", "size takes a list", "Give it such a value."),
        ("contains(kind, 'a')", "calls contains without saying on what", "Write kind.contains('a')."),
        ("kind in 'abc'", "in which \"kind in 'abc'\" looks", "Write a list"),
        ("[1, 2].exists(x, x == kind)", "fact 'kind' is a string, but x is a number", ""),
        ("!(kind == 3)", "'kind == 3' is never true", ""),
    ],
)
def test_a_fault_names_parts_and_types_and_what_could_stand_there(source: str, message: str, remedy: str) -> None:
    with pytest.raises(TypeFault) as raised:
        check(source)
    assert message in raised.value.message
    assert remedy in raised.value.remedy
    assert raised.value.remedy


@pytest.mark.parametrize(
    "source",
    [
        "3 == kind",
        "3 >= kind",
        "kind in [3]",
        "confidence in ['a']",
        "3 in ['a']",
        "confidence == kind",
        "confidence == 'x'",
        "confidence > 'x'",
        "linked == 1",
        "1 == linked",
        "linked > 0",
        "kind == true",
        "linked && confidence",
        "linked || kind",
        "!confidence",
        "-kind",
        "kind + 1 == 'a1'",
        "confidence + 'a' == 'b'",
        "confidence % 2.0 == 0.0",
        "kind",
        "harm_at",
        "'a'",
        "1",
        "confidence > 0.5 ? 'a' : true",
        "kind ? true : false",
        "confidence.contains('a')",
        "kind.contains(3)",
        "kind.startsWith(confidence)",
        "kind.matches(3)",
        "int(linked) == 1",
        "string(linked) == 'true'",
        "kind in confidence",
        "harm_at > 'x'",
        "(kind) == (3)",
        "linked && (confidence > 0.5 || kind == 3)",
        "false && kind == 3",
        "['a'].exists(x, x == confidence)",
        "[kind].all(x, x)",
        "kind.foo == 1",
        "kind[0] == 'a'",
        "size(kind) == 'a'",
        "kind == [1]",
        "null < 3",
        "kind == 'a' == 'b'",
        "confidence > 0.5 == 'a'",
        "kind == -1",
        "after.messages == 'a'",
        "after.mesages > 0.0",
        "linked && after.mesages > 0.0",
        "after > 1.0",
        "after == kind",
        "1 + after.messages > 2.0",
        "kind.startsWith()",
        "kind.size(1) > 2",
        "{'a': kind == 3}.a",
        "[linked && kind][0]",
        "(linked ? 1 : 'b') == kind",
        "linked ? true : null",
        "null",
        "linked && null",
        "[1, 2].map(x, x && linked) == [true]",
        "['a'].filter(x, x)",
        "linked ? kind == 3 : true",
        "kind ==\n3 // no",
    ],
)
def test_what_cannot_hold_or_be_evaluated_is_refused(source: str) -> None:
    with pytest.raises(TypeFault):
        check(source)


@pytest.mark.parametrize(
    "source",
    [
        "kind == 'a'",
        "confidence > 1",
        "confidence == 1",
        "confidence >= sure",
        "1 <= confidence",
        "confidence in [1, 2.5]",
        "kind in ['a', 'b']",
        "kind in []",
        "kind != null && kind == 'a'",
        "null == kind",
        "harm_at != null && expected_at > harm_at",
        "harm_at > 3",
        "harm_at - expected_at > 3600000000",
        "confidence + 1.0 > 2.0",
        "confidence * double(size(kind)) > 2.0",
        "size(kind) > 3",
        "kind.size() > 3",
        "kind.contains('a') && kind.startsWith(\"b\") || !kind.endsWith('c')",
        "kind.matches('^a.*$')",
        "linked",
        "!linked",
        "!!linked",
        "linked == true",
        "linked != (confidence > 0.5)",
        "confidence > 0.5 == true",
        "linked ? kind == 'a' : confidence > 0.5",
        "(linked ? 'a' : 'b') == kind",
        "['a','b'].exists(x, x == kind)",
        "[1, 2].all(x, confidence > x)",
        "{'a': 1}.a == 1",
        "kind in {'a': 1}",
        "string(confidence) == '1'",
        "int('3') > 2",
        "true",
        "kind == r'a\\b' // comment",
        "has({'a': 1}.a)",
        "-confidence < 0.0",
        "kind + 'x' == 'ax'",
        "kind > 'a'",
        "confidence == 1e3",
        "confidence != 0x1F",
        "[1, 2] == [1.0, 2.0]",
        "size([kind, 'a']) == 2",
        "kind in (linked ? ['a'] : ['b'])",
        "['a','b'].filter(x, x == kind).size() > 0",
        "['a'].map(x, x + 'b') == ['ab']",
        "1u < 2",
        "after.messages > 1",
        "after.state in ['open', 'closed']",
        "kind == null || severity != null",
    ],
)
def test_what_cel_allows_is_allowed_and_can_be_evaluated(source: str) -> None:
    check(source)
    compile_expression(source).holds(Bound(VALUES))


@pytest.mark.parametrize(
    ("source", "wanted", "fits"),
    [
        ("kind", "string", True),
        ("confidence", "string", False),
        ("linked ? kind : severity", "string", True),
        ("linked ? kind : confidence", "string", False),
        ("confidence", "number", True),
        ("size(kind)", "number", True),
        ("harm_at + 3600", "instant", True),
        ("'2026-01-01T00:00:00Z'", "instant", True),
        ("linked", "instant", False),
        ("kind == 'a'", "number", False),
        ("after.state", "number", False),
    ],
)
def test_the_whole_is_of_the_type_that_is_wanted(source: str, wanted: str, fits: bool) -> None:
    if fits:
        check(source, wanted)
    else:
        with pytest.raises(TypeFault):
            check(source, wanted)


def test_null_is_let_through_where_the_whole_may_be_null() -> None:
    for source in ("linked ? kind : null", "linked ? null : kind", "null"):
        check_types(source, TYPES, "string", nullable=True)
        with pytest.raises(TypeFault):
            check_types(source, TYPES, "string")
