"""Flags: which holds for what, until when, and that none is forgotten."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from config.clock import DAY
from config.events import BROADCAST, Event
from config.policies.bundle import Remedy
from operators.flags import FLAG, FLAGS_MAX, Limit, note, restraint

MESSAGE = Remedy("tell", "crm", timedelta(hours=1), contacts_customer=True, moves_money=False, reversible=False)
CREDIT = Remedy("credit", "billing", timedelta(hours=1), contacts_customer=True, moves_money=True, reversible=True)


def flags(*given: dict[str, Any]) -> dict[str, Limit]:
    noted: dict[str, Limit] = {}
    for at, changes in enumerate(given):
        data = {"scope": "*", "mode": "observe-only", "set_by": "on-call", "reason": "drill"} | changes
        note(noted, Event(at, f"flag-{at}", BROADCAST, FLAG, data))
    return noted


def outcome(noted: dict[str, Limit], remedy: Remedy | None = MESSAGE, now: int = DAY, agent: str = "billing") -> str:
    found = restraint(noted, agent, remedy, now)
    return "" if found is None else found[0]


def test_without_flags_nothing_is_in_the_way() -> None:
    assert outcome({}) == ""


@pytest.mark.parametrize(
    ("mode", "message", "credit"),
    [
        ("observe-only", "observe", "observe"),
        ("notify-only", "", "recommend"),
        ("reversible-only", "recommend", ""),
    ],
)
def test_a_mode_leaves_of_acting_what_it_allows(mode: str, message: str, credit: str) -> None:
    noted = flags({"mode": mode})
    assert (outcome(noted, MESSAGE), outcome(noted, CREDIT)) == (message, credit)


def test_where_nothing_is_to_be_done_only_observing_matters() -> None:
    assert outcome(flags({"mode": "notify-only"}), None) == ""
    assert outcome(flags({"mode": "observe-only"}), None) == "observe"


@pytest.mark.parametrize(
    ("scope", "holds"),
    [("*", True), ("agent:billing", True), ("agent:fraud", False), ("remedy:tell", True), ("remedy:credit", False)],
)
def test_a_flag_holds_within_its_scope(scope: str, holds: bool) -> None:
    assert (outcome(flags({"scope": scope})) == "observe") is holds


def test_of_several_flags_the_strictest_holds() -> None:
    assert outcome(flags({"mode": "reversible-only"}, {"scope": "agent:billing"}), CREDIT) == "observe"


def test_a_flag_is_taken_back_by_normal_of_the_same_scope_alone() -> None:
    assert outcome(flags({}, {"mode": "normal", "scope": "agent:billing"})) == "observe"
    assert outcome(flags({}, {"mode": "normal"})) == ""


def test_a_flag_ends_by_itself() -> None:
    noted = flags({"until": DAY})
    assert (outcome(noted, now=DAY - 1), outcome(noted, now=DAY)) == ("observe", "")


def test_who_set_it_and_how_it_is_taken_back_is_said() -> None:
    found = restraint(flags({"scope": "agent:billing"}), "billing", MESSAGE, DAY)
    assert found is not None
    assert found[1] == (
        "The flag observe-only for agent billing was set by on-call, who can take it back with mode normal."
    )


def test_more_flags_than_can_be_remembered_leave_nothing_but_watching() -> None:
    many = [{"scope": f"agent:a{n}"} for n in range(FLAGS_MAX)]
    assert outcome(flags(*many)) == ""
    beyond = [{"scope": f"agent:z{n}", "mode": "notify-only"} for n in range(5)]
    noted = flags(*many, *beyond)
    assert (len(noted), outcome(noted)) == (FLAGS_MAX + 1, "observe")
    assert outcome(flags(*many, *beyond, {"mode": "normal"})) == ""
