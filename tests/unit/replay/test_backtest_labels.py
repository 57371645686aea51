"""What a back-test says of a score."""

from __future__ import annotations

from config.clock import HOUR
from replay.backtest.labels import judged
from replay.score import Row, Score, Verdict
from replay.world.labels import Issue


def verdict(number: int, found_at: int | None, harm_at: int | None = 10 * HOUR) -> Verdict:
    issue = Issue(
        issue_id=str(number), kind="order.stuck", entity=f"order:{number}", agent="fulfilment", customers=["c1"],
        onset=0, ends_at=20 * HOUR, harm_at=harm_at,
    )  # fmt: skip
    return Verdict(issue, found_at, named=True)


def row(entity: str, agent: str, confidence: float) -> Row:
    return {"kind": "order.stuck", "entity": entity, "at": 1, "agent": agent, "confidence": confidence}


def test_a_kind_has_its_recall_precision_and_leads() -> None:
    verdicts = [verdict(1, 2 * HOUR), verdict(2, 6 * HOUR), verdict(3, 11 * HOUR), verdict(4, None)]
    rows = [row(f"order:{n}", "fulfilment", 0.9) for n in (1, 2, 3)]
    (kind,) = judged(Score(verdicts, rows[2:], 0, rows[:2]))["by_kind"]
    assert (kind["found_in_time"], kind["found_late"], kind["missed"], kind["named"]) == (2, 1, 1, 4)
    assert (kind["recall"], kind["precision"]) == (0.5, 0.6667)
    assert kind["lead_hours"] == {"p10": 4.0, "p50": 8.0, "p90": 8.0}


def test_an_agent_s_share_of_false_alarms_stands_beside_its_budget_and_what_it_claims() -> None:
    right = [row("order:1", "fulfilment", 0.9), row("order:2", "fulfilment", 0.8)]
    document = judged(Score([], [row("order:3", "fulfilment", 0.4)], 0, right), budget=0.2)
    (agent,) = document["by_agent"]
    assert agent == {
        "agent": "fulfilment", "right_alarms": 2, "false_alarms": 1, "false_discovery_rate": 0.3333, "budget": 0.2,
        "claimed": 0.3,
    }  # fmt: skip


def test_where_nothing_was_found_nothing_is_claimed() -> None:
    document = judged(Score([verdict(1, None)], [], 0))
    assert document["by_agent"] == []
    assert (document["all"]["recall"], document["all"]["precision"]) == (0.0, None)


def test_what_a_manifest_allows_is_the_budget_unless_another_is_given() -> None:
    result = Score([], [row("order:3", "fulfilment", 0.4)], 0, [])
    allowed = {"fulfilment": 0.05}
    assert judged(result, by_agent=allowed)["by_agent"][0]["budget"] == 0.05
    assert judged(result, by_agent={})["by_agent"][0]["budget"] == 0.1
    assert judged(result, budget=0.3, by_agent=allowed)["by_agent"][0]["budget"] == 0.3
