"""Taking back what a policy did: what is said before, and what the flow then does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.clock import DAY, HOUR, MINUTE
from config.errors import UsageError
from config.policies.load import DEFAULT_FOLDER, load_bundle
from dataflows.rollback import Plan, bundle_named, plan
from tests.support.playbooks import AT, action, playbook, step
from tests.support.shards import Stage

ONE, TWO = "b1" * 16, "b2" * 16


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    note = step("note", operation="add_note", inverse=None, irreversible="a note stays")
    books = {"tell": playbook(tmp_path), "note": playbook(tmp_path, step("message"), note, name="note")}
    made = Stage(tmp_path, books)
    yield made
    made.ledger.close()


def order(number: int, **more: Any) -> Any:
    whose = {"entity": f"order:{number}", "customer": f"customer:{number}", "bundle": ONE}
    return action(f"a{number}", **whose | more)


def planned(stage: Stage, since: int = AT, until: int = AT + DAY, bundle: str = ONE) -> Plan:
    return plan(stage.ledger, bundle, since, until, stage.means.playbooks, stage.now)


def said(made: Plan) -> dict[str, list[tuple[str, str]]]:
    return {each.action.action_id: [(one.fate, one.why) for one in each.fates] for each in made.actions}


def done(stage: Stage, *actions: Any) -> None:
    """Have actions bring about all their effects."""
    stage.take(*actions)
    stage.turn()
    for one in actions:
        stage.begins(one.action_id)
        for _ in stage.means.playbooks[one.remedy].steps:
            stage.answers(one.action_id, "done")


def test_only_what_the_policy_decided_in_the_span_is_meant(stage: Stage) -> None:
    done(stage, order(1), order(2, at=AT + MINUTE), order(3, bundle=TWO))
    assert list(said(planned(stage))) == ["a1", "a2"]
    assert list(said(planned(stage, AT, AT + MINUTE))) == ["a1"]
    assert list(said(planned(stage, AT + 1, AT + DAY))) == ["a2"]
    assert list(said(planned(stage, bundle=TWO))) == ["a3"]


def test_it_is_said_what_becomes_of_each_effect(stage: Stage) -> None:
    done(stage, order(1), order(2, remedy="note"))
    stage.take(order(3), order(4))
    stage.turn()
    stage.begins("a3")
    stage.answers("a3", "unknown")
    made = planned(stage)
    assert said(made) == {
        "a1": [("take back", "")],
        "a2": [("take back", ""), ("stands", "a note stays")],
        "a3": [("ask", "nobody knows yet whether it is there")],
        "a4": [("stop", "It has done nothing yet.")],
    }
    assert made.counts == {"ask": 1, "stands": 1, "stop": 1, "take back": 2}
    stage.now += 25 * HOUR
    assert said(planned(stage))["a1"][0] == ("stands", "that could be done for 1d only")


def test_the_harm_that_is_left_is_added_up(tmp_path: Path) -> None:
    amount = {"type": "number", "value": "10.5"}
    credit = step("credit", operation="credit", parameters={"amount": amount}, inverse=None, irreversible="it is told")
    stage = Stage(tmp_path, {"pay": playbook(tmp_path, step(), credit, name="pay")})
    mine = {"remedy": "pay", "customer": "customer:1"}
    done(stage, order(1, **mine), order(2, **mine))
    stage.now += HOUR
    done(stage, order(3, remedy="pay"))
    made = planned(stage)
    assert made.residual == [
        {
            "remedy": "pay",
            "effect": "crm credit",
            "effects": 3,
            "customers": 2,
            "amount": 31.5,
            "why": "it is told",
        }
    ]
    stage.now += 25 * HOUR
    late = "that could be done for 1d only"
    assert [(row["effect"], row["effects"], row["amount"], row["why"]) for row in planned(stage).residual] == [
        ("crm credit", 3, 31.5, "it is told"),
        ("crm send_message", 3, 0, late),
    ], "whenever each was done"
    stage.ledger.close()


def test_what_is_ordered_is_done_by_the_flow_once(stage: Stage) -> None:
    done(stage, order(1), order(2, bundle=TWO))
    stage.take(order(3))
    stage.turn()
    made = planned(stage)
    assert made.order(stage.ledger, stage.now, "prices were wrong") == 2
    assert planned(stage).order(stage.ledger, stage.now, "again") == 0
    stage.restart()
    stage.turn(1)
    stage.turn()
    assert stage.hands.asked == ["a3 measure measure", "a1 query send_message"]
    stage.begins("a3")
    assert stage.states()["a3"] == "refused"
    stage.answers("a1", "done")
    assert said(planned(stage))["a1"] == [("under way", "")]
    stage.answers("a1", "done")
    stage.answers("a1", "undone")
    assert stage.states() == {"a1": "compensated", "a2": "acknowledged", "a3": "refused"}
    reason = next(outcome.reason for outcome in stage.told if outcome.state == "compensated")
    assert reason.startswith(f"Rolled back with all that policy {ONE[:12]} decided from 2023-11-14T22:13:20Z to ")
    assert reason.endswith(": prices were wrong.")
    again = planned(stage)
    assert (said(again)["a1"], said(again)["a3"]) == ([("gone", "")], [("gone", "It was refused.")])
    assert not any(each.is_wanted for each in again.actions)


def test_what_would_be_tried_again_is_stopped(stage: Stage) -> None:
    stage.take(order(1))
    stage.turn()
    stage.begins("a1")
    stage.answers("a1", "not-sent")
    made = planned(stage)
    assert said(made) == {"a1": [("stop", "it is not there, and would be tried again")]}
    assert made.order(stage.ledger, stage.now, "") == 1
    stage.turn(60)
    stage.turn(60)
    assert stage.hands.asked == []
    assert stage.shard.open == 0


def test_what_goes_on_after_an_effect_that_stands_is_stopped(tmp_path: Path) -> None:
    note = step("note", operation="add_note", inverse=None, irreversible="a note stays")
    stage = Stage(tmp_path, {"note": playbook(tmp_path, note, step("message"), name="note")})
    stage.take(order(1, remedy="note"))
    stage.turn()
    stage.begins("a1")
    stage.hands.places("crm", 0)
    stage.answers("a1", "done")
    made = planned(stage)
    assert said(made) == {"a1": [("stands", "a note stays"), ("stop", "It has not done all yet.")]}
    assert made.order(stage.ledger, stage.now, "") == 1
    stage.hands.places("crm", 9)
    stage.turn(60)
    stage.turn(60)
    assert [asked for asked in stage.hands.asked if " do " in asked] == []
    stage.ledger.close()


def test_a_policy_goes_by_its_hash_the_beginning_of_it_or_its_version(stage: Stage) -> None:
    default = load_bundle(DEFAULT_FOLDER)
    done(stage, order(1), order(2, bundle=TWO), order(3, bundle=default.hash))

    def named(revision: str) -> str:
        return bundle_named(stage.ledger, revision, lambda: [default])

    assert [named(name) for name in (ONE, "b2", default.version, f"default {default.version}")] == [
        ONE,
        TWO,
        default.hash,
        default.hash,
    ]
    with pytest.raises(UsageError, match="More than one policy is called 'b'"):
        named("b")
    for unknown in ("x", ""):
        with pytest.raises(UsageError, match=f"No action of the ledger .* called '{unknown}'") as raised:
            named(unknown)
        assert "b1b1b1b1b1b1 (1 actions)" in raised.value.remedy
        assert f"{default.hash[:12]} (default {default.version}, 1 actions)" in raised.value.remedy
        assert "as `--policy " in raised.value.remedy
        assert "policy.bundle" in raised.value.remedy
        assert "--config" in raised.value.remedy


def test_a_version_that_another_policys_hash_begins_with_is_not_guessed_at(stage: Stage) -> None:
    meant = replace(load_bundle(DEFAULT_FOLDER), version="b2")
    done(stage, order(1, bundle=meant.hash), order(2, bundle=TWO))
    with pytest.raises(UsageError, match="More than one policy is called 'b2'"):
        bundle_named(stage.ledger, "b2", lambda: [meant])
    assert bundle_named(stage.ledger, TWO, lambda: [replace(meant, version=TWO)]) == TWO


def test_an_empty_ledger_has_nothing_to_take_back(stage: Stage) -> None:
    with pytest.raises(UsageError, match="There is no action in the ledger"):
        bundle_named(stage.ledger, "1.0.0", list)
    stage.ledger.close()
