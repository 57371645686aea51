from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from config.contracts import BUILT_IN, Contract, load_contracts
from config.contracts.compatibility import check_compatibility
from config.contracts.model import ABSENT, Bounds, Field, Measure, Mode, Rule

KEY = Field(name="id", type="string", required=True)


def contract(*fields: Field, closed: bool = False, version: str = "1.0.0", **parts: Any) -> Contract:
    body = Field(name="t", type="object", required=True, fields=(KEY, *fields), closed=closed)
    given: dict[str, Any] = {"flow": "business", **parts}
    return Contract(
        type="t", version=version, status="active", owner="o", escalation=("e",), description="", key="id",
        body=body, digest="", file="t.yaml", **given,
    )  # fmt: skip


def presence(kind: str) -> Field:
    required = kind != "optional"
    return Field(name="x", type="string", required=required, default="none" if kind == "defaulted" else ABSENT)


def breaks(old: Contract, new: Contract, mode: Mode) -> bool:
    return bool(check_compatibility([old], new, mode))


@pytest.mark.parametrize(
    ("change", "kind", "model", "mode", "broken"),
    [
        # A new reader meets old records: they lack the field.
        ("add", "required", "open", "BACKWARD", True),
        ("add", "defaulted", "open", "BACKWARD", False),
        ("add", "optional", "open", "BACKWARD", False),
        ("add", "required", "closed", "BACKWARD", True),
        ("add", "defaulted", "closed", "BACKWARD", False),
        ("add", "optional", "closed", "BACKWARD", False),
        # An old reader meets new records: they have the field, which it does not know.
        ("add", "required", "open", "FORWARD", False),
        ("add", "defaulted", "open", "FORWARD", False),
        ("add", "optional", "open", "FORWARD", False),
        ("add", "required", "closed", "FORWARD", True),
        ("add", "defaulted", "closed", "FORWARD", True),
        ("add", "optional", "closed", "FORWARD", True),
        # A new reader meets old records: they have the field, which it no longer knows.
        ("remove", "required", "open", "BACKWARD", False),
        ("remove", "defaulted", "open", "BACKWARD", False),
        ("remove", "optional", "open", "BACKWARD", False),
        ("remove", "required", "closed", "BACKWARD", True),
        ("remove", "defaulted", "closed", "BACKWARD", True),
        ("remove", "optional", "closed", "BACKWARD", True),
        # An old reader meets new records: they lack the field.
        ("remove", "required", "open", "FORWARD", True),
        ("remove", "defaulted", "open", "FORWARD", False),
        ("remove", "optional", "open", "FORWARD", False),
        ("remove", "required", "closed", "FORWARD", True),
        ("remove", "defaulted", "closed", "FORWARD", False),
        ("remove", "optional", "closed", "FORWARD", False),
    ],
)
@pytest.mark.parametrize("inside", ["record", "object", "items"])
def test_adding_and_removing_fields(change: str, kind: str, model: str, mode: Mode, broken: bool, inside: str) -> None:
    def made(*fields: Field) -> Contract:
        closed = model == "closed"
        if inside == "record":
            return contract(*fields, closed=closed)
        part = Field(name="o", type="object", required=True, fields=(KEY, *fields), closed=closed)
        return contract(part if inside == "object" else Field(name="a", type="array", required=True, items=part))

    without, having = made(), made(presence(kind))
    old, new = (without, having) if change == "add" else (having, without)
    findings = check_compatibility([old], new, mode)
    assert bool(findings) == broken
    path = {"record": "x", "object": "o.x", "items": "a[].x"}[inside]
    assert {f.field for f in findings} <= {path}
    assert {f.direction for f in findings} <= {mode.lower()}
    assert breaks(old, new, "FULL") == (breaks(old, new, "BACKWARD") or breaks(old, new, "FORWARD"))


def field(**parts: Any) -> Field:
    return Field(**{"name": "x", "type": "string", "required": True, **parts})


