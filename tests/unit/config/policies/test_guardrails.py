"""The section `guardrails` of a bundle: what it may say, and what is refused with the place and a remedy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from config.clock import DAY, HOUR, TIME_MAX
from config.errors import PolicyError
from config.money import money
from config.policies.guardrails import MONDAY, MOST_MAX, WEEK, Freeze
from config.policies.load import load_bundle, load_default
from tests.support.policies import bundle_of, rule, write_bundle

LIMIT: dict[str, Any] = {"description": "d", "per": "customer", "most": 2, "within": "7d"}
ONCE: dict[str, Any] = {"description": "d", "after": {"remedies": ["credit"]}, "forbids": {}, "within": "1d"}
NIGHT: dict[str, Any] = {"description": "d", "hours": "22:00-06:00"}


def freeze(folder: Path, **given: Any) -> Freeze:
    (made,) = bundle_of(
        folder, rule("a", "linked"), guardrails={"freezes": {"f": {"description": "d"} | given}}
    ).guardrails.freezes
    return made


def test_a_limit_speaks_of_all_that_any_of_its_selection_does(tmp_path: Path) -> None:
    def remedies(**of: Any) -> frozenset[str]:
        sections = {"limits": {"l": LIMIT | {"of": of}}}
        return bundle_of(tmp_path, rule("a", "linked"), guardrails=sections).guardrails.limits[0].remedies

    assert remedies() == {"notify", "ticket", "credit"}
    assert remedies(contacts_customer=True) == {"notify"}
    assert remedies(contacts_customer=True, remedies=["ticket"]) == {"notify", "ticket"}
    assert remedies(moves_money=True) == {"credit"}


def test_amounts_are_counted_exactly_and_owners_fall_back_on_the_bundles(tmp_path: Path) -> None:
    sections = {"limits": {"l": LIMIT | {"counts": "money", "most": 0.1}, "m": LIMIT | {"owner": "team-m"}}}
    money, count = bundle_of(tmp_path, rule("a", "linked"), guardrails=sections).guardrails.limits
    assert (money.most, money.within, money.owner, money.then) == (100_000, 7 * DAY, "team-a", "recommend")
    assert (count.most, count.owner) == (2, "team-m")


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"limits": {"l": LIMIT | {"of": {"remedies": ["notfy"]}}}}, "unknown remedy 'notfy'.*Did you mean 'notify'"),
        ({"limits": {"l": LIMIT | {"of": {"side_effects": ["x"]}}}}, "unknown side effect 'x'"),
        ({"limits": {"l": LIMIT | {"within": "1 week"}}}, "limit 'l': within: '1 week' is not"),
        ({"limits": {"l": LIMIT | {"within": "0s"}}}, "within is not within"),
        ({"limits": {"l": LIMIT | {"within": "401d"}}}, "within is not within"),
        ({"limits": {"l": LIMIT | {"most": -1}}}, "most is not within"),
        ({"limits": {"l": LIMIT | {"most": 1.5}}}, "most is no whole number"),
        ({"limits": {"l": LIMIT | {"description": " "}}}, "limit 'l': description is empty"),
        ({"limits": {"l": LIMIT | {"per": "all", "then": "approve"}}}, "then: approve is for limits per customer"),
        ({"limits": {"l": LIMIT | {"counts": "customers"}}}, "a customer is one"),
        ({"limits": {"l": LIMIT | {"per": "cause", "share": 0.1}}}, "share is no share of customers"),
        ({"limits": {"l": LIMIT | {"per": "all", "counts": "customers", "share": 1.1}}}, "share is no share"),
        ({"limits": {"l": LIMIT | {"per": "order"}}}, "bundle.yaml:[0-9]+: Invalid enum value 'order'"),
        ({"limits": {"l": LIMIT | {"mots": 1}}}, "unknown field `mots`"),
        ({"limits": {"l": LIMIT}, "turns": {"l": {"description": "d"}}}, "two guardrails are called 'l'"),
        ({"sequences": {"s": ONCE | {"within": "x"}}}, "sequence 's': within"),
        ({"freezes": {"f": {"description": "d"}}}, "freeze 'f': it never begins"),
        ({"freezes": {"f": NIGHT | {"hours": "22-6"}}}, "hours are '22-6'"),
        ({"freezes": {"f": NIGHT | {"hours": "22:00-25:00"}}}, "hours are '22:00-25:00'"),
        ({"freezes": {"f": NIGHT | {"hours": "24:00-00:00"}}}, "hours are '24:00-00:00'"),
        ({"freezes": {"f": NIGHT | {"hours": "22:00-22:00"}}}, "hours begin when they end"),
        ({"freezes": {"f": NIGHT | {"allows": {}}}}, "it allows all that it speaks of"),
        ({"freezes": {"f": NIGHT | {"begins": "2026-01-01T00:00:00"}}}, "begins has no offset"),
        (
            {"freezes": {"f": NIGHT | {"begins": "2026-01-02T00:00:00Z", "ends": "2026-01-02T00:00:00Z"}}},
            "ends before it begins",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_file_and_line(sections: Any, message: str, tmp_path: Path) -> None:
    write_bundle(tmp_path, rule("a", "linked"), guardrails=sections)
    with pytest.raises(PolicyError) as refused:
        load_bundle(tmp_path)
    assert re.search(message, f"{refused.value.message} {refused.value.remedy}")
    assert re.match(rf"{re.escape(str(tmp_path))}/bundle.yaml:\d+: ", refused.value.message)


@pytest.mark.parametrize("at_risk", [2e13, 1e303, float("inf"), float("nan")])
def test_money_beyond_all_measure_is_too_much_for_any_limit_and_fits_a_snapshot(at_risk: float, tmp_path: Path) -> None:
    credit = bundle_of(tmp_path, rule("a", "true")).remedies["credit"]
    amount = credit.money(at_risk)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(amount)) == amount > money(MOST_MAX)


def test_money_of_a_remedy_is_what_is_at_risk_up_to_its_most(tmp_path: Path) -> None:
    remedies = load_default().remedies
    assert [remedies["goodwill_credit"].money(risk) for risk in (-1.0, 10.5, 25.0, 1e6)] == [
        0,
        10_500_000,
        *[25_000_000] * 2,
    ]
    assert remedies["open_ticket"].money(100.0) == 0
    for given, message in (
        ({"money_max": 5}, "moves no money"),
        ({"money_max": -1, "moves_money": True}, "not within"),
    ):
        remedy = {"ticket": {"system": "crm", "valid_for": "48h", "description": "d"} | given}
        write_bundle(tmp_path, rule("a", "linked"), remedies=remedy)
        with pytest.raises(PolicyError, match=message):
            load_bundle(tmp_path)


@pytest.mark.parametrize(
    ("at", "until"),
    [
        (22 * HOUR - 1, None),
        (22 * HOUR, 30 * HOUR),
        (30 * HOUR - 1, 30 * HOUR),
        (30 * HOUR, None),
        (WEEK - HOUR, WEEK + 6 * HOUR),  # Sunday night reaches into Monday
        (WEEK + 5 * HOUR, WEEK + 6 * HOUR),
    ],
)
def test_hours_past_midnight_hold_every_night(at: int, until: int | None, tmp_path: Path) -> None:
    night = freeze(tmp_path, hours="22:00-06:00")
    for weeks in (-600, 0, 3_000):
        start = MONDAY + weeks * WEEK
        assert night.until(start + at) == (None if until is None else start + until)


def test_days_that_meet_are_one_freeze_and_a_whole_week_never_ends(tmp_path: Path) -> None:
    weekend = freeze(tmp_path, days=["sun", "sat"])
    assert weekend.until(MONDAY + 5 * DAY) == MONDAY + WEEK
    assert weekend.until(MONDAY + 5 * DAY - 1) is weekend.until(MONDAY + WEEK) is None
    assert freeze(tmp_path, days=["mon", "tue", "wed", "thu", "fri", "sat", "sun"]).until(MONDAY) == TIME_MAX


def test_a_freeze_of_dates_holds_from_the_first_instant_and_not_at_the_last(tmp_path: Path) -> None:
    dated = freeze(tmp_path, begins="1970-01-05T10:00:00Z", ends="1970-01-12T09:00:00Z")
    begin, end = MONDAY + 10 * HOUR, MONDAY + WEEK + 9 * HOUR
    assert [dated.until(at) for at in (begin - 1, begin, end - 1, end)] == [None, end, end, None]
    nightly = freeze(tmp_path, begins="1970-01-05T10:00:00Z", ends="1970-01-05T23:00:00Z", hours="22:00-06:00")
    assert [nightly.until(MONDAY + hour * HOUR) for hour in (3, 21, 22, 23)] == [None, None, MONDAY + 23 * HOUR, None]


def test_a_field_that_a_guardrail_has_not_is_answered_with_its_fields_and_their_page(tmp_path: Path) -> None:
    write_bundle(tmp_path, rule("a", "linked"), guardrails={"limits": {"l": LIMIT | {"mots": 1}}})
    with pytest.raises(PolicyError) as raised:
        load_bundle(tmp_path)
    assert raised.value.remedy.startswith("Did you mean 'most'? Known: description, per, most, within,")
    assert "See docs/guardrails.md" in raised.value.remedy
