from __future__ import annotations

import orjson

from config.clock import DAY, HOUR
from replay.review.groups import grouped
from replay.review.stories import Run, told
from replay.review.wrong import Row
from tests.support.findings import fleet_finding
from tests.support.reviews import CUSTOMER, found, history, wrong


def run(*findings: Row) -> Run:
    cases = [{"case_id": "k", "change": {"entity": "order:1"}}, {"case_id": "k", "change": {"severity": "high"}}]
    decision = {"case_id": "k", "at": 2 * DAY, "outcome": "recommend", "remedy": "open_ticket", "rule": "t/r"}
    return Run(findings, cases, [decision | {"reason": f"{CUSTOMER} should hear of it."}])


def test_story_tells_what_was_known_thought_decided_and_true_in_this_order() -> None:
    alarm = found(1, 2 * DAY, features={"slack_hours": -3.0, "opening_finding": "0f"}, reason="It will be late.")
    subject = wrong(finding=alarm, at=2 * DAY)
    story = told(grouped([subject], [])[0], run(alarm), {"order:1": history()})["story"]
    assert [moment["who"] for moment in story["timeline"]] == ["record", "agent", "decision", "truth"]
    assert story["thought"]["features"] == {"slack_hours": -3.0}
    assert story["thought"]["confidence"] == 0.8
    assert story["timeline"][0] == {"at": "1970-01-01T00:00:00Z", "who": "record", "says": "order placed"}


def test_nobody_is_named() -> None:
    names = [CUSTOMER, "account-9", "tok-1"]
    reason = f"{CUSTOMER} paid with instrument:tok-1 from account:account-9; {CUSTOMER}s is another word."
    alarm = found(1, DAY, entity=f"customer:{CUSTOMER}", reason=reason, features={"cause": f"customer:{CUSTOMER}"})
    subject = wrong(entity=f"customer:{CUSTOMER}", finding=alarm, customers=frozenset({CUSTOMER}))
    other = wrong(entity="account:account-9", error=0.1)
    document = told(grouped([subject, other], [])[0], run(alarm), {})
    text = orjson.dumps(document).decode().replace(f"{CUSTOMER}s", "")
    assert [name for name in names if name in text] == []
    assert "customer:~" in text


def test_story_of_a_service_tells_what_was_found_on_others() -> None:
    other = found(1, DAY + HOUR, entity="service:cart", customer="", kind="service.degraded")
    subject = wrong(entity="service:shop", verdict="missed", at=DAY)
    story = told(grouped([subject], [])[0], run(other, found(1, DAY)), {})["story"]
    assert [moment["who"] for moment in story["timeline"]] == ["truth", "agent"]
    assert fleet_finding().kind in story["timeline"][1]["says"]
