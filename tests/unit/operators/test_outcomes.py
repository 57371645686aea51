from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.clock import DAY, HOUR
from config.events import Event
from operators.case import Case, Plan, Undone
from operators.outcomes import OUTCOME, PATIENCE, note_outcome
from tests.support.approvals import Desk, late
from tests.support.findings import end_of, finding
from tests.support.policies import FACTS, bundle_of, rule

LOOK = rule("look", "last_outcome in ['ineffective', 'inconclusive', 'escalated']", "recommend")
BUSY = rule("busy", "open_remedy != ''", "observe")
NOTIFY = rule("notify", "severity != 'critical'", "act", "notify")
TICKET = rule("ticket", "true", "act", "ticket")
DECLARED = {name: fact | {"description": "d"} for name, fact in (FACTS | {"last_outcome": {"type": "string"}}).items()}


class Acting(Desk):
    """A stage that acts by itself, and hears what came of it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(bundle_of(folder, LOOK, BUSY, NOTIFY, TICKET, facts=DECLARED), mode="act")
        self.records = 0

    def tell(self, action: dict[str, Any], at: int, state: str, **given: Any) -> list[Event]:
        self.records += 1
        told = {name: action[name] for name in ("action_id", "case_id")} | {"case_key": "c1", "seq": self.records}
        told |= {"state": state} | given
        return self.feed(Event(at, f"ledger|{self.records}", "c1", OUTCOME, told, "outcomes/0", self.records))

    def act(self) -> dict[str, Any]:
        self.feed(late())
        (action,) = self.of("action")
        return action


def plan_of(seq: int = 0) -> Case:
    return Case("case-1", "order:1", 0, plan=Plan("a1", "notify", 5 * HOUR, seq=seq), used=["notify"])


def told(state: str, **given: Any) -> dict[str, Any]:
    return {"action_id": "a1", "case_id": "case-1", "state": state, "seq": 1} | given


@pytest.mark.parametrize(
    ("state", "verdict", "last"),
    [
        ("verified", "verified", "verified"),
        ("settled", "verified", "verified"),
        ("settled", None, "settled"),
        ("escalated", "ineffective", "ineffective"),
        ("escalated", None, "escalated"),
        ("compensated", "ineffective", "compensated"),
        ("refused", None, "refused"),
    ],
)
def test_an_outcome_that_is_an_end_ends_the_plan(state: str, verdict: str | None, last: str) -> None:
    case = plan_of()
    assert note_outcome(case, told(state, verdict=verdict), HOUR) == ""
    assert (case.plan, case.last_outcome) == (None, last)
    assert case.used == ([] if state == "refused" else ["notify"])


@pytest.mark.parametrize("state", ["intended", "approved", "dispatched", "unknown", "acknowledged", "ineffective"])
def test_while_an_action_is_under_way_its_plan_is_held_open(state: str) -> None:
    case = plan_of()
    assert note_outcome(case, told(state), 4 * HOUR) == ""
    assert case.plan == Plan("a1", "notify", 4 * HOUR + PATIENCE, state, 1)


def test_only_the_plans_own_outcomes_count_and_in_their_order() -> None:
    case = plan_of(seq=3)
    assert "no longer" in note_outcome(case, told("settled", action_id="a2", seq=4), HOUR)
    assert "later outcome" in note_outcome(case, told("settled", seq=3), HOUR)
    assert case.plan is not None
    assert note_outcome(case, told("settled", seq=4), HOUR) == ""
    assert "no longer" in note_outcome(case, told("settled", seq=5), HOUR)


def test_after_what_did_not_help_a_person_looks_before_more_is_done(tmp_path: Path) -> None:
    desk = Acting(tmp_path)
    action = desk.act()
    desk.feed(late(2 * HOUR, occurrence="a", severity="critical"))
    assert desk.of("decision")[-1]["rule"] == "t/busy"
    desk.tell(action, 3 * HOUR, "acknowledged")
    desk.tell(action, 4 * HOUR, "escalated", verdict="ineffective", reason="The customer has no new date.")
    decision = desk.of("decision")[-1]
    assert (decision["rule"], decision["facts"]["last_outcome"]) == ("t/look", "ineffective")
    desk.feed(late(2 * DAY, occurrence="b", severity="critical"))
    assert len(desk.of("action")) == 1
    assert [each["ignored"] for each in desk.of("outcome.noted")] == ["", ""]


@pytest.mark.parametrize(
    ("state", "verdict", "left"),
    [
        ("settled", "verified", "observe"),
        ("compensated", "ineffective", "observe"),
        ("refused", None, "recommend"),
    ],
)
def test_the_plan_is_free_again_for_another_remedy_and_not_for_the_same(
    tmp_path: Path, state: str, verdict: str | None, left: str
) -> None:
    desk = Acting(tmp_path)
    desk.tell(desk.act(), 2 * HOUR, state, verdict=verdict)
    assert (desk.of("decision")[-1]["outcome"], len(desk.of("action"))) == (left, 1)
    desk.stage.restart()
    desk.feed(late(3 * HOUR, occurrence="a", severity="critical"))
    assert [each["remedy"] for each in desk.of("action")] == ["notify", "ticket"]


def test_an_outcome_of_no_case_or_of_one_that_is_over_decides_nothing(tmp_path: Path) -> None:
    desk = Acting(tmp_path)
    found = finding(kind="order.late", at=HOUR, confidence=0.95)
    desk.feed(found.event("c1"), end_of(found, 2 * HOUR).event("c1"))
    (action,) = desk.of("action")
    assert [event.type for event in desk.tell(action, 3 * HOUR, "settled", verdict="verified")] == ["outcome.noted"]
    made = desk.tell(action | {"case_id": "other"}, 4 * HOUR, "settled")
    assert [(event.type, event.data["ignored"]) for event in made] == [("outcome.ignored", "there is no such case")]
    desk.feed(late(5 * HOUR, occurrence="again"))
    assert desk.of("decision")[-1]["facts"]["last_outcome"] == "verified"
    assert len(desk.of("action")) == 1


@pytest.mark.parametrize(
    ("guarded", "before", "again_at"),
    [(True, None, 9 * HOUR), (False, None, None), (True, "dispatched", None)],
)
def test_only_what_a_guardrail_can_have_withheld_is_done_later(
    guarded: bool, before: str | None, again_at: int | None
) -> None:
    """Whoever may write outcomes must not have a remedy done twice."""
    case = plan_of()
    assert case.plan is not None
    case.plan.guarded = guarded
    if before is not None:
        note_outcome(case, told(before), HOUR)
    note_outcome(case, told("refused", seq=2, guardrails=["few"], again_at=9 * HOUR, reason="Full."), 2 * HOUR)
    assert case.undone["notify"] == Undone(1, "Full.", again_at)
