from pathlib import Path
from typing import Any

import pytest

from config.agents.load import load_manifests
from config.clock import DAY
from config.policies.bundle import Bundle
from config.policies.signatures import ROLE, Signed
from operators.case import Case, OpenFinding, row_of
from operators.decide import Decider, Surroundings
from operators.evidence import Sources
from operators.policy_trust import Trust, enforced, judge
from tests.support.approvals import keys_of, public_key
from tests.support.findings import finding
from tests.support.policies import bundle_of, rule

MANIFESTS = {"fulfilment": load_manifests()["fulfilment"]}
KEYS = keys_of(*(public_key(name, ROLE) for name in ("ben", "maria", "zoe")), public_key("kim", "customer-operations"))
STRICT, USUAL, LOOSE = "confidence > 0.95", "confidence > 0.9", "confidence > 0.8"


def version(folder: Path, number: int, when: str) -> Bundle:
    """The version that decides from day `number` on, and acts where `when` holds."""
    since = f"1970-01-{1 + number:02d}T00:00:00Z"
    a = rule("a", when, "act", "ticket")
    return bundle_of(folder / str(number), a, version=f"{number}.0.0", effective_from=since)


def judged(folder: Path, *versions: tuple[str, tuple[str, ...]]) -> list[Trust]:
    """Return what versions may do, each given by its condition and whoever signed it."""
    made = [(version(folder, number, when), Signed(by)) for number, (when, by) in enumerate(versions)]
    return judge(made, KEYS, MANIFESTS)


@pytest.mark.parametrize(
    ("first", "second", "by", "change", "needed", "decides"),
    [
        (USUAL, LOOSE, (), "loosening", 2, False),
        (USUAL, LOOSE, ("ben",), "loosening", 2, False),
        (USUAL, LOOSE, ("ben", "maria"), "loosening", 2, True),
        (USUAL, STRICT, (), "tightening", 1, False),
        (USUAL, STRICT, ("ben",), "tightening", 1, True),
        (USUAL, USUAL, ("ben",), "equivalent", 1, True),
        (USUAL, f"{USUAL} || confidence * 0.0 > 1.0", ("ben",), "undecided", 2, False),
    ],
)
def test_loosening_wants_two_people_and_tightening_one(
    tmp_path: Path, first: str, second: str, by: tuple[str, ...], change: str, needed: int, decides: bool
) -> None:
    trust = judged(tmp_path, (first, ("ben", "maria")), (second, by))[1]
    assert (trust.change, trust.needed, trust.refusal == "") == (change, needed, decides)
    assert trust.before == "0.0.0"


@pytest.mark.parametrize(("by", "decides"), [((), False), (("ben",), False), (("ben", "zoe"), True)])
def test_first_version_wants_two_people(tmp_path: Path, by: tuple[str, ...], decides: bool) -> None:
    (trust,) = judged(tmp_path, (USUAL, by))
    assert (trust.change, trust.needed, trust.refusal == "") == ("first", 2, decides)


def test_version_is_held_against_the_last_that_may_decide(tmp_path: Path) -> None:
    both = ("ben", "maria")
    trusts = judged(tmp_path, (USUAL, both), (LOOSE, ("ben",)), ("confidence > 0.85", ("maria",)))
    assert [(trust.before, trust.change, trust.refusal == "") for trust in trusts] == [
        ("", "first", True),
        ("0.0.0", "loosening", False),
        ("0.0.0", "loosening", False),
    ]


def test_refusal_says_what_lacks_and_who_may_change_it(tmp_path: Path) -> None:
    refusal = judged(tmp_path, (USUAL, ("ben", "maria")), (LOOSE, ("ben",)))[1].refusal
    assert refusal == (
        "Policy small 1.0.0 may shadow only: it has 1 of 2 signatures (ben), and needs as many because it is looser "
        "than 0.0.0 in places. With the role policy-author, maria or zoe may sign it; security may give that role to "
        "others."
    )
    made = [(version(tmp_path, 0, USUAL), Signed((), ("the signature of eve does not count: forged",)))]
    (trust,) = judge(made, keys_of(), MANIFESTS)
    assert "The signature of eve does not count: forged." in trust.refusal
    assert "nobody else may sign it" in trust.refusal


def decided(policy: Any, now: int, mode: Any = "act") -> Any:
    found = finding(at=0, confidence=0.93, severity="high", kind="order.stuck")
    case = Case("case-1", found.entity, 0, findings=1, open={"slot": OpenFinding.of(found, policy.features)})
    around = Surroundings(open_cases=1, linked=False, contacts=0, kind_confidence=0.93)
    return Decider(policy, mode).decide(case, row_of(case, "c1", "c1", "", now, Sources()), around, now)


def test_version_that_may_shadow_only_is_recorded_while_the_one_before_it_decides(tmp_path: Path) -> None:
    trusts = judged(tmp_path, (STRICT, ("ben", "maria")), (LOOSE, ("ben",)), (USUAL, ("ben", "maria")))
    policy = enforced(trusts)
    assert [decided(policy, day * DAY).outcome for day in range(3)] == ["recommend", "recommend", "act"]
    assert [decided(policy, day * DAY).decision["bundle"] for day in range(3)] == [
        trusts[place].bundle.hash for place in (0, 0, 2)
    ]
    shadows = [decided(policy, day * DAY).shadows for day in range(3)]
    assert [len(each) for each in shadows] == [0, 1, 0]
    (shadow,) = shadows[1]
    assert (shadow["outcome"], shadow["bundle"], shadow["shadow"]) == ("act", trusts[1].bundle.hash, True)


def test_nothing_is_decided_where_no_version_may(tmp_path: Path) -> None:
    policy = enforced(judged(tmp_path, (LOOSE, ("ben",))))
    live = decided(policy, DAY)
    assert (live.outcome, live.remedy, live.rule, live.action, live.is_live) == ("observe", "", "none", None, False)
    assert live.decision["bundle"] == ""
    assert "maria or zoe may sign it" in live.decision["reason"]
    assert live.shadows[0]["outcome"] == "act"
    assert policy.is_live("fulfilment", "order.stuck", DAY)
