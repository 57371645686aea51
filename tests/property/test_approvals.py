"""No effect without consent: whatever people and forgers send, in any order, an oracle that knows only who may consent
and who did comes to the same actions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from config.clock import DAY, HOUR
from config.events import Event
from config.policies.versions import Versions
from operators.cases import CaseLogic, CaseSettings
from operators.decide import Decider
from tests.support.approvals import DUTY, event_of, keys_of, public_key, signed
from tests.support.examples import examples
from tests.support.findings import Stage, finding
from tests.support.policies import bundle_of, rule

REVOKED = 6 * HOUR
KEYS = keys_of(public_key("maria"), public_key("joao"), public_key("rui", revoked_at=REVOKED), public_key("ana", DUTY))
MAY = {"maria": 10 * DAY, "joao": 10 * DAY, "rui": REVOKED}
"""Who may consent for the owner of the rule, until when."""
EXPIRY = HOUR + DAY


@dataclass(frozen=True)
class Sent:
    """An answer as it is sent."""

    order: int
    by: str
    says: str
    at: int
    forged: bool
    tampered: bool
    again: bool
    """Once more, ten minutes later."""


SENT = st.builds(
    Sent,
    order=st.integers(0, 1),
    by=st.sampled_from(["maria", "joao", "rui", "ana", "nobody", "agent:fulfilment"]),
    says=st.sampled_from(["approve"] * 4 + ["reject"]),
    at=st.integers(HOUR + 1, 30 * HOUR),
    forged=st.sampled_from([False] * 4 + [True]),
    tampered=st.sampled_from([False] * 4 + [True]),
    again=st.booleans(),
)


@pytest.fixture(scope="module")
def logic(tmp_path_factory: pytest.TempPathFactory) -> CaseLogic:
    folder: Path = tmp_path_factory.mktemp("bundle")
    rules = (
        rule("credit", "money_at_risk >= 50.0", "approve", "credit"),
        rule("ticket", "true", "approve", "ticket"),
    )
    return CaseLogic(Decider(Versions((bundle_of(folder, *rules),))), CaseSettings(), keys=KEYS)


def consented(sent: list[Sent], order: int) -> list[str] | None:
    """Return who consented to the remedy of an order, naively; None where too few did, or somebody said no in time."""
    people: list[str] = []
    for each in sent:
        valid = each.at < min(MAY.get(each.by, 0), EXPIRY) and not each.forged and not each.tampered
        if each.order != order or not valid:
            continue
        if each.says == "reject":
            return None
        if each.by not in people:
            people.append(each.by)
        if len(people) == (2 if order == 0 else 1):
            return people
    return None


@examples(150)
@given(sent=st.lists(SENT, max_size=14))
def test_actions_are_just_those_that_enough_people_consented_to_in_time(logic: CaseLogic, sent: list[Sent]) -> None:
    stage = Stage(logic)
    found = [
        finding(kind="order.late", at=HOUR, entity=f"order:{order}", money_at_risk=money).event("c1")
        for order, money in ((0, 80.0), (1, 10.0))
    ]
    out = [event for _, event in stage.feed(found, HOUR + 1)]
    requests = {
        int(event.data["action"]["entity"][-1]): event.data for event in out if event.type == "approval.requested"
    }
    sent = sorted([*sent, *(replace(each, at=each.at + 600_000_000) for each in sent if each.again)], key=_when)
    # One after the other, so that the oracle need not know what comes first at one instant.
    sent = [replace(each, at=each.at + number) for number, each in enumerate(sent)]
    events: list[Event] = []
    for each in sent:
        answer = signed(requests[each.order], each.by, each.at, signer="ana" if each.forged else "", answer=each.says)
        if each.tampered:
            answer = changed(answer, answered_at=each.at - 1)
        events.append(event_of(answer, each.at))
    out += [event for _, event in stage.feed(events, 60 * DAY)]

    def of(kind: str) -> list[Any]:
        return [event.data for event in out if event.type == kind]

    expected = {order: people for order in (0, 1) if (people := consented(sent, order)) is not None}
    assert {int(each["entity"][-1]): each["approval"]["approvers"] for each in of("action")} == expected
    assert len(of("approval.counted")) + len(of("approval.refused")) == len(sent)
    assert all(each["reason"] and each["detail"] for each in of("approval.refused"))
    assert len(of("approval.closed")) == len(of("approval.requested")) == 2


def _when(each: Sent) -> int:
    return each.at
