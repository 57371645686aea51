from __future__ import annotations

from typing import Any

from config.clock import DAY, HOUR
from replay.review.world import judged
from replay.world.labels import Decoy, Issue, Labels
from tests.support.reviews import CUSTOMER, found, history


def issue(number: int, **given: Any) -> Issue:
    fields: dict[str, Any] = {
        **{"issue_id": f"i{number}", "kind": "order.promise_at_risk", "entity": f"order:{number}"},
        **{"agent": "fulfilment", "customers": [CUSTOMER], "onset": DAY, "ends_at": 5 * DAY, "harm_at": 3 * DAY},
        **given,
    }
    return Issue(**fields)


def labels(*issues: Issue, decoys: tuple[Decoy, ...] = ()) -> Labels:
    return Labels(seed=1, events=1, days=9, mix="full", issues=list(issues), malformed=[], decoys=list(decoys))


def test_issues_not_found_in_time_and_findings_about_none_are_wrong() -> None:
    truth = labels(
        issue(1), issue(2), issue(3), decoys=(Decoy(what="slow_week", entity="lane:SP-RJ", since=0, until=DAY),)
    )
    findings = [
        found(1, 2 * DAY),
        found(2, 4 * DAY),
        found(8, DAY),
        found(8, 2 * DAY, kind="order.promise_passed"),
        found(0, HOUR, entity="lane:SP-RJ", customer="", kind="lane.degraded"),
    ]
    wrongs, everything = judged(truth, findings, {}, {"order:8": history()})
    assert {wrong.entity: (wrong.verdict, wrong.like) for wrong in wrongs} == {
        "order:2": ("found too late", "by itself"),
        "order:3": ("missed", "by itself"),
        "order:8": ("false alarm", "delivered on time"),
        "lane:SP-RJ": ("false alarm", "fell for slow week"),
    }
    assert len(everything) == 4
    late = next(wrong for wrong in wrongs if wrong.entity == "order:2")
    assert (late.finding or {})["at"] == 4 * DAY
    assert late.notes == ((DAY, "The trouble begins."),)
