"""Actions as they come in: strict, and within bounds."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from config.actions import BYTES_MAX, NAMES_MAX, TEXT_MAX, Approval, decode_action, encode_action
from config.errors import InputError
from tests.support.playbooks import AT, action

BARE: dict[str, Any] = {
    "action_id": "a1",
    "case_id": "c1",
    "decision_id": "d1",
    "remedy": "tell",
    "target": "crm:order:o1",
    "at": AT,
    "valid_until": AT,
}


def test_what_was_encoded_is_decoded() -> None:
    one = action(parameters={"a": 1.5, "b": None}, facts={"c": True}, approval=Approval("r1", ["bob"]))
    assert decode_action(encode_action(one)) == one


def test_what_is_not_said_has_a_default_and_what_is_new_is_passed_over() -> None:
    one = decode_action(orjson.dumps(BARE | {"colour": "red"}))
    assert (one.about, one.customer, one.approval, one.facts) == ("order:o1", "", None, {})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"action_id": None}, "action_id"),
        ({"action_id": "a/../b"}, "action_id is no name"),
        ({"action_id": ""}, "action_id is no name"),
        ({"remedy": "x" * 101}, "remedy is no name"),
        ({"at": "now"}, "at"),
        ({"at": 2**62}, "at is no instant"),
        ({"valid_until": 1.5}, "valid_until"),
        ({"target": "crm"}, "entity is missing"),
        ({"customer": "x" * (TEXT_MAX + 1)}, "customer is no text"),
        ({"entity": "a\0b"}, "entity is no text"),
        ({"parameters": {"a": [1]}}, "parameters"),
        ({"parameters": {str(n): 1 for n in range(NAMES_MAX + 1)}}, "parameters are too many"),
        ({"facts": {"a": "x" * (TEXT_MAX + 1)}}, "facts are too many or too long"),
        ({"approval": {"request_id": "r1"}}, "approvers"),
        ({"agent": "x" * BYTES_MAX}, f"{BYTES_MAX}"),
    ],
)
def test_what_is_beyond_bounds_is_refused_by_its_field(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        decode_action(orjson.dumps(BARE | changed))
    assert words in str(caught.value)
    assert "x" * 50 not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"\xff"])
def test_what_is_no_action_is_refused(body: bytes) -> None:
    with pytest.raises(InputError, match="no action"):
        decode_action(body)


def withheld(**changed: Any) -> bytes:
    told = {"action_id": "a1", "case_id": "c1", "at": AT, "reason": "r", "again_at": AT + 1, "action": BARE}
    return orjson.dumps(told | {"guardrails": [{"guardrail": "few", "owner": "o"}]} | changed)


def test_what_a_guardrail_withheld_is_told_from_what_is_to_be_done() -> None:
    one = decode_action(withheld())
    assert one.withheld is not None
    assert (one.action_id, one.withheld.guardrails, one.withheld.again_at) == ("a1", ["few"], AT + 1)
    assert decode_action(encode_action(one)) == one
    assert decode_action(withheld(again_at=None)).withheld is not None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"guardrails": []}, "guardrails are none"),
        ({"guardrails": [{"guardrail": "x" * (TEXT_MAX + 1)}]}, "too long"),
        ({"again_at": 2**62}, "again_at is no instant"),
        ({"action": BARE | {"action_id": ""}}, "action_id is no name"),
        ({"guardrails": "few"}, "no action"),
        ({"action": None}, "no action"),
    ],
)
def test_what_is_told_to_be_withheld_is_never_taken_for_what_is_to_be_done(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        decode_action(withheld(**changed))
