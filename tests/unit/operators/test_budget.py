from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from config.agents.load import Budget
from config.clock import DAY
from config.events import Event
from config.findings import Finding
from config.policies.versions import load_policy
from operators.budget import Spent, bears
from operators.cases import CaseLogic, CaseSettings
from operators.decide import Decider
from tests.support.findings import Stage, finding


def test_cases_are_borne_while_the_expected_share_of_false_ones_is_within_the_budget() -> None:
    spent: dict[str, Spent] = {}
    confidences = [0.9, 0.6, 0.95, 0.95, 0.95, 0.6]
    borne = [bears(Budget(share=0.2, spare=0.0), spent, "a", 0, each) for each in confidences]
    assert borne == [True, False, True, True, True, True]
    assert (spent["a"].cases, spent["a"].refused) == (5, 1)


def test_so_many_false_ones_as_are_to_spare_are_borne_whatever_their_share() -> None:
    spent: dict[str, Spent] = {}
    assert [bears(Budget(share=0.1, spare=1.0), spent, "a", 0, 0.5) for _ in range(3)] == [True, True, False]


def test_each_day_and_agent_has_a_budget_of_its_own() -> None:
    spent: dict[str, Spent] = {}
    budget = Budget(share=0.1, spare=0.5)
    asked = [("a", 0), ("a", DAY - 1), ("b", DAY - 1), ("a", DAY)]
    assert [bears(budget, spent, agent, at, 0.5) for agent, at in asked] == [True, False, True, True]


@given(st.lists(st.floats(0, 1), max_size=60), st.floats(0, 1), st.floats(0, 3))
def test_expected_false_ones_never_exceed_the_budget(confidences: list[float], share: float, spare: float) -> None:
    spent: dict[str, Spent] = {}
    borne = [each for each in confidences if bears(Budget(share=share, spare=spare), spent, "a", 0, each)]
    assert sum(1 - each for each in borne) <= max(spare, share * len(borne)) + 1e-6
    assert len(borne) + (spent["a"].refused if spent else 0) == len(confidences)


def logic() -> CaseLogic:
    budgets = {"fulfilment": Budget(share=0.1, spare=0.5)}
    return CaseLogic(Decider(load_policy(), "act"), CaseSettings(), budgets=budgets)


def doubtful(number: int, at: int, confidence: float = 0.6) -> Finding:
    return finding(
        **{"customer": f"c{number}", "entity": f"order:{number}", "severity": "high", "at": at},
        confidence=confidence,
        kind="order.promise_passed",
    )


def decisions(emitted: list[tuple[str, Event]]) -> list[tuple[str, str]]:
    return [(event.key, event.data["outcome"]) for _, event in emitted if event.type == "decision"]


def test_case_beyond_the_budget_is_open_and_seen_and_only_watched() -> None:
    emitted = Stage(logic()).feed([doubtful(n, n).event(f"c{n}") for n in (1, 2)], until=DAY)
    assert decisions(emitted) == [("c1", "recommend"), ("c2", "observe")]
    opened = [event.data["change"] for _, event in emitted if event.type == "case.opened"]
    assert [(row["held"], row["status"]) for row in opened] == [(False, "open"), (True, "open")]
    assert [event.id for _, event in emitted if event.type == "finding"] == [doubtful(n, n).finding_id for n in (1, 2)]
    reason = next(event.data["reason"] for _, event in emitted if event.key == "c2" and event.type == "decision")
    assert "budget" in reason


def test_case_beyond_the_budget_is_borne_when_more_is_known_of_it_or_on_another_day() -> None:
    surer = finding(
        customer="c2", entity="order:2", at=5, confidence=0.95, kind="order.promise_at_risk", severity="high"
    )
    again = finding(customer="c3", entity="order:3", at=DAY, confidence=0.6, kind="order.stuck", severity="high")
    events = [doubtful(n, n).event(f"c{n}") for n in (1, 2, 3)] + [surer.event("c2"), again.event("c3")]
    outcomes = decisions(Stage(logic()).feed(events, until=2 * DAY))
    assert [outcome for key, outcome in outcomes if key == "c2"] == ["observe", "act"]
    assert [outcome for key, outcome in outcomes if key == "c3"] == ["observe", "recommend"]


def test_what_was_spent_is_not_forgotten_by_a_restart() -> None:
    events = [doubtful(n, n).event(f"c{n}") for n in range(1, 5)]
    unbroken = Stage(logic()).feed(events, until=DAY)
    stage, broken = Stage(logic()), []
    for event in events:
        broken += stage.feed([event], event.at + 1)
        stage.restart()
    assert broken + stage.feed([], DAY) == unbroken


def test_budget_of_a_group_is_saved_with_what_changed() -> None:
    stage = Stage(logic())
    stage.feed([], until=0)
    deltas = [stage.group.whole()]
    for number in (1, 2):
        stage.feed([doubtful(number, number).event(f"c{number}")], number + 1)
        deltas.append(stage.group.delta())
    restored = Stage(logic())
    restored.group.restore(deltas)
    assert decisions(restored.feed([doubtful(3, 3).event("c3")], 4)) == [("c3", "observe")]
