from __future__ import annotations

from pathlib import Path

import pytest

from config.ownership import KINDS, Owned, asked, misspelt, owned
from tests.support.approvals import keys_of, public_key
from tests.support.policies import bundle_of, rule

LADDERS = {"ladders": {"team-b": [{"after": "1h", "to": "boss"}, {"after": "2h", "to": "board"}]}}
LIMIT = {"description": "d", "per": "customer", "most": 1, "within": "1d", "then": "approve", "owner": "team-g"}


def test_whoever_a_rule_or_guardrail_or_ladder_may_ask_is_named_with_why(tmp_path: Path) -> None:
    bundle = bundle_of(
        tmp_path,
        rule("shows", "confidence > 0.9", "recommend", "ticket", owner="team-r"),
        rule("asks", "confidence > 0.8", "approve", "credit"),
        rule("acts", "confidence > 0.7", "act", "notify", owner="team-a"),
        approvals=LADDERS,
        guardrails={"limits": {"few": LIMIT, "shown": LIMIT | {"then": "recommend", "owner": "team-s"}}},
    )
    assert {each.role: each.why for each in asked(bundle, keys_of(), 0)} == {
        "board": ("ladder of team-b",),
        "boss": ("ladder of team-b",),
        "duty-manager": ("escalation of the policy",),
        "team-a": ("rule t/acts",),
        "team-b": ("rule t/asks",),
        "team-g": ("guardrail few",),
    }


@pytest.mark.parametrize(("at", "people"), [(9, ("zoe",)), (10, ("ana", "zoe")), (19, ("ana", "zoe")), (20, ("zoe",))])
def test_people_are_those_whose_key_is_valid_then(tmp_path: Path, at: int, people: tuple[str, ...]) -> None:
    ana = public_key("ana", "duty-manager", valid_from=10, revoked_at=20)
    keys = keys_of(ana, public_key("zoe", "duty-manager"), public_key("max", "team-b"))
    (role,) = asked(bundle_of(tmp_path), keys, at)
    assert (role.role, role.people) == ("duty-manager", people)


def test_all_that_a_policy_holds_is_owned(tmp_path: Path) -> None:
    things = owned([], [], bundle_of(tmp_path, rule("a", "true"), guardrails={"limits": {"few": LIMIT}}), [])
    assert {thing.kind for thing in things} <= set(KINDS)
    assert Owned("rules", "t/a", "team-b") in things
    assert Owned("remedies", "credit", "team-a") in things
    assert Owned("guardrails", "few", "team-g") in things


def test_a_name_that_owns_one_thing_and_is_nearly_another_looks_misspelt() -> None:
    names = {"customer-operations": 5, "customer-opreations": 1, "platform": 1, "platfrom": 2, "billing": 1}
    assert misspelt(names) == {"customer-opreations": "customer-operations", "platform": "platfrom"}
    assert misspelt({"team-alpha": 1, "team-alphb": 1}) == {}
