"""Playbooks: what loads, what is refused and how it is said, and whether those that come along fit their policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.clock import HOUR, SECOND, from_text
from config.errors import ExpressionError, PlaybookError
from config.expressions import Bound
from config.playbooks.check import mismatches
from config.playbooks.load import FOLDER, load_playbook, load_playbooks
from config.policies.load import DEFAULT_FOLDER, load_bundle, load_default
from tests.support.commands import forestall
from tests.support.playbooks import AT, action, document, step, written


def load(folder: Path, *steps: dict[str, Any], **more: Any) -> Any:
    return load_playbook(written(folder, document("tell", *steps, **more)))


def test_a_playbook_is_what_its_file_says(tmp_path: Path) -> None:
    book = load(tmp_path, step(), step("more", rung=2, irreversible="it is read", inverse=None))
    assert (book.name, book.owner, book.escalation) == ("tell", "customer-operations", "duty-manager")
    assert [(one.id, one.rung, one.timeout) for one in book.steps] == [
        ("message", 1, 5 * SECOND),
        ("more", 2, 5 * SECOND),
    ]
    assert book.steps[0].inverse.within == 24 * HOUR
    assert (book.is_reversible, book.targets, book.always_approved) == (False, {"crm"}, False)
    assert book.step("more") is book.steps[1]
    assert book.step("none") is None


def test_digest_is_of_the_content(tmp_path: Path) -> None:
    one = load(tmp_path)
    file = tmp_path / "tell.yaml"
    file.write_text("# A comment.\n" + file.read_text())
    assert load_playbook(file).digest == one.digest
    assert load(tmp_path, step(timeout="6s")).digest != one.digest


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"playbook": "other"}, ["playbook", "'other'", "file is named"]),
        ({"owner": " "}, ["owner is empty"]),
        ({"steps": []}, ["steps are missing"]),
        ({"steps": [step(), step()]}, ["steps: message", "twice"]),
        ({"steps": [step(rung=2)]}, ["rung", "[2]"]),
        ({"steps": [step("a", rung=2), step("b")]}, ["rung", "[2, 1]"]),
        ({"steps": [step("a"), step("b", rung=3)]}, ["rung"]),
        ({"steps": [step(inverse=None)]}, ["message", "inverse", "irreversible"]),
        (
            {
                "steps": [step(inverse={"operation": "withdraw_message", "within": "30m"})],
                "verify": {"after": "30m", "otherwise": "compensate"},
            },
            ["steps: message: inverse: within", "verify: after", "taken back"],
        ),
        ({"steps": [step(irreversible="so")]}, ["message", "inverse", "irreversible"]),
        ({"steps": [step(target="http://evil")]}, ["steps: message: target", "http://evil"]),
        ({"steps": [step(operation="a/b")]}, ["steps: message: operation", "a/b"]),
        ({"steps": [step(timeout="5")]}, ["timeout", "is no span"]),
        ({"steps": [step(timeout="0s")]}, ["timeout", "no time"]),
        ({"steps": [step(retry={"attempts": 0})]}, ["retry: attempts", "0"]),
        ({"steps": [step(retry={"jitter": 1.0})]}, ["retry: jitter"]),
        ({"steps": [step(entity="custmer")]}, ["steps: message: entity", "'custmer'", "'customer'"]),
        ({"steps": [step(entity="at")]}, ["entity", "does not yield a string", "name 'at' is an instant"]),
        ({"steps": [step(precondition="kind")]}, ["precondition", "does not yield a bool"]),
        ({"steps": [step(precondition="kind ==")]}, ["precondition", "cannot be read"]),
        ({"steps": [step(precondition="fly(kind)")]}, ["precondition", "unknown function 'fly'"]),
        ({"steps": [step(parameters={"n": {"type": "number", "value": "kind"}})]}, ["parameters: n", "number", "str"]),
        ({"inputs": {"at": {"type": "bool"}}}, ["at is declared twice"]),
        ({"steps": [step(colour="red")]}, ["tell.yaml:", "colour", "unknown field", "Known: id, target"]),
        ({"verify": {"holds": "after.x > 0.0"}}, ["verify: holds", "x"]),
        ({"verify": {"holds": "after.trouble"}}, ["verify: holds", "bool"]),
        ({"verify": {"unchanged": ["trouble"]}}, ["verify: unchanged: trouble", "meant to change"]),
        ({"verify": {"otherwise": "pray"}}, ["otherwise"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, changed: dict[str, Any], words: list[str]) -> None:
    changed = dict(changed)
    content = document("tell", verify=changed.pop("verify", {})) | changed
    file = written(tmp_path, content).rename(tmp_path / "tell.yaml")
    with pytest.raises(PlaybookError) as caught:
        load_playbook(file)
    for word in ["tell.yaml", *words]:
        assert word in str(caught.value), str(caught.value)
    assert caught.value.remedy


def test_an_expression_is_tried_on_null_where_its_name_may_be_null(tmp_path: Path) -> None:
    inputs = {"amount": {"type": "number", "nullable": True}}
    bare = step(parameters={"amount": {"type": "number", "value": "amount"}})
    with pytest.raises(PlaybookError, match=r"amount.*NoneType.*'amount' is null"):
        load(tmp_path, bare, inputs=inputs)
    load(
        tmp_path,
        step(parameters={"amount": {"type": "number", "value": "amount == null ? 0.0 : amount"}}),
        inputs=inputs,
    )
    load(tmp_path, step(parameters={"amount": {"type": "number", "value": "amount", "nullable": True}}), inputs=inputs)


def test_both_branches_of_a_condition_are_tried(tmp_path: Path) -> None:
    inputs = {"amount": {"type": "number"}}
    for source in ("amount > 25.0 ? kind : amount", "amount > 25.0 ? amount : kind"):
        with pytest.raises(PlaybookError, match="does not yield a number"):
            load(tmp_path, step(parameters={"amount": {"type": "number", "value": source}}), inputs=inputs)


def test_values_are_those_of_the_action_and_checked(tmp_path: Path) -> None:
    inputs = {"new_date": {"type": "instant"}, "amount": {"type": "number", "nullable": True}}
    book = load(tmp_path, inputs=inputs, facts={"sure": {"type": "bool"}})
    date = "2026-05-01T00:00:00Z"

    def values(**more: Any) -> dict[str, Any]:
        given: dict[str, Any] = {"parameters": {"new_date": date}, "facts": {"sure": True, "other": "x"}}
        return dict(book.values(action(**given | more)))

    found = values()
    assert found["new_date"] == from_text(date)
    assert (found["amount"], found["sure"], found["entity_kind"], found["entity_id"]) == (None, True, "order", "o1")
    assert "other" not in found
    with pytest.raises(ExpressionError, match="fact 'sure'"):
        values(facts={"sure": 1})
    with pytest.raises(ExpressionError, match=r"parameter 'new_date'.*no instant"):
        values(parameters={"new_date": "soon"})
    with pytest.raises(ExpressionError, match="parameter 'amount'"):
        values(parameters={"new_date": date, "amount": float("inf")})


def test_instants_go_out_as_text(tmp_path: Path) -> None:
    book = load(tmp_path, step(parameters={"until": {"type": "instant", "value": "valid_until"}}))
    parameter = book.steps[0].parameters["until"]
    assert parameter.of(Bound(book.values(action(valid_until=AT)))) == "2023-11-14T22:13:20Z"


def test_playbooks_that_come_along_fit_the_policy_that_comes_along() -> None:
    assert mismatches(load_playbooks(), load_default()) == []
    assert mismatches(load_playbooks(), load_bundle(DEFAULT_FOLDER.with_name("hands_on"))) == []


def test_money_is_capped_whatever_is_asked() -> None:
    book = load_playbooks()["goodwill_credit"]
    amount = book.steps[0].parameters["amount"]
    found = {
        value: amount.of(Bound(book.values(action(parameters={"order_value": value})))) for value in (10, 250, 1e6)
    }
    assert found == {10: 1.0, 250: 25.0, 1e6: 25.0}
    assert book.always_approved


def mismatch(folder: Path, name: str, **changed: Any) -> list[str]:
    books = load_playbooks()
    content = document(name, **changed)
    books[name] = load_playbook(written(folder, content))
    return [f"{one.playbook}: {one.trouble}" for one in mismatches(books, load_default())]


def test_what_does_not_fit_the_policy_is_named(tmp_path: Path) -> None:
    found = mismatch(
        tmp_path,
        "page_owner",
        inputs={
            "severity": {"type": "number"},
            "customers": {"type": "number"},
            "release": {"type": "string"},
            "maybe": {"type": "string", "nullable": True},
        },
        facts={"mode": {"type": "bool"}, "nothing": {"type": "bool"}, "lead_hours": {"type": "number"}},
    )
    text = "\n".join(found)
    assert "acts on 'pager', but it acts on crm" in text
    assert "the fact 'mode' as a string, which it wants as a bool" in text
    assert "the fact 'nothing', which the policy does not declare" in text
    assert "the fact 'lead_hours' as a number that may be null" in text
    assert "rule outage/page gives it the parameter 'severity' as a string" in text
    assert "rule outage/page gives it the parameter 'customers' as a number that may be null" in text
    assert "rule outage/page does not give it the parameter 'release'" in text
    assert "maybe" not in text
    irreversible = mismatch(tmp_path, "open_ticket", **{"steps": [step(inverse=None, irreversible="so")]})
    assert irreversible == ["open_ticket: the policy says that it can be undone, but a step of it cannot"]
    assert mismatch(tmp_path, "invent") == ["invent: policy 'default' has no such remedy"]


def test_a_remedy_without_a_playbook_is_named() -> None:
    books = load_playbooks()
    del books["page_owner"]
    (one,) = mismatches(books, load_default())
    assert (one.playbook, "no playbook" in one.trouble) == ("page_owner", True)


def test_command_checks_and_shows(tmp_path: Path) -> None:
    shown = forestall("playbooks", "check")
    assert shown.code == 0
    assert "they fit policy 'default'" in shown.out
    told = forestall("playbooks", "check", "--json").document
    assert told["mismatches"] == []
    assert {one["playbook"] for one in told["playbooks"]} == set(load_playbooks())
    written(tmp_path, document("invent"))
    wrong = forestall("playbooks", "check", tmp_path)
    assert wrong.code == 1
    assert "invent: policy 'default' has no such remedy" in wrong.err
    assert "page_owner" in wrong.err
    (tmp_path / "invent.yaml").write_text("[")
    forestall("playbooks", "check", tmp_path).says(3, "invent.yaml")
    forestall("playbooks", "check", tmp_path / "none").says(3, "no playbooks")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("timeout: 5s", "timeout: 5"),
        ("within: 24h", "within: 0s"),
        ("precondition: new_date > now", "precondition: new_dat > now"),
        ("operation: withdraw_message", "operation: a/b"),
        ("otherwise: escalate", "otherwise: pray"),
        ("patience: 6h", "patience: long"),
    ],
)
def test_a_fault_has_its_line(tmp_path: Path, old: str, new: str) -> None:
    text = (FOLDER / "notify_new_date.yaml").read_text()
    file = tmp_path / "notify_new_date.yaml"
    file.write_text(text.replace(old, new))
    (line,) = [number for number, line in enumerate(text.splitlines(), 1) if old in line]
    with pytest.raises(PlaybookError) as raised:
        load_playbook(file)
    assert f"notify_new_date.yaml:{line}: " in raised.value.message
