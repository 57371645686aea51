"""The guard stage: what limits over all customers, and per cause, let pass."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from config.clock import DAY, HOUR, SECOND
from config.errors import RecoveryError
from config.events import RELEASE, Event
from config.policies.versions import Versions
from operators.guard import ACTIVE, WITHHELD, GuardLogic, proposed
from operators.keyed import KeyedGroup
from tests.support.findings import Stage
from tests.support.policies import bundle_of, rule

TICKETS_ONLY = {"per": "cause", "of": {"remedies": ["ticket"]}}
ACTION = {"case_id": "case", "customer": "c1", "entity": "order:1"}


def stage(folder: Path, **limits: dict[str, Any]) -> Stage:
    made = {
        name: {"description": "d", "per": "all", "most": 1, "within": "1d", "owner": "team-g"} | given
        for name, given in limits.items()
    }
    bundle = bundle_of(folder, rule("any", "linked"), guardrails={"limits": made})
    return Stage(GuardLogic(Versions((bundle,))))


def action(number: int, at: int, remedy: str = "credit", money: float = 10.0, causes: tuple[str, ...] = ()) -> Event:
    data = ACTION | {"action_id": f"a{number}", "remedy": remedy, "at": at}
    return proposed(Event(at, f"a{number}", f"c{number}", "action", data), causes, round(money * 1e6))


def passed(made: list[tuple[str, Event]]) -> list[str]:
    """Return the ids of the actions released, after looking that each other one was withheld."""
    assert {to for to, _ in made} <= {RELEASE}
    assert {event.type for _, event in made} <= {"action", WITHHELD}
    return [event.id for _, event in made if event.type == "action"]


def test_an_action_within_the_limit_leaves_as_it_came(tmp_path: Path) -> None:
    (made,) = stage(tmp_path, money={"counts": "money", "most": 10}).feed([action(1, HOUR)], DAY)
    assert made == (
        RELEASE,
        Event(HOUR, "a1", "c1", "action", ACTION | {"action_id": "a1", "remedy": "credit", "at": HOUR}),
    )


def test_one_beyond_it_is_withheld_and_says_what_was_spent_and_who_may_change_it(tmp_path: Path) -> None:
    made = stage(tmp_path, money={"counts": "money", "most": 15}).feed([action(1, HOUR), action(2, 2 * HOUR)], DAY)
    withheld = made[1][1]
    assert (withheld.type, withheld.key, withheld.at) == (WITHHELD, "c2", 2 * HOUR)
    assert (withheld.data["action_id"], withheld.data["case_id"], withheld.data["action"]["remedy"]) == (
        "a2",
        "case",
        "credit",
    )
    (told,) = withheld.data["guardrails"]
    assert (told["limit"], told["spent"], told["asked"], told["free_at"]) == (15.0, 10.0, 10.0, HOUR + DAY)
    assert withheld.data["reason"] == (
        "Guardrail money: 10.00 of 15.00 money within 1d are spent for all customers, and this takes 10.00, too much "
        "until 1970-01-02T01:00:00Z; team-g may change that (guardrail money of the policy)."
    )


def test_what_is_withheld_takes_of_no_limit(tmp_path: Path) -> None:
    guard = stage(tmp_path, money={"counts": "money", "most": 15}, count={"most": 3})
    big = [action(number, HOUR + number, money=20.0) for number in range(5)]
    assert passed(guard.feed([*big, action(6, 2 * HOUR), action(7, 2 * HOUR + 1, money=5.0)], DAY)) == ["a6", "a7"]


def test_equal_instants_are_served_by_id_and_the_end_of_the_span_is_free(tmp_path: Path) -> None:
    guard = stage(tmp_path, one={})
    events = [action(2, HOUR), action(1, HOUR), action(3, HOUR + DAY - 1), action(4, HOUR + DAY)]
    assert passed(guard.feed(events, 3 * DAY)) == ["a1", "a4"]


def test_causes_have_a_limit_each_and_an_action_of_two_causes_takes_of_both(tmp_path: Path) -> None:
    guard = stage(tmp_path, one={"per": "cause"})
    events = [
        action(1, HOUR, causes=("lane:a", "seller:b")),
        action(2, HOUR + 1, causes=("lane:c",)),
        action(3, HOUR + 2, causes=("seller:b", "lane:d")),
        action(4, HOUR + 3, causes=("lane:d",)),
        action(5, HOUR + 4),
    ]
    assert passed(guard.feed(events, DAY)) == ["a1", "a2", "a4", "a5"]


def test_what_was_spent_survives_a_restart_and_is_forgotten_when_it_counts_no_more(tmp_path: Path) -> None:
    guard = stage(tmp_path, one={})
    assert passed(guard.feed([action(1, HOUR)], 2 * HOUR)) == ["a1"]
    guard.restart()
    assert passed(guard.feed([action(2, 3 * HOUR)], 4 * HOUR)) == []
    guard.feed([], 2 * DAY)
    assert (guard.group.keys, guard.group.open_timers) == (0, 0)


def test_a_later_version_with_a_longer_span_sees_what_was_spent_before_it(tmp_path: Path) -> None:
    limit = {"description": "d", "per": "all", "most": 1}
    short = bundle_of(tmp_path / "1", rule("any", "linked"), guardrails={"limits": {"one": limit | {"within": "1h"}}})
    long = bundle_of(
        tmp_path / "2",
        rule("any", "linked"),
        guardrails={"limits": {"one": limit | {"within": "10d"}}},
        version="2.0.0",
        effective_from="1970-01-03T00:00:00Z",
    )
    guard = Stage(GuardLogic(Versions((short, long))))
    assert passed(guard.feed([action(1, HOUR), action(2, 2 * HOUR), action(3, 3 * DAY)], 4 * DAY)) == ["a1", "a2"]


def test_a_limit_that_counts_something_else_from_a_version_on_knows_what_was_done_before(tmp_path: Path) -> None:
    limit = {"description": "d", "per": "all", "within": "10d"}
    versions = [
        bundle_of(
            tmp_path / str(day),
            rule("any", "linked"),
            guardrails={"limits": {"one": limit | counted}},
            version=f"{day}.0.0",
            effective_from=f"1970-01-0{day}T00:00:00Z",
        )
        for day, counted in ((1, {"most": 5}), (2, {"most": 25, "counts": "money"}), (3, {"most": 4}))
    ]
    guard = Stage(GuardLogic(Versions(tuple(versions))))
    events = [
        action(1, HOUR),
        action(2, 2 * HOUR, money=0.0),
        action(3, DAY, money=15.0),
        action(4, DAY + 1, money=20.0),
    ]
    guard.restart()
    assert passed(guard.feed(events, 2 * DAY)) == ["a1", "a2", "a3"]
    later = [action(5, 2 * DAY), action(6, 2 * DAY + 1)]
    assert passed(guard.feed(later, 3 * DAY)) == ["a5"]


def test_an_action_of_more_causes_than_are_counted_is_withheld_by_limits_of_causes(tmp_path: Path) -> None:
    guard = stage(tmp_path, per={"per": "cause", "most": 100}, all={"most": 100}, other=TICKETS_ONLY)
    many = proposed(
        Event(HOUR, "a1", "c1", "action", ACTION | {"remedy": "credit", "at": HOUR}), ["lane:a"], 0, has_more=True
    )
    made = guard.feed([many, action(2, HOUR + 1, causes=("lane:a",))], DAY)
    assert passed(made) == ["a2"]
    (told,) = made[0][1].data["guardrails"]
    assert (told["guardrail"], told["free_at"], made[0][1].data["again_at"]) == ("per", None, None)
    assert "more causes than are counted" in made[0][1].data["reason"]


def test_of_more_causes_than_can_be_remembered_nothing_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operators.guard.CAUSES_MAX", 2)
    guard = stage(tmp_path, one={"per": "cause", "most": 3}, money={"per": "cause", "counts": "money", "most": 9})
    events = [
        action(number, HOUR + number, money=0.0, causes=(f"lane:{cause}",)) for number, cause in enumerate("abcb")
    ]
    made = guard.feed(events, 2 * HOUR)
    assert passed(made) == ["a0", "a1", "a3"]
    assert "remembered of 2 causes, and of no more" in made[2][1].data["reason"]
    state = guard.group.state_of("guard")
    assert state is not None
    assert {name: sorted(known) for name, known in state.spent.items()} == {
        "one": ["lane:a", "lane:b"],
        "money": ["lane:a", "lane:b"],
    }
    # In a day those are forgotten.
    assert passed(guard.feed([action(9, 2 * DAY, causes=("lane:c",))], 3 * DAY)) == []  # 10 of 9 are too much
    assert passed(guard.feed([action(10, 3 * DAY, money=1.0, causes=("lane:c",))], 4 * DAY)) == ["a10"]


@pytest.mark.parametrize("counts", ["actions", "money", "customers"])
def test_a_long_window_costs_no_more_per_action_than_a_short_one(counts: str, tmp_path: Path) -> None:
    logic = stage(tmp_path, all={"counts": counts, "most": 1_000_000, "within": "1d"}).logic

    def steps(count: int) -> int:
        guard, events = Stage(logic), [touching(n, f"c{n}", HOUR + n * SECOND) for n in range(count)]
        seen = 0

        def count_lines(frame: Any, event: str, argument: object) -> Any:
            nonlocal seen
            seen += 1
            return count_lines

        before = sys.gettrace()
        sys.settrace(count_lines)
        try:
            guard.feed(events, 2 * DAY)
        finally:
            sys.settrace(before)
        return seen

    assert steps(2_000) < 10 * steps(250)


@pytest.mark.parametrize(("version", "words"), [(1, "version 1, which was never released"), (99, "version 99")])
def test_a_state_of_another_version_is_refused(tmp_path: Path, version: int, words: str) -> None:
    guard = stage(tmp_path, one={})
    guard.feed([action(1, HOUR)], 2 * HOUR)
    today = guard.logic.state_version
    guard.logic.state_version = version
    written = guard.group.whole()
    guard.logic.state_version = today
    with pytest.raises(RecoveryError) as refused:
        KeyedGroup(guard.logic, ["in"]).restore([written])
    assert f"stage guard: recovered state is of {words}" in refused.value.message


def test_anything_else_is_a_fault_of_the_wiring(tmp_path: Path) -> None:
    logic = stage(tmp_path, one={}).logic
    with pytest.raises(ValueError, match="takes actions and counts of customers, not finding"):
        Stage(logic).feed([Event(1, "f", "guard", "finding", {})], 2)
    with pytest.raises(RecoveryError):
        logic.migrate(0, None)


def active(day: int, customers: int, group: int = 0) -> Event:
    at = (day + 1) * DAY + HOUR + group
    return Event(at, f"active|c{group}|{day + 1}", "guard", ACTIVE, {"day": day, "customers": customers})


def touching(number: int, customer: str, at: int, causes: tuple[str, ...] = ("lane:a",)) -> Event:
    made = action(number, at, causes=causes)
    made.data["action"]["customer"] = customer
    return made


def test_so_many_customers_are_touched_by_a_cause_each_as_often_as_need_be(tmp_path: Path) -> None:
    guard = stage(tmp_path, few={"per": "cause", "counts": "customers", "most": 2})
    events = [
        touching(1, "ann", HOUR),
        touching(2, "ann", HOUR + 1),
        touching(3, "bob", HOUR + 2),
        touching(4, "cyd", HOUR + 3),
        touching(5, "cyd", HOUR + 4, causes=("lane:b",)),
        touching(6, "bob", 5 * HOUR),
        touching(7, "", 6 * HOUR),  # what is done about the cause touches nobody
    ]
    assert passed(guard.feed(events, DAY)) == ["a1", "a2", "a3", "a5", "a6", "a7"]
    guard.restart()
    # Ann was touched last at the second action; Bob, who was touched later, still counts.
    events = [touching(8, "cyd", HOUR + 1 + DAY), touching(9, "dan", HOUR + 2 + DAY)]
    assert passed(guard.feed(events, 2 * DAY)) == ["a8"]
    guard.feed([], 4 * DAY)
    assert (guard.group.keys, guard.group.open_timers) == (0, 0)


def test_a_cause_is_free_again_when_the_customer_touched_longest_ago_counts_no_more(tmp_path: Path) -> None:
    guard = stage(tmp_path, few={"per": "cause", "counts": "customers", "most": 2})
    names = ("ann", "bob", "ann", "cyd")
    made = guard.feed([touching(n, name, HOUR + n) for n, name in enumerate(names)], DAY)
    assert made[-1][1].data["guardrails"][0]["free_at"] == HOUR + 1 + DAY  # Bob's, for Ann was touched again


def test_a_share_of_the_customers_that_were_active_may_be_touched_where_it_is_more(tmp_path: Path) -> None:
    guard = stage(tmp_path, few={"per": "cause", "counts": "customers", "most": 1, "share": 0.1, "within": "10d"})
    events = [
        touching(1, "ann", HOUR),
        touching(2, "bob", 2 * HOUR),
        active(0, 15),
        active(0, 16, group=1),
        *(touching(3 + n, name, DAY + 2 * HOUR + n) for n, name in enumerate(("bob", "cyd", "dan"))),
        # The day before has not been told of yet by all; the one before that still says 31.
        active(1, 4),
        touching(7, "eve", 2 * DAY + 2 * HOUR),
        touching(8, "fay", 5 * DAY),
    ]
    assert passed(guard.feed(events, 6 * DAY)) == ["a1", "a3", "a4"]
    state = guard.group.state_of("guard")
    assert state is not None
    assert state.active == {0: 31, 1: 4}


def test_a_share_that_comes_to_a_whole_number_is_that_number(tmp_path: Path) -> None:
    guard = stage(tmp_path, few={"per": "cause", "counts": "customers", "most": 0, "share": 0.29})
    events = [active(0, 100), *(touching(n, f"c{n}", DAY + 2 * HOUR + n) for n in range(40))]
    assert len(passed(guard.feed(events, 2 * DAY))) == 29


def test_only_the_last_days_are_remembered(tmp_path: Path) -> None:
    guard = stage(tmp_path, few={"per": "cause", "counts": "customers", "share": 0.5})
    guard.feed([active(day, day) for day in range(30)], 40 * DAY)
    state = guard.group.state_of("guard")
    assert state is not None
    assert state.active == {27: 27, 28: 28, 29: 29}
