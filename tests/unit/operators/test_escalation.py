from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.clock import DAY, HOUR
from config.errors import PolicyError
from config.policies.approvals import Rung
from operators.escalation import Told, climb, may_tell, share_of
from tests.support.approvals import Desk, event_of, late, signed
from tests.support.findings import end_of, finding
from tests.support.policies import bundle_of, rule

LADDER = (Rung(4 * HOUR, "duty-manager"), Rung(12 * HOUR, "head"))
APPROVALS: dict[str, Any] = {
    "answer_within": "24h",
    "ladders": {"team-b": [{"after": "4h", "to": "duty-manager"}, {"after": "12h", "to": "head"}]},
}
TICKET = rule("ticket", "true", "approve", "ticket", parameters={"amount": "{money_at_risk}"})


def desk(folder: Path, **approvals: Any) -> Desk:
    return Desk(bundle_of(folder, TICKET, approvals=APPROVALS | approvals))


def told(of: Desk) -> list[tuple[float, str, bool]]:
    return [(each["at"] / HOUR, each["to"], each["notify"]) for each in of.of("approval.escalated")]


def test_a_ladder_is_climbed_in_its_own_time_where_there_is_enough() -> None:
    assert climb(LADDER, 0, HOUR, HOUR, 25 * HOUR) == ([], [(5 * HOUR, "duty-manager"), (13 * HOUR, "head")])


def test_what_is_left_of_a_ladder_shares_a_short_time() -> None:
    assert climb(LADDER, 0, HOUR, HOUR, 4 * HOUR) == ([], [(2 * HOUR, "duty-manager"), (3 * HOUR, "head")])
    assert climb(LADDER, 1, HOUR, HOUR, 4 * HOUR) == (["duty-manager"], [(2.5 * HOUR, "head")])
    assert climb(LADDER, 2, HOUR, HOUR, 4 * HOUR) == (["duty-manager", "head"], [])


def test_a_question_put_again_waits_as_long_as_it_has_waited_already() -> None:
    assert climb(LADDER, 0, HOUR, 3 * HOUR, 27 * HOUR)[1] == [(5 * HOUR, "duty-manager"), (13 * HOUR, "head")]
    assert climb(LADDER, 0, HOUR, 8 * HOUR, 32 * HOUR)[1] == [(8 * HOUR, "duty-manager"), (13 * HOUR, "head")]


@pytest.mark.parametrize(("budget", "groups"), [(24, 16), (3, 16), (16, 16), (1, 1), (7, 3)])
def test_shares_add_up_to_the_budget_and_everybody_has_a_turn(budget: int, groups: int) -> None:
    for day in range(3):
        assert sum(share_of(budget, groups, group, day * DAY) for group in range(groups)) == budget
    over_time = {sum(share_of(budget, groups, group, day * DAY) for day in range(groups)) for group in range(groups)}
    assert over_time == {budget}


def test_a_role_is_told_so_often_a_day_and_no_more() -> None:
    known: dict[str, Told] = {}
    assert [may_tell(known, "duty", DAY + hour, 2) for hour in range(4)] == [True, True, False, False]
    assert may_tell(known, "head", DAY, 2)
    assert may_tell(known, "duty", 2 * DAY, 2)
    assert not may_tell(known, "duty", 3 * DAY, 0)


def test_who_is_told_may_answer_from_then_on(tmp_path: Path) -> None:
    of = desk(tmp_path)
    request = of.ask()
    assert of.refused(request, "ana", role="duty-manager") == "wrong-role"
    of.feed(until=5 * HOUR + 1)
    (escalated,) = of.of("approval.escalated")
    assert (escalated["to"], escalated["notify"], escalated["waited_us"]) == ("duty-manager", True, 4 * HOUR)
    of.stage.restart()
    of.feed(event_of(signed(request, "ana", 6 * HOUR, role="duty-manager"), 6 * HOUR))
    assert of.of("action")[0]["approval"]["approvers"] == ["ana"]
    of.feed(until=30 * DAY)
    assert told(of) == [(5, "duty-manager", True)]


def test_a_request_climbs_its_whole_ladder_and_is_then_denied(tmp_path: Path) -> None:
    of = desk(tmp_path)
    of.ask()
    of.feed(until=30 * DAY)
    assert told(of) == [(5, "duty-manager", True), (13, "head", True)]
    (closed,) = of.of("approval.closed")
    assert (closed["end"], closed["at"]) == ("expired", 25 * HOUR)
    assert "team-b or duty-manager or head" in closed["why"]


def test_nobody_is_told_twice_of_a_case_whose_request_comes_and_goes(tmp_path: Path) -> None:
    of = desk(tmp_path)
    of.ask()
    of.feed(late(3 * HOUR, occurrence="a", money_at_risk=1.0))
    of.feed(late(6 * HOUR, occurrence="b", money_at_risk=2.0))
    found = finding(kind="order.late", at=7 * HOUR, confidence=0.95, occurrence="c", money_at_risk=3.0)
    of.feed(found.event("c1"), end_of(found, 8 * HOUR).event("c1"))
    again = of.ask(late(9 * HOUR, occurrence="d", money_at_risk=4.0))
    assert again["roles"] == ["team-b", "duty-manager"]
    of.feed(until=30 * DAY)
    assert told(of) == [(5, "duty-manager", True), (21, "head", True)]


def test_beyond_the_budget_a_role_may_answer_but_is_not_told(tmp_path: Path) -> None:
    of = desk(tmp_path, escalations_max=1)
    first, second = of.ask(), of.ask(late(HOUR + 1, entity="order:2"))
    of.feed(until=6 * HOUR)
    assert [notify for _, _, notify in told(of)] == [True, False]
    assert "escalations_max" in of.of("approval.escalated")[1]["why"]
    at = 6 * HOUR
    of.feed(*(event_of(signed(each, "ana", at, role="duty-manager"), at) for each in (first, second)))
    assert len(of.of("action")) == 2


@pytest.mark.parametrize(
    ("approvals", "said"),
    [
        ({"answer_within": "soon"}, "answer_within"),
        ({"answer_within": "0s"}, "answer_within is no time"),
        ({"two_people_from": -1}, "two_people_from is below 0"),
        ({"escalations_max": 0}, "nobody would ever be told"),
        ({"ladders": {"a": [{"after": "2h", "to": "x"}, {"after": "2h", "to": "y"}]}}, "not later"),
        ({"ladders": {"a": [{"after": "2h", "to": "The Boss"}]}}, "'The Boss' is no role"),
        ({"ladders": {"a": [{"after": "2h", "who": "x"}]}}, "who"),
    ],
)
def test_a_broken_section_is_refused_with_its_line(tmp_path: Path, approvals: dict[str, Any], said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        desk(tmp_path, **approvals)
    assert said in caught.value.message
    assert "bundle.yaml:" in caught.value.message


def test_without_a_ladder_the_escalation_of_the_bundle_is_told_at_half_the_time(tmp_path: Path) -> None:
    of = Desk(bundle_of(tmp_path, TICKET))
    of.ask()
    of.feed(until=30 * DAY)
    assert told(of) == [(13, "duty-manager", True)]
