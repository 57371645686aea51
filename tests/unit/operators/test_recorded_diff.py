from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.clock import from_text
from config.policies.bundle import Bundle
from operators.policy import decide
from operators.recorded_diff import RecordedDiff, Segment
from tests.support.examples import examples
from tests.support.policies import GIVEN, REMEDIES, bundle_of, rule

TELL = rule("tell", "confidence > 0.9", "act", "notify")


def held(old: Bundle, new: Bundle, *facts: dict[str, Any], mode: str = "") -> RecordedDiff:
    diff = RecordedDiff(old, new, mode)
    for number, each in enumerate(facts):
        diff.add(f"case-{number}", 0, GIVEN | each)
    return diff


def test_what_would_have_been_decided_otherwise_is_counted_by_segment(tmp_path: Path) -> None:
    old = bundle_of(tmp_path / "old", TELL)
    new = bundle_of(tmp_path / "new", rule("tell", "confidence > 0.5", "act", "notify"))
    facts = [{"confidence": each, "money_at_risk": 10.0 * each} for each in (0.95, 0.7, 0.6, 0.4)]
    diff = held(old, new, *facts, {"kind": "refund.due", "confidence": 0.7})
    assert diff.decisions == 5
    segment = Segment("fulfilment", "order.late", "recommend", "", "act", "notify")
    assert list(diff.segments) == [segment]
    treated = diff.segments[segment]
    assert (treated.decisions, treated.cases) == (2, {"case-1": 7.0, "case-2": 6.0})
    assert treated.rules == {("default", "t/tell"): 2}
    assert diff.cases == {"case-1", "case-2"}


def test_money_of_a_case_counts_once_and_at_its_most(tmp_path: Path) -> None:
    old, new = bundle_of(tmp_path / "old", TELL), bundle_of(tmp_path / "new", rule("x", "true", "act", "notify"))
    diff = RecordedDiff(old, new)
    for money in (10.0, 30.0, 20.0):
        diff.add("case", 0, GIVEN | {"confidence": 0.1, "money_at_risk": money})
    assert diff.newly_acted(moving_money=False) == {"case": 30.0}


def test_money_newly_moved_is_told_from_what_is_newly_done(tmp_path: Path) -> None:
    old = bundle_of(tmp_path / "old", rule("a", "linked", "act", "ticket"))
    new = bundle_of(
        tmp_path / "new",
        rule("b", "linked && money_at_risk > 50.0", "act", "credit"),
        rule("a", "true", "act", "ticket"),
    )
    sources = {"source_families": 2}
    diff = held(old, new, {"linked": True} | sources, {"linked": True, "money_at_risk": 20.0}, {"money_at_risk": 30.0})
    assert diff.newly_acted(moving_money=True) == {"case-0": 80.0}
    assert diff.newly_acted(moving_money=False) == {"case-2": 30.0}
    alone = held(old, new, {"linked": True, "source_families": 1})
    assert [segment.new_outcome for segment in alone.segments] == ["approve"]
    assert alone.newly_acted(moving_money=True) == {}


def test_parameters_that_are_written_otherwise_are_another_treatment(tmp_path: Path) -> None:
    def policy(name: str, cap: Any, outcome: str = "act") -> Bundle:
        return bundle_of(tmp_path / name, rule("a", "true", outcome, "ticket", parameters={"cap": cap}))

    assert len(held(policy("a", "{money_at_risk}"), policy("b", 50), {}).segments) == 1
    assert len(held(policy("a", "{money_at_risk}"), policy("b", "{money_at_risk}"), {}).segments) == 0
    assert len(held(policy("a", 1, "recommend"), policy("b", 2, "recommend"), {}).segments) == 0


def test_job_may_be_judged_as_if_it_had_another_mode(tmp_path: Path) -> None:
    old, new = bundle_of(tmp_path / "old", TELL), bundle_of(tmp_path / "new", rule("x", "true", "act", "notify"))
    facts = {"confidence": 0.1, "mode": "observe"}
    assert held(old, new, facts).segments == {}
    assert [each.new_outcome for each in held(old, new, facts, mode="act").segments] == ["act"]


