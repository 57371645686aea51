from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.clock import DAY
from config.errors import PolicyError
from config.policies.autonomy import OTHER
from config.policies.load import load_default
from tests.support.autonomy import EASY, LIMIT, bounded_bundle

DEAR: dict[str, Any] = {"name": "dear", "when": "money_at_risk > 100.0", "description": "d"}
TICKETS: dict[str, Any] = {"name": "tickets", "when": "tickets != null && tickets > 1.0", "description": "d"}


def part(name: str, **given: Any) -> dict[str, Any]:
    return {name: EASY[name] | given}


def test_a_limit_is_read_as_it_is_written(tmp_path: Path) -> None:
    assert bounded_bundle(tmp_path).autonomy.limits == (LIMIT,)


def test_the_first_limit_that_matches_holds(tmp_path: Path) -> None:
    autonomy = bounded_bundle(
        tmp_path,
        {"agent": "billing", "remedy": "credit", "ceiling": "supervised", "owner": "risk"},
        {"agent": "fulfil*", "segment": "dear"},
        {"agent": "billing", "start": "recommend"},
        segments=[DEAR],
    ).autonomy
    first, second, third = autonomy.limits
    assert autonomy.limit("billing", "credit", "dear") is first
    assert autonomy.limit("billing", "notify", "dear") is third
    assert autonomy.limit("fulfilment", "notify", "dear") is second
    assert autonomy.limit("fulfilment", "notify", OTHER) is None
    assert (first.owner, second.owner) == ("risk", "team-a")


def test_a_case_is_in_the_first_segment_of_which_it_cannot_be_told_that_it_is_not(tmp_path: Path) -> None:
    autonomy = bounded_bundle(tmp_path, segments=[DEAR, TICKETS]).autonomy
    assert autonomy.names == {"dear", "tickets", OTHER}
    assert autonomy.segment({"money_at_risk": 100.5, "tickets": 5.0}) == "dear"
    assert autonomy.segment({"money_at_risk": 100.0, "tickets": 2.0}) == "tickets"
    assert autonomy.segment({"money_at_risk": 100.0, "tickets": None}) == OTHER
    assert autonomy.segment({"money_at_risk": 100.0}) == "tickets"
    assert autonomy.segment({"money_at_risk": "much", "tickets": 2.0}) == "dear"


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ({"agent": "fulfillment"}, "Did you mean 'fulfilment'?"),
        ({"remedy": "notfy"}, "Did you mean 'notify'?"),
        ({"segment": "deer"}, "unknown segment 'deer'"),
        ({"start": "autonomous", "ceiling": "supervised"}, "start 'autonomous' lies above ceiling 'supervised'"),
        ({"start": "free"}, "start"),
        ({"reason": " "}, "reason is empty"),
        ({"surplus": 1}, "surplus"),
        (part("evidence", last=0), "evidence.last is 0"),
        (part("evidence", last=1_001), "evidence.last is 1001"),
        (part("evidence", within="7 days"), "evidence.within"),
        (part("evidence", confidence=0.5), "evidence.confidence is 0.5"),
        (part("promotion", verified_min=21), "promotion.verified_min is 21"),
        (part("promotion", success_min=float("nan")), "promotion.success_min is nan"),
        (part("promotion", success_min=0.95), "promotion.success_min of 0.95 cannot be reached"),
        (part("promotion", false_max=0.01), "promotion.false_max of 0.01 cannot be reached"),
        (part("demotion", failures=0), "demotion.failures is 0"),
        (part("demotion", judged_from=21), "demotion.judged_from is 21"),
        (part("demotion", quality_min=1.5), "demotion.quality_min is 1.5"),
        ({"anew_from": "2026-01-31T00:00:00"}, "anew_from has no offset from UTC"),
        (part("demotion", probation="0s"), "demotion.probation is no time"),
        (part("demotion", probation="999999999d"), "demotion.probation is longer than 4000d"),
        (part("evidence", within="4001d"), "evidence.within is longer than 4000d"),
    ],
)
def test_what_is_not_understood_is_an_error_that_says_where(tmp_path: Path, limit: dict[str, Any], said: str) -> None:
    with pytest.raises(PolicyError) as error:
        bounded_bundle(tmp_path, limit, segments=[DEAR])
    assert said in f"{error.value.message} {error.value.remedy}"
    assert f"{tmp_path / 'bundle.yaml'}:" in error.value.message


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        ([DEAR | {"when": "money_at_risq > 1.0"}], "Did you mean 'money_at_risk'?"),
        ([DEAR | {"when": "money_at_risk > 'x'"}], "does not fit the types"),
        ([TICKETS | {"when": "tickets > 1.0"}], "fact 'tickets' may be null"),
        ([DEAR, DEAR], "segment 'dear': no name for a segment"),
        ([DEAR | {"name": OTHER}], "no name for a segment"),
        ([DEAR | {"name": "a/b"}], "no name for a segment"),
        ([DEAR | {"name": f"s{number}"} for number in range(17)], "17 segments"),
    ],
)
def test_segments_are_checked(tmp_path: Path, segments: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(PolicyError) as error:
        bounded_bundle(tmp_path, segments=segments)
    assert said in f"{error.value.message} {error.value.remedy}"


def test_limits_are_part_of_the_hash(tmp_path: Path) -> None:
    hashes = {
        bounded_bundle(tmp_path / "a").hash,
        bounded_bundle(tmp_path / "b", {"start": "recommend"}).hash,
        bounded_bundle(tmp_path / "c", segments=[DEAR]).hash,
    }
    assert len(hashes) == 3


def test_by_the_default_policy_all_begins_as_it_was_and_falls_within_a_week_of_failures() -> None:
    bundle = load_default()
    for agent in ("fulfilment", "outage"):
        for remedy in bundle.remedies:
            limit = bundle.autonomy.limit(agent, remedy, OTHER)
            assert limit is not None
            assert (limit.start, limit.failures, limit.failures_within) == ("autonomous", 3, 7 * DAY)
