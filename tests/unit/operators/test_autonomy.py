"""Autonomy is earned by verified outcomes, lost by failed ones, and bounds decisions: the stage and the case stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.clock import DAY, HOUR
from tests.support.autonomy import Steward, bounded_bundle, earned, failed, outcome


@pytest.fixture
def steward(tmp_path: Path) -> Steward:
    return Steward(bounded_bundle(tmp_path))


def test_an_agent_earns_autonomy_by_verified_outcomes_and_loses_it_by_failures(steward: Steward) -> None:
    before = steward.decide(0)
    assert (before["outcome"], before["autonomy"], before["segment"]) == ("approve", "supervised", "other")
    assert "supervised" in before["reason"]
    assert "team-a may change that" in before["reason"]

    now = earned(steward)
    assert steward.moves == [("autonomous", "earned")]
    after = steward.decide(now + HOUR)
    assert (after["outcome"], after["autonomy"]) == ("act", "autonomous")

    steward.feed(failed(now + 2 * HOUR, "f1"))
    assert steward.decide(now + 3 * HOUR)["outcome"] == "act"
    steward.feed(failed(now + 4 * HOUR, "f2"))
    assert steward.moves[1:] == [("supervised", "failures")]
    lost = steward.decide(now + 5 * HOUR)
    assert (lost["outcome"], lost["autonomy"]) == ("approve", "supervised")
    assert "2 actions failed lately" in lost["reason"]

    steward.feed(failed(now + 6 * HOUR, "f3"), failed(now + 7 * HOUR, "f4"))
    assert steward.moves[2:] == [("recommend", "failures")]
    assert steward.decide(now + 8 * HOUR)["outcome"] == "recommend"

    steward.feed(until=now + 7 * HOUR + 5 * DAY + 1)
    assert steward.moves[3:] == [("supervised", "probation-over")]
    assert steward.decide(now + 6 * DAY)["outcome"] == "approve"
    now = earned(steward, at=now + 7 * DAY, name="b")
    assert steward.moves[4:] == [("autonomous", "earned")]
    assert steward.decide(now + HOUR)["outcome"] == "act"


def test_the_evidence_of_a_change_is_told(steward: Steward) -> None:
    earned(steward)
    (change,) = steward.of("autonomy.changed")
    counted = steward.of("autonomy.counted")
    assert change["evidence"]["outcomes"] == change["evidence"]["verified"] >= 5
    assert change["evidence"]["success_low"] >= 0.6
    assert (change["before"], change["owner"], change["barred_until"]) == ("supervised", "team-a", None)
    assert [each["changed"] for each in counted].count(True) == 1
    assert "more verified actions" in counted[0]["missing"][0]
    assert counted[-1]["missing"] == []


def test_outcomes_that_come_again_count_once(steward: Steward) -> None:
    for at in range(1, 8):
        steward.feed(outcome(at * HOUR, "a0", seq=1))
    assert steward.moves == []
    assert len(steward.of("autonomy.counted")) == 1
    assert {each["ignored"] for each in steward.of("autonomy.ignored")} == {
        "this outcome of the action, or a later one, was counted already"
    }


def test_names_that_the_policy_does_not_know_count_for_nothing(steward: Steward) -> None:
    wrong = ({"agent": "nobody"}, {"remedy": "bribe"}, {"segment": "vip"}, {"agent": None}, {"agent": "a/b"})
    steward.feed(*(outcome(HOUR, f"a{number}", **names) for names in wrong for number in range(10)))
    assert steward.moves == []
    assert steward.of("autonomy.counted") == []
    assert len(steward.of("autonomy.ignored")) == 50
    assert steward.stage.group.keys == 0