def test_decision_without_a_fact_that_is_wanted_is_not_judged(tmp_path: Path) -> None:
    old, new = bundle_of(tmp_path / "old", TELL), bundle_of(tmp_path / "new", rule("x", "eta == null", "act", "notify"))
    diff = RecordedDiff(old, new)
    diff.add("case", 0, {name: value for name, value in GIVEN.items() if name != "eta"})
    assert (diff.unknown, diff.segments, diff.decisions) == ({"eta": 1}, {}, 1)


def test_flags_are_as_they_were_then(tmp_path: Path) -> None:
    flags = {"trial": {"value": True, "description": "d", "expires": "2026-06-01T00:00:00Z"}}
    old = bundle_of(tmp_path / "old", TELL)
    new = bundle_of(tmp_path / "new", rule("x", "trial", "act", "ticket"), flags=flags)
    diff, expires = RecordedDiff(old, new), from_text("2026-06-01T00:00:00Z")
    for case, at in (("before", expires - 1), ("after", expires)):
        diff.add(case, at, GIVEN | {"confidence": 0.1})
    assert diff.cases == {"before"}


# -- held against deciding on every single one -----------------------------------------------------------------------

CONDITIONS = [
    "confidence > 0.5",
    "confidence >= 0.9 || linked",
    "severity in ['high', 'critical'] && contacts_30d < 2.0",
    "tickets != null && tickets > 0.0",
    "eta != null && eta > 1000",
    "money_at_risk * confidence > 40.0",
    "agent == 'fraud'",
    "mode == 'act'",
    "open_remedy == ''",
    "source_families >= 3.0",
]
SAYS = [("observe", ""), ("recommend", "ticket"), ("approve", "ticket"), ("act", "notify"), ("act", "credit")]
RULES = st.lists(st.tuples(st.sampled_from(CONDITIONS), st.sampled_from(SAYS)), min_size=1, max_size=4)
NUMBERS = st.one_of(
    st.sampled_from([0, 0.5, 0.9, 1, 2, 3, -1.0, 1e19, float("nan"), None, "many", True]), st.floats(0, 1)
)
FACTS = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["order.late", "order.stuck"]),
        "agent": st.sampled_from(["fulfilment", "fraud", None]),
        "severity": st.sampled_from(["low", "high", "other", None, 3]),
        "confidence": NUMBERS,
        "money_at_risk": st.one_of(NUMBERS, st.floats(0, 1000)),
        "source_families": st.sampled_from([0, 1, 2, 3, None]),
        "contacts_30d": st.sampled_from([0, 1, 2, 3]),
        "linked": st.sampled_from([True, False, None, 1]),
        "mode": st.sampled_from(["act", "recommend", "observe"]),
        "open_remedy": st.sampled_from(["", "ticket"]),
        "eta": st.sampled_from([None, 0, 1000, 1001, 2**62, 1.5]),
        "tickets": NUMBERS,
    },
)
"""Changes of the facts given: few, so that many are alike but for the one that matters."""


@pytest.mark.slow
@given(RULES, RULES, st.lists(FACTS, min_size=20, max_size=60))
@examples(150)
def test_deciding_once_on_what_is_alike_is_deciding_on_each(old: Any, new: Any, recorded: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as folder:
        before, after = (
            bundle_of(Path(folder) / name, *(rule(f"r{n}", when, *says) for n, (when, says) in enumerate(rules)))
            for name, rules in (("old", old), ("new", new))
        )
    diff = RecordedDiff(before, after)
    expected = set()
    for number, changes in enumerate(recorded):
        facts = GIVEN | changes
        diff.add(str(number), 0, dict(facts))
        one, other = (
            (verdict.outcome, verdict.remedy if verdict.outcome != "observe" else "")
            for verdict in (decide(before, facts), decide(after, facts))
        )
        if one != other:
            expected.add(str(number))
            segment = Segment(str(facts["agent"]), facts["kind"], *one, *other)
            assert str(number) in diff.segments[segment].cases
    assert diff.cases == expected
    assert set(REMEDIES) >= {segment.new_remedy for segment in diff.segments if segment.new_remedy}
