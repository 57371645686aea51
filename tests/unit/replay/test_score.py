"""Which labelled issues were found in time, late or not at all, and which findings are about nothing."""

from __future__ import annotations

from typing import Any

import msgspec

from replay.score import score
from replay.world.labels import Decoy, Echo, Issue, Labels


def issue(entity: str, onset: int, ends_at: int, harm_at: int | None, **more: Any) -> Issue:
    fields = {
        "issue_id": entity + str(onset),
        "kind": "order.promise_at_risk",
        "agent": "fulfilment",
        "customers": ["c1"],
    }
    return Issue(**(fields | more), entity=entity, onset=onset, ends_at=ends_at, harm_at=harm_at)


def labels(*issues: Issue, decoys: tuple[Decoy, ...] = ()) -> Labels:
    return Labels(seed=1, events=1, days=1, mix="full", issues=list(issues), malformed=[], decoys=list(decoys))


def row(entity: str, at: int, kind: str = "order.promise_at_risk") -> dict[str, Any]:
    return {"kind": kind, "entity": entity, "at": at}


def test_a_finding_before_the_first_complaint_is_found_with_its_lead() -> None:
    result = score(labels(issue("order:1", 100, 900, 500)), [row("order:1", 300), row("order:1", 200)])
    assert (result.found, result.late, result.missed, result.median_lead) == (1, 0, 0, 300)


def test_a_finding_at_or_after_the_first_complaint_is_late() -> None:
    result = score(labels(issue("order:1", 100, 900, 500)), [row("order:1", 500)])
    assert (result.found, result.late, result.missed, result.median_lead) == (0, 1, 0, None)


def test_an_issue_nobody_complains_of_is_found_without_a_lead() -> None:
    result = score(labels(issue("order:1", 100, 900, None)), [row("order:1", 600)])
    assert (result.found, result.median_lead, result.verdicts[0].lead) == (1, None, None)


def test_an_issue_without_a_finding_is_missed() -> None:
    result = score(labels(issue("order:1", 100, 900, 500)), [])
    assert (result.found, result.late, result.missed) == (0, 0, 1)


def test_findings_before_the_onset_after_the_end_and_on_others_are_false() -> None:
    rows = [row("order:1", 99), row("order:1", 901), row("order:2", 300)]
    result = score(labels(issue("order:1", 100, 900, 500)), rows)
    assert (result.missed, result.false) == (1, rows)


def test_each_episode_of_an_entity_needs_its_own_finding() -> None:
    both = labels(issue("service:a", 100, 200, 150), issue("service:a", 500, 600, 550))
    assert [v.found for v in score(both, [row("service:a", 510)]).verdicts] == [False, True]


def test_a_finding_on_the_cause_or_on_what_shows_it_too_is_neither_asked_for_nor_false() -> None:
    labelled = labels(issue("order:1", 100, 900, 500, cause="lane:X-Y", also=["service:gateway"]))
    result = score(labelled, [row("lane:X-Y", 300), row("service:gateway", 300), row("service:gateway", 950)])
    assert (result.missed, len(result.false)) == (1, 1)


def test_telling_a_customer_who_is_hurt_is_not_false_and_telling_another_is() -> None:
    labelled = labels(issue("service:a", 100, 900, 500))
    rows = [row("customer:c1", 300), row("customer:c2", 300)]
    assert score(labelled, rows).false == [rows[1]]


def test_cases_count_from_when_they_were_opened() -> None:
    case = {"kind": "order.promise_at_risk", "entity": "order:1", "opened_at": 200, "customer": "c1"}
    assert score(labels(issue("order:1", 100, 900, 500)), [case]).median_lead == 300


def test_the_end_of_a_trouble_is_no_finding() -> None:
    assert score(labels(), [row("order:1", 100) | {"resolves": True}]).false == []