def bounded(type_name: str = "number", **bounds: Any) -> Field:
    return field(type=type_name, bounds=Bounds(**bounds))


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (field(type="integer"), field(type="number")),
        (field(type="timestamp"), field(type="string")),
        (field(type="date"), field(type="string")),
        (field(), field(required=False)),
        (field(), field(required=True, default="d")),
        (field(required=True, default="d"), field(required=False)),
        (field(allowed=("a",)), field(allowed=("a", "b"))),
        (field(allowed=("a",)), field()),
        (field(type="integer", allowed=(1, 2)), bounded("integer", minimum=1, maximum=2)),
        (field(allowed=("ab", "abc")), bounded("string", length_min=2, length_max=3, pattern="^a")),
        (bounded(minimum=1), bounded(minimum=0)),
        (bounded(minimum=0), bounded()),
        (bounded(exclusive_minimum=0), bounded(minimum=0)),
        (bounded(maximum=1), bounded(maximum=2)),
        (bounded(exclusive_maximum=2), bounded(maximum=2)),
        (bounded(maximum=2), bounded()),
        (bounded("string", length_min=2), bounded("string", length_min=1)),
        (bounded("string", length_max=2), bounded("string", length_max=3)),
        (bounded("string", length_max=2), bounded("string")),
        (bounded("string", pattern="a"), bounded("string")),
        (field(type="array", items=field(type="integer")), field(type="array", items=field(type="number"))),
        (field(type="array", items=field()), field(type="array", items=field(required=False))),
        (field(type="object", values=field(type="integer")), field(type="object", values=field(type="number"))),
    ],
)
def test_widening_breaks_old_readers_only_and_narrowing_new_readers_only(narrow: Field, wide: Field) -> None:
    small, large = contract(narrow), contract(wide)
    assert [breaks(small, large, mode) for mode in ("BACKWARD", "FORWARD", "FULL")] == [False, True, True]
    assert [breaks(large, small, mode) for mode in ("BACKWARD", "FORWARD", "FULL")] == [True, False, True]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (field(), field(type="integer")),
        (field(type="timestamp"), field(type="integer")),
        (field(type="array", items=field()), field()),
        (field(type="object", values=field()), field(type="object", fields=(KEY,))),
        (field(allowed=("a", "b")), field(allowed=("b", "c"))),
        (bounded("string", pattern="a"), bounded("string", pattern="b")),
        (bounded(minimum=0, maximum=2), bounded(minimum=1, maximum=3)),
    ],
)
def test_changes_that_break_both_sides(one: Field, other: Field) -> None:
    assert breaks(contract(one), contract(other), "BACKWARD")
    assert breaks(contract(one), contract(other), "FORWARD")


@pytest.mark.parametrize("name", load_contracts(BUILT_IN).types)
def test_a_contract_follows_itself(name: str) -> None:
    same = load_contracts(BUILT_IN).of(name)
    assert check_compatibility([same], same, "FULL_TRANSITIVE") == []


def test_closing_a_contract_breaks_new_readers() -> None:
    (finding,) = check_compatibility([contract()], contract(closed=True), "FULL")
    assert (finding.direction, "closed" in finding.why) == ("backward", True)


def test_a_must_rule_more_breaks_new_readers_and_a_should_rule_none() -> None:
    rule = Rule("r", "id <> 'x'", must=True)
    assert breaks(contract(), contract(rules=(rule,)), "BACKWARD")
    assert not breaks(contract(), contract(rules=(rule,)), "FORWARD")
    assert not breaks(contract(), contract(rules=(replace(rule, must=False),)), "FULL")


def test_other_key_flow_or_major_version_breaks_both_sides() -> None:
    for new in (contract(version="2.0.0"), replace(contract(field()), key="x"), contract(flow="telemetry")):
        findings = check_compatibility([contract(field())], new, "FULL")
        assert {f.direction for f in findings} == {"backward", "forward"}


def test_another_scale_of_a_measure_breaks_sums() -> None:
    old, new = (contract(measures=(Measure(field="x", metric="x", digits=d),), flow="telemetry") for d in (3, 6))
    assert [f.field for f in check_compatibility([old], new, "BACKWARD")] == ["x"]


def test_fields_dropped_for_want_of_a_purpose_may_change_type() -> None:
    old = contract(field(required=False, classification="personal"))
    new = contract(field(required=False, classification="personal", type="integer"))
    assert check_compatibility([old], new, "FULL") == []


@pytest.mark.parametrize("mode", ["BACKWARD", "FORWARD", "FULL"])
def test_only_transitive_modes_look_further_back_than_one_version(mode: Any) -> None:
    first = contract(field(type="integer"), version="1.0.0")
    second = contract(version="1.1.0")  # without x
    third = contract(field(type="string", required=False), version="1.2.0")
    assert check_compatibility([first, second], third, mode) == []
    findings = check_compatibility([first, second], third, f"{mode}_TRANSITIVE")  # type: ignore[arg-type]
    assert {(f.field, f.old, f.new) for f in findings} == {("x", "t@1.0.0", "t@1.2.0")}


def test_mode_none_and_no_older_version_find_nothing() -> None:
    assert check_compatibility([contract(field())], contract(), "NONE") == []
    assert check_compatibility([], contract(), "FULL_TRANSITIVE") == []
