"""Autonomy is earned by verified outcomes, lost by failed ones, and bounds decisions: the stage and the case stage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.clock import DAY, HOUR, to_text
from config.errors import RecoveryError
from config.events import Event
from config.findings import DATA_QUALITY
from config.policies.bundle import Bundle
from operators.autonomy import Ledger, Trial, apply, evidence_of, judge, level_of, missing, note, trial_of
from operators.feature_drift import BEGUN, ENDED
from operators.keyed import KeyedGroup
from operators.standing import CHANGED
from tests.support.autonomy import EASY, LIMIT, NOTIFY, Steward, bounded_bundle, earned, failed, outcome
from tests.support.policies import bundle_of, rule

DEAR: dict[str, Any] = {"name": "dear", "when": "money_at_risk > 100.0", "description": "d"}
START = {"start": "autonomous"}


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


def test_an_approved_action_counts_as_any_other(steward: Steward) -> None:
    """So autonomy is earned: people consent, the action is carried out, and its outcome says its segment again."""
    steward.decide(HOUR)
    (request,) = steward.desk.of("approval.requested")
    steward.desk.answer(request, "maria")
    (action,) = steward.desk.of("action")
    assert (action["segment"], action["autonomy"], action["agent"]) == ("other", "supervised", "fulfilment")
    names = {name: action[name] for name in ("agent", "remedy", "segment", "case_id")}
    steward.feed(outcome(3 * HOUR, action["action_id"], case_key="c0", **names))
    (counted,) = steward.of("autonomy.counted")
    assert counted["verified"]


def test_what_is_recommended_only_cannot_be_consented_to(steward: Steward) -> None:
    steward.decide(HOUR)
    (request,) = steward.desk.of("approval.requested")
    steward.feed(failed(2 * HOUR, "f1"), failed(2 * HOUR, "f2"))
    assert steward.moves == [("recommend", "failures")]
    steward.desk.answer(request, "maria", at=3 * HOUR)
    (refused,) = steward.desk.of("approval.refused")
    assert (refused["reason"], steward.desk.ended) == ("stale", ["withdrawn"])
    assert steward.desk.of("action") == []


def test_segments_earn_apart(tmp_path: Path) -> None:
    steward = Steward(bounded_bundle(tmp_path, segments=[DEAR]))
    now = earned(steward)
    assert steward.decide(now + HOUR, money_at_risk=100.0)["outcome"] == "act"
    dear = steward.decide(now + 2 * HOUR, money_at_risk=101.0)
    assert (dear["outcome"], dear["segment"]) == ("approve", "dear")


def test_a_version_that_lowers_the_ceiling_holds_back_what_was_earned(tmp_path: Path) -> None:
    first = bounded_bundle(tmp_path / "1")
    second = bounded_bundle(tmp_path / "2", {"ceiling": "supervised"})
    steward = Steward(first, replace(second, version="2.0.0", effective_from=5 * DAY))
    now = earned(steward)
    assert steward.decide(now + HOUR)["outcome"] == "act"
    held = steward.decide(5 * DAY)
    assert (held["outcome"], held["autonomy"]) == ("approve", "supervised")
    assert "A trial" in held["reason"]


def test_a_name_that_would_make_one_key_of_two_counts_for_nothing(tmp_path: Path) -> None:
    remedies = {"a/b": {"system": "crm", "valid_for": "4h", "description": "d"}}
    steward = Steward(bundle_of(tmp_path, rule("r", "true"), remedies=remedies, autonomy={"limits": [EASY]}))
    steward.feed(failed(HOUR, "a", remedy="a/b"))
    assert [each["ignored"] for each in steward.of("autonomy.ignored")] == ["the policy knows no such remedy"]


def test_a_ceiling_is_not_passed_whatever_was_earned(tmp_path: Path) -> None:
    steward = Steward(bounded_bundle(tmp_path, {"ceiling": "supervised"}))
    now = earned(steward, count=20)
    assert steward.moves == []
    assert steward.of("autonomy.counted")[-1]["missing"] == []
    assert steward.decide(now + HOUR)["outcome"] == "approve"


def test_what_begins_as_recommended_stays_so_and_says_why(tmp_path: Path) -> None:
    steward = Steward(bounded_bundle(tmp_path, {"start": "recommend"}))
    now = earned(steward, count=20)
    assert steward.moves == []
    assert steward.of("autonomy.counted")[-1]["missing"] == [
        "it begins there, and is not carried out: team-a may let it begin higher"
    ]
    assert steward.decide(now + HOUR)["outcome"] == "recommend"


def test_a_remedy_that_no_limit_speaks_of_is_not_bounded(tmp_path: Path) -> None:
    steward = Steward(bounded_bundle(tmp_path, {"remedy": "credit", "start": "recommend"}))
    decision = steward.decide(HOUR)
    assert decision["outcome"] == "act"
    assert "autonomy" not in decision
    steward.feed(outcome(2 * HOUR, "a"))
    assert steward.out == []


def test_a_bundle_without_limits_hears_nothing(tmp_path: Path) -> None:
    steward = Steward(bundle_of(tmp_path, rule("notify", "true", "act", "notify")))
    steward.feed(failed(HOUR, "a"), failed(HOUR, "b"))
    assert steward.out == []
    assert steward.decide(2 * HOUR)["outcome"] == "act"


def drift(at: int, kind: str, feature: str = "order_progress.items", model: str = "complaint") -> Event:
    data = {"model": model, "feature": feature, "since": at - HOUR, "at": at}
    return Event(at, f"{kind} {feature} {at}", model, kind, data)


def test_drift_holds_all_of_an_agent_until_it_has_ended(tmp_path: Path) -> None:
    steward = Steward(bounded_bundle(tmp_path, START))
    given: dict[str, Any] = {"agent": "experience"}
    steward.feed(drift(HOUR, BEGUN), drift(HOUR, BEGUN, "order_progress.price"))
    held = steward.decide(2 * HOUR, **given)
    assert (held["outcome"], held["autonomy"]) == ("approve", "supervised")
    assert "order_progress.items of what its model reads is not as it was" in held["reason"]
    assert steward.decide(3 * HOUR)["outcome"] == "act"  # of another agent
    steward.feed(drift(4 * HOUR, ENDED, "order_progress.price"))
    assert steward.decide(4 * HOUR + 2, **given)["outcome"] == "approve"
    steward.feed(drift(5 * HOUR, ENDED))
    assert steward.decide(6 * HOUR, **given)["outcome"] == "act"
    assert steward.moves == [("supervised", "drift"), ("", "drift-over")]
    assert steward.stage.group.keys == 1  # under BROADCAST


def versions(folder: Path, *bounded: bool) -> list[Bundle]:
    """Return a version of a policy for each day from the first on, which bounds what is done, or does not."""
    bundles = [
        bounded_bundle(folder / str(day), START) if bounds else bundle_of(folder / str(day), NOTIFY)
        for day, bounds in enumerate(bounded)
    ]
    return [replace(each, version=f"{day}.0.0", effective_from=day * DAY) for day, each in enumerate(bundles)]


def test_a_drift_that_begins_or_ends_under_a_version_that_bounds_nothing_holds_under_the_next(tmp_path: Path) -> None:
    steward = Steward(*versions(tmp_path, False, True, False, True))
    given: dict[str, Any] = {"agent": "experience"}
    steward.feed(drift(HOUR, BEGUN))
    assert steward.decide(2 * HOUR, **given)["outcome"] == "act"
    assert steward.decide(DAY, **given)["outcome"] == "approve"
    steward.feed(drift(2 * DAY + HOUR, ENDED))
    assert steward.decide(3 * DAY, **given)["outcome"] == "act"
    assert [(each["owner"], each["cause"]) for each in steward.of(CHANGED)] == [
        ("team-a", "drift"),
        ("team-a", "drift-over"),
    ]


def test_a_probation_that_ends_under_a_version_that_bounds_nothing_is_over_under_the_next(tmp_path: Path) -> None:
    steward = Steward(*versions(tmp_path, True, True, False, False, False, False, False, True))
    steward.feed(*(failed(HOUR + number, f"f{number}") for number in range(4)))
    steward.feed(until=7 * DAY + 1)
    assert steward.moves == [("supervised", "failures"), ("recommend", "failures"), ("supervised", "probation-over")]
    assert steward.decide(7 * DAY + 2)["outcome"] == "approve"


@pytest.mark.parametrize(("version", "words"), [(0, "version 0, which was never released"), (99, "version 99")])
def test_a_state_of_another_version_is_refused(steward: Steward, version: int, words: str) -> None:
    steward.feed(outcome(HOUR, "a"))
    logic = steward.stage.logic
    logic.state_version, today = version, logic.state_version
    written = steward.stage.group.whole()
    logic.state_version = today
    with pytest.raises(RecoveryError) as refused:
        KeyedGroup(logic, ["in"]).restore([written])
    assert f"stage autonomy: recovered state is of {words}" in refused.value.message
    assert refused.value.remedy


def test_nothing_is_earned_while_an_agents_model_has_drifted(steward: Steward) -> None:
    steward.feed(drift(HOUR // 2, BEGUN))
    for number in range(8):
        steward.feed(outcome((1 + number) * HOUR, f"a{number}", agent="experience"))
    assert steward.moves == [("supervised", "drift")]
    steward.feed(drift(9 * HOUR, ENDED), outcome(10 * HOUR, "a9", agent="experience"))
    assert steward.moves[1:] == [("", "drift-over"), ("autonomous", "earned")]


def test_a_fall_stays_while_a_drift_comes_and_goes(tmp_path: Path) -> None:
    steward = Steward(bounded_bundle(tmp_path, {"start": "supervised"}))
    names: dict[str, Any] = {"agent": "experience"}
    steward.feed(drift(HOUR, BEGUN), failed(2 * HOUR, "f1", **names), failed(2 * HOUR, "f2", **names))
    assert steward.decide(3 * HOUR, **names)["outcome"] == "recommend"
    steward.feed(drift(4 * HOUR, ENDED))
    assert steward.decide(5 * HOUR, **names)["outcome"] == "recommend"


def test_a_probation_that_ends_while_a_model_has_drifted_lets_people_be_asked_again(tmp_path: Path) -> None:
    """Nothing would be heard of it else: what is only shown is never carried out."""
    steward = Steward(bounded_bundle(tmp_path))
    names: dict[str, Any] = {"agent": "experience"}
    steward.feed(failed(HOUR, "f1", **names), failed(HOUR, "f2", **names), drift(2 * HOUR, BEGUN))
    steward.feed(until=HOUR + 5 * DAY + 1)
    assert steward.moves == [("recommend", "failures"), ("supervised", "drift"), ("supervised", "probation-over")]
    assert steward.decide(6 * DAY, **names)["outcome"] == "approve"


@pytest.mark.parametrize(("quality", "expected"), [(0.8, "act"), (0.79, "approve"), (float("nan"), "approve")])
def test_on_poor_data_consent_is_asked_for(tmp_path: Path, quality: float, expected: str) -> None:
    steward = Steward(bounded_bundle(tmp_path, START))
    decision = steward.decide(HOUR, features={DATA_QUALITY: quality})
    assert decision["outcome"] == expected
    assert ("its data are of quality" in decision["reason"]) is (expected == "approve")
    assert steward.decide(2 * HOUR)["outcome"] == "act"


def test_the_state_survives_a_restart(steward: Steward) -> None:
    for number in range(4):
        steward.feed(outcome((1 + number) * HOUR, f"a{number}"))
    steward.stage.restart()
    steward.desk.stage.restart()
    steward.feed(outcome(6 * HOUR, "a4"))
    steward.stage.restart()
    steward.desk.stage.restart()
    assert steward.moves == [("autonomous", "earned")]
    assert steward.decide(7 * HOUR)["outcome"] == "act"


def told(state: str, verdict: str | None = None, *, collateral: bool | None = None) -> dict[str, Any]:
    return {"action_id": "a", "state": state, "seq": 1, "verdict": verdict, "collateral": collateral}


@pytest.mark.parametrize(
    ("said", "verified", "failed_", "false"),
    [
        (told("settled", "verified"), True, False, False),
        (told("verified", "verified", collateral=False), True, False, False),
        (told("settled", "verified", collateral=True), False, False, True),
        (told("settled"), False, False, False),
        (told("settled", "inconclusive"), False, False, False),
        (told("escalated", "inconclusive"), False, False, False),
        (told("escalated", "ineffective"), False, True, False),
        (told("escalated", "verified"), False, True, False),
        (told("escalated"), False, True, False),
        (told("compensated", "verified"), False, True, True),
        (told("compensated", "ineffective"), False, True, True),
        (told("compensated", "inconclusive"), False, True, True),
    ],
)
def test_what_an_outcome_says_of_its_action(said: dict[str, Any], verified: bool, failed_: bool, false: bool) -> None:
    assert trial_of(said, HOUR) == Trial(HOUR, "a", 1, verified, failed_, false)


@pytest.mark.parametrize(
    "state", ["intended", "approved", "dispatched", "unknown", "acknowledged", "ineffective", "refused"]
)
def test_an_action_that_was_not_carried_out_to_its_end_says_nothing(state: str) -> None:
    assert trial_of(told(state, "ineffective"), HOUR) is None


def test_an_outcome_is_not_of_later_than_it_came_and_a_bad_one_not_of_earlier() -> None:
    for state, verdict, collateral, earliest in (
        ("settled", "verified", False, 1),
        ("settled", "inconclusive", False, 1),
        ("settled", "verified", True, HOUR),
        ("escalated", "ineffective", False, HOUR),
        ("compensated", None, False, HOUR),
    ):
        said = told(state, verdict) | {"collateral": collateral}
        later, earlier = (trial_of(said | {"at": at}, HOUR) for at in (5 * HOUR, 1))
        assert (later and later.at, earlier and earlier.at) == (HOUR, earliest)


def test_a_clock_that_stands_still_hides_no_failure(tmp_path: Path) -> None:
    steward = Steward(bounded_bundle(tmp_path, START))
    bad = [failed(60 * DAY + number * HOUR, f"f{number}") for number in range(2)]
    good = [outcome(70 * DAY + number, f"v{number}") for number in range(20)]
    for event in (*bad, *good):
        event.data["at"] = HOUR
    steward.feed(*bad)
    assert steward.moves == [("supervised", "failures")]
    # What helped and is told again later is still old.
    steward.feed(*good)
    assert steward.moves == [("supervised", "failures")]


def trials(*kinds: str, at: int = HOUR, every: int = 0) -> list[Trial]:
    return [
        Trial(at + number * every, f"{number:04d}", 1, kind == "verified", kind == "failed", kind == "false")
        for number, kind in enumerate(kinds)
    ]


def test_bounds_decide_exactly(tmp_path: Path) -> None:
    ledger = Ledger(trials=trials(*["verified"] * 9, "unclear"))
    low, high = evidence_of(ledger, LIMIT, HOUR).success_low, evidence_of(ledger, LIMIT, HOUR).false_high
    assert judge(ledger, replace(LIMIT, success_min=low, false_max=high), HOUR) is not None
    assert judge(ledger, replace(LIMIT, success_min=low + 1e-9), HOUR) is None
    assert judge(ledger, replace(LIMIT, false_max=high - 1e-9), HOUR) is None
    assert judge(ledger, replace(LIMIT, verified_min=9), HOUR) is not None
    assert judge(ledger, replace(LIMIT, verified_min=10), HOUR) is None


def test_what_is_surely_not_kept_is_lost_and_what_cannot_be_told_is_not() -> None:
    limit = replace(LIMIT, start="autonomous", failures=20, judged_from=6)
    ledger = Ledger(trials=trials("verified", *["unclear"] * 5))
    high = evidence_of(ledger, limit, HOUR).success_high
    move = judge(ledger, replace(limit, success_min=high + 1e-9), HOUR)
    assert move is not None
    assert (move.level, move.cause) == ("supervised", "bounds")
    assert judge(ledger, replace(limit, success_min=high), HOUR) is None
    assert judge(ledger, replace(limit, success_min=1.0, judged_from=7), HOUR) is None
    false = Ledger(trials=trials(*["verified"] * 3, *["false"] * 3))
    low = evidence_of(false, limit, HOUR).false_low
    assert judge(false, replace(limit, success_min=0, false_max=low), HOUR) is None
    worse = judge(false, replace(limit, success_min=0, false_max=low - 1e-9), HOUR)
    assert worse is not None
    assert "actions are false" in worse.reason


def test_failures_count_within_their_time_alone() -> None:
    limit = replace(LIMIT, failures=2, failures_within=3 * DAY)
    ledger = Ledger(trials=trials("failed", "failed", every=3 * DAY - 1))
    assert judge(ledger, limit, HOUR + 3 * DAY - 1) is not None
    assert judge(ledger, limit, HOUR + 3 * DAY) is None


def test_after_a_fall_nothing_is_earned_for_a_probation_and_only_what_is_heard_later_counts() -> None:
    ledger = Ledger(trials=trials(*["verified"] * 9, "failed", "failed"))
    ledger.level = "autonomous"
    move = judge(ledger, LIMIT, HOUR)
    assert move is not None
    apply(ledger, move, LIMIT, HOUR)
    assert (ledger.level, ledger.barred_until, ledger.changes) == ("supervised", HOUR + LIMIT.probation, 1)
    assert evidence_of(ledger, LIMIT, HOUR).outcomes == 0
    ledger.trials = trials(*["verified"] * 9, at=HOUR + 1)
    assert missing(ledger, LIMIT, 2 * HOUR) == ["the end of its probation"]
    assert judge(ledger, LIMIT, HOUR + LIMIT.probation - 1) is None
    risen = judge(ledger, LIMIT, HOUR + LIMIT.probation)
    assert risen is not None
    assert risen.cause == "earned"


def test_old_outcomes_make_room_and_do_not_come_back() -> None:
    limit, ledger = replace(LIMIT, last=3), Ledger()
    for trial in trials(*["verified"] * 5, every=HOUR):
        assert note(ledger, trial, limit, 5 * HOUR) == ""
    assert [each.action_id for each in ledger.trials] == ["0002", "0003", "0004"]
    for trial in trials("verified", "verified", every=HOUR):
        assert note(ledger, trial, limit, 6 * HOUR) == "it is older than the outcomes that count"
    # What is newly told of an old action counts all the same: it was taken back.
    late = Trial(6 * HOUR, "0000", 2, False, True, True)
    assert note(ledger, late, limit, 6 * HOUR) == ""
    assert ledger.trials[-1] == late


def test_a_later_outcome_of_an_action_counts_although_its_clock_went_backwards() -> None:
    ledger = Ledger()
    assert note(ledger, Trial(5 * HOUR, "a", 1, True, False, False), LIMIT, 6 * HOUR) == ""
    assert note(ledger, Trial(-50 * DAY, "a", 2, False, True, True), LIMIT, 6 * HOUR) == ""
    assert ledger.trials == [Trial(5 * HOUR, "a", 2, False, True, True)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_outcomes_of_an_action_it_is_no_matter_which_comes_first(order: tuple[int, int]) -> None:
    two = Trial(5 * HOUR, "a", 1, True, False, False), Trial(2 * HOUR, "a", 2, False, False, False)
    ledger = Ledger()
    for each in order:
        note(ledger, two[each], LIMIT, 6 * HOUR)
    assert ledger.trials == [Trial(5 * HOUR, "a", 2, False, False, False)]


def test_levels_follow_a_policy_that_lowers_the_ceiling() -> None:
    ledger = Ledger(level="autonomous")
    assert level_of(ledger, replace(LIMIT, ceiling="supervised")) == "supervised"
    assert level_of(ledger, LIMIT) == "autonomous"


def test_defaults_of_a_limit_can_be_earned(tmp_path: Path) -> None:
    """Thirty verified actions and no false one do."""
    defaults: dict[str, Any] = {name: {} for name in ("evidence", "promotion", "demotion")}
    limit = bounded_bundle(tmp_path, EASY | defaults).autonomy.limits[0]
    ledger = Ledger(trials=trials(*["verified"] * 29))
    assert judge(ledger, limit, HOUR) is None
    ledger.trials = trials(*["verified"] * 30)
    assert judge(ledger, limit, HOUR) is not None


def test_what_was_earned_lapses_when_nothing_is_heard_for_too_long(steward: Steward) -> None:
    now = earned(steward)
    within = LIMIT.within
    steward.feed(until=now + within)  # up to then, exclusively
    assert steward.moves == [("autonomous", "earned")]
    steward.feed(until=now + within + 1)
    assert steward.moves[1:] == [("supervised", "lapsed")]
    assert steward.decide(now + within + HOUR)["outcome"] == "approve"
    now = earned(steward, at=now + within + DAY, name="b")
    assert steward.moves[2:] == [("autonomous", "earned")]


def test_what_is_heard_puts_the_lapse_off(steward: Steward) -> None:
    now = earned(steward)
    steward.feed(outcome(now + 20 * DAY, "later"), until=now + 45 * DAY)
    assert steward.moves == [("autonomous", "earned")]


def test_what_was_lost_is_forgiven_from_the_instant_that_the_policy_names(tmp_path: Path) -> None:
    anew = 3 * DAY
    steward = Steward(bounded_bundle(tmp_path, START | {"anew_from": to_text(anew)}))
    steward.feed(*(failed((1 + number) * HOUR, f"f{number}") for number in range(4)))
    assert steward.moves == [("supervised", "failures"), ("recommend", "failures")]
    assert steward.decide(anew - 1)["outcome"] == "recommend"
    assert steward.decide(anew)["outcome"] == "act"
    steward.feed(failed(anew + HOUR, "g"))
    assert steward.of("autonomy.counted")[-1]["level"] == "autonomous"
    assert steward.of("autonomy.counted")[-1]["evidence"]["outcomes"] == 1
    steward.feed(failed(anew + 2 * HOUR, "h"))
    assert steward.moves[2:] == [("supervised", "failures")]
    assert steward.decide(anew + 3 * HOUR)["outcome"] == "approve"