def test_false_findings_that_fell_for_a_decoy_are_counted() -> None:
    decoy = Decoy(what="blip", entity="service:a", since=100, until=200)
    result = score(labels(decoys=(decoy,)), [row("service:a", 150), row("service:a", 250), row("service:b", 150)])
    assert (len(result.false), result.decoyed) == (3, 1)


def test_the_score_splits_by_kind() -> None:
    labelled = labels(issue("order:1", 100, 900, 500), issue("service:a", 100, 900, 500, kind="service.failing"))
    parts = score(labelled, [row("order:1", 200), row("service:b", 200, "service.degraded")]).by_kind()
    assert {kind: (s.found, s.missed, len(s.false)) for kind, s in parts.items()} == {
        "order.promise_at_risk": (1, 0, 0), "service.degraded": (0, 0, 1), "service.failing": (0, 1, 0),
    }  # fmt: skip


def test_another_family_of_trouble_on_the_entity_is_false_and_does_not_count_as_found() -> None:
    labelled = labels(issue("order:1", 100, 900, 500, kind="payment.double_charge", agent="billing"))
    rows = [row("order:1", 200, "order.stuck"), row("order:1", 300, "payment.amount_mismatch")]
    assert score(labelled, rows[:1]).missed == 1
    assert score(labelled, rows).false == rows[:1]
    assert (score(labelled, rows).found, score(labelled, rows).named) == (1, 0)


def test_trouble_of_a_person_may_be_named_by_the_customer_or_another_name_of_it() -> None:
    tested = issue("device:d1", 100, 900, 500, kind="payment.card_testing", agent="fraud")
    batch = issue("product:p1", 100, 900, 500, kind="complaint.burst", agent="experience", aka=["seller:s1"])
    rows = [row("customer:c1", 200, "payment.card_testing"), row("seller:s1", 200, "complaint.burst")]
    assert score(labels(tested, batch), rows).found == 2


def test_an_echo_is_neither_found_nor_false() -> None:
    echo = Echo(kind="complaint.burst", entity="lane:X-Y", since=100, until=200)
    rows = [row("lane:X-Y", 150, "complaint.burst"), row("lane:X-Y", 250, "complaint.burst")]
    result = score(msgspec.structs.replace(labels(), echoes=[echo]), rows)
    assert (result.false, result.right) == (rows[1:], [])


def test_precision_counts_each_entity_once_a_kind() -> None:
    labelled = labels(issue("order:1", 100, 900, 500))
    rows = [row("order:1", 200), row("order:1", 300), row("order:2", 200), row("order:2", 300), row("order:3", 1)]
    result = score(labelled, rows)
    assert (result.alarms, result.precision, result.recall) == ((1, 2), 1 / 3, 1.0)


def test_what_its_agent_holds_for_unlikely_is_watched_and_counts_for_nothing() -> None:
    labelled = labels(issue("order:1", 100, 900, 500))
    rows = [row("order:1", 200) | {"confidence": 0.3}, row("order:2", 200) | {"confidence": 0.49}]
    result = score(labelled, rows)
    assert (result.missed, result.false, result.watched) == (1, [], 2)
    assert score(labelled, rows, confidence_min=0.2).found == 1


def test_a_likely_complaint_is_borne_out_by_a_complaint_and_not_by_another_trouble() -> None:
    echo = Echo(kind="order.complaint_likely", entity="order:2", since=0, until=500)
    known = msgspec.structs.replace(labels(issue("order:1", 100, 900, 500)), echoes=[echo])
    likely = [row(f"order:{n}", 300, "order.complaint_likely") | {"agent": "experience"} for n in (1, 2, 3)]
    result = score(known, [*likely, row("order:1", 300) | {"confidence": 0.4}])
    assert [claim.so for claim in result.claims] == [False, True, False, True]
    assert [claim.confidence for claim in result.claims] == [1.0, 1.0, 1.0, 0.4]
    assert (result.watched, len(result.plus(result, "elsewhere").claims)) == (1, 8)
