"""The comparison of policies over all facts, held against trying all of them."""

from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.agents.load import load_manifests
from config.expressions import Bound
from config.policies.bundle import Bundle
from config.policies.conditions import atoms, take_apart
from config.policies.documents import OUTCOMES
from config.policies.load import load_bundle, load_default
from config.policies.modes import tightest
from config.policies.regions import regions_by_fact
from config.policies.rules import SAMPLES
from operators import looser
from operators.looser import Comparison, compare
from operators.policy import bounded, decide, unfilled
from tests.support.examples import examples
from tests.support.policies import GIVEN, REMEDIES, bundle_of, rule, write_bundle

MANIFESTS = {"fulfilment": load_manifests()["fulfilment"]}
"""One agent alone, so that trying all facts takes no time."""
KINDS = ("order.stuck", "order.other", "refund.due")
"""One that the agent finds, another of the tables', and one of no table."""


def pair(folder: Path, old: list[Any], new: list[Any], **changes: Any) -> Comparison:
    modes = changes.pop("modes", [])
    bundles = bundle_of(folder / "old", *old), bundle_of(folder / "new", *new, modes=modes, **changes)
    return compare(*bundles, MANIFESTS)


ACT, ASK, SHOW = ("act", "ticket"), ("approve", "ticket"), ("recommend", "ticket")


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        (("linked", *ACT), ("linked", *ACT), "equivalent"),
        (("linked", *ASK), ("linked", *ACT), "loosening"),
        (("linked", *ACT), ("linked", *ASK), "tightening"),
        (("linked", *SHOW), ("linked", *ASK), "loosening"),
        (("linked", "observe"), ("linked", *SHOW), "loosening"),
        (("confidence > 0.9", *ACT), ("confidence > 0.8", *ACT), "loosening"),
        (("confidence > 0.9", *ACT), ("confidence >= 0.9", *ACT), "loosening"),
        (("confidence > 0.8", *ACT), ("confidence > 0.9", *ACT), "tightening"),
        (("confidence > 0.8 && linked", *ACT), ("linked && !(confidence <= 0.8)", *ACT), "equivalent"),
        (("linked", "act", "ticket"), ("linked", "act", "notify"), "loosening"),
        (("linked", "approve", "ticket"), ("linked", "approve", "credit"), "loosening"),
        (("linked", "recommend", "ticket"), ("linked", "recommend", "notify"), "equivalent"),
        (("kind == 'order.stuck'", *ACT), ("kind == 'order.stuck' || kind == 'order.lost'", *ACT), "loosening"),
        (("confidence > 0.9", *ACT), ("confidence * 1.0 > 0.95", *ACT), "undecided"),
        (("confidence > 0.9", *ACT), ("confidence * 1.0 > 0.85", *ACT), "loosening"),
        (("size(severity) > 3", *ACT), ("size(severity) > 3 && linked", *ACT), "tightening"),
        (("confidence > money_at_risk", *ASK), ("confidence > money_at_risk", *ACT), "loosening"),
    ],
)
def test_change_is_told_for_what_it_is(tmp_path: Path, old: Any, new: Any, change: str) -> None:
    found = pair(tmp_path, [rule("a", *old)], [rule("a", *new)])
    assert found.change == change
    assert bool(found.looser) == (change == "loosening")
    if change in ("undecided", "equivalent"):
        assert bool(found.undecided) == (change == "undecided")


def test_counterexample_is_decided_by_both_as_it_says(tmp_path: Path) -> None:
    old, new = rule("a", "confidence > 0.9 && linked", *ACT), rule("a", "confidence > 0.8 && linked", *ACT)
    found = pair(tmp_path, [old], [new])
    place = found.looser[0]
    assert (place.kind, place.old_rule, place.new_rule) == ("order.promise_at_risk", "default", "t/a")
    assert (place.old_outcome, place.new_outcome, place.new_remedy) == ("recommend", "act", "ticket")
    assert 0.8 < place.facts["confidence"] <= 0.9
    assert place.facts["linked"] is True
    assert place.facts["mode"] == "act"


def test_what_a_calculation_comes_to_is_named_where_it_decides(tmp_path: Path) -> None:
    found = pair(tmp_path, [rule("a", "linked", *ACT)], [rule("a", "linked || confidence * 0.0 > 1.0", *ACT)])
    assert {place.because for place in found.undecided} == {"it depends on what confidence * 0.0 > 1.0 comes to"}


@pytest.mark.parametrize(
    ("changes", "change"),
    [
        ({"modes": [{"mode": "supervised", "reason": "r"}]}, "tightening"),
        ({"modes": [{"mode": "shadow", "reason": "r", "agent": "fulfilment"}]}, "tightening"),
        ({"modes": [{"mode": "off", "reason": "r", "rule": "t/a"}]}, "loosening"),
        ({"modes": [{"mode": "autonomous", "reason": "r"}]}, "equivalent"),
        ({"modes": [{"mode": "recommend", "reason": "r", "when": "confidence > 0.5"}]}, "tightening"),
        ({"default": {"outcome": "observe", "reason": "r"}}, "tightening"),
        ({"default": {"outcome": "approve", "reason": "r", "remedy": "ticket"}}, "loosening"),
        ({"remedies": REMEDIES | {"ticket": {"system": "crm", "valid_for": "1h"}}}, "equivalent"),
        ({"remedies": REMEDIES | {"ticket": {"system": "crm", "valid_for": "90h"}}}, "loosening"),
        ({"remedies": REMEDIES | {"ticket": {"system": "erp", "valid_for": "48h"}}}, "loosening"),
        ({"owner": "somebody else", "version": "9"}, "equivalent"),
        ({"approvals": {"two_people_from": 2_000.0}}, "loosening"),
        ({"approvals": {"two_people_from": 500.0}}, "tightening"),
        ({"approvals": {"two_people_if_irreversible": False, "two_people_from": 500.0}}, "loosening"),
        ({"approvals": {"ladders": {"*": [{"after": "1h", "to": "team-c"}]}}}, "undecided"),
    ],
)
def test_all_that_bears_on_a_decision_counts(tmp_path: Path, changes: dict[str, Any], change: str) -> None:
    if "remedies" in changes:
        changes = {"remedies": {name: each | {"description": "d"} for name, each in changes["remedies"].items()}}
    rules = [rule("a", "severity == 'low'"), rule("b", "linked", *ACT)]
    assert pair(tmp_path, rules, rules, **changes).change == change


def test_others_who_consent_are_a_loosening(tmp_path: Path) -> None:
    asks = rule("a", "linked", *ASK)
    assert pair(tmp_path, [asks], [asks | {"owner": "team-c"}]).change == "loosening"
    acts = rule("a", "linked", *ACT)
    assert pair(tmp_path, [acts], [acts | {"owner": "team-c"}]).change == "equivalent"


def test_two_sources_are_wanted_for_money_by_both(tmp_path: Path) -> None:
    asks = rule("a", "linked && source_families < 2.0", "approve", "credit")
    acts = rule("a2", "linked", "act", "credit")
    assert pair(tmp_path, [asks, acts], [acts]).looser == []
    paid = REMEDIES | {"credit": REMEDIES["credit"] | {"moves_money": False}}
    described = {name: each | {"description": "d"} for name, each in paid.items()}
    assert pair(tmp_path, [acts], [acts], remedies=described).change == "loosening"


def flag(value: bool, expires: str = "2026-06-01T00:00:00Z") -> dict[str, Any]:
    return {"trial": {"value": value, "description": "d", "expires": expires}}


def test_flags_are_as_each_policy_has_them_in_the_course_of_time(tmp_path: Path) -> None:
    rules = [rule("a", "trial && linked", *ACT)]

    def change(old: dict[str, Any], new: dict[str, Any]) -> str:
        before, after = (bundle_of(tmp_path / name, *rules, flags=of) for name, of in (("a", old), ("b", new)))
        return compare(before, after, MANIFESTS).change

    assert change(flag(True), flag(True)) == "equivalent"
    assert change(flag(False), flag(True)) == "loosening"
    assert change(flag(True), flag(False)) == "tightening"
    assert change(flag(True), flag(True, "2026-07-01T00:00:00Z")) == "loosening"


@pytest.mark.parametrize("taken", ["feature: other", "hours_until: tickets"])
def test_fact_taken_from_elsewhere_makes_it_undecided(tmp_path: Path, taken: str) -> None:
    old = write_bundle(tmp_path / "old", rule("a", "tickets != null && tickets > 1.0", *ACT))
    new = write_bundle(tmp_path / "new", rule("a", "tickets != null && tickets > 1.0", *ACT))
    main = new / "bundle.yaml"
    main.write_text(main.read_text().replace("feature: tickets", taken))
    found = compare(load_bundle(old), load_bundle(new), MANIFESTS)
    assert found.change == "undecided"
    assert "fact tickets is another" in found.undecided[0].because


def test_what_is_too_complex_is_undecided_not_equivalent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operators.boxes.BOXES_MAX", 1)
    rules = [rule("a", "linked || confidence > 0.5", *ACT)]
    assert pair(tmp_path, rules, rules).change == "undecided"


def test_default_policy_is_what_it_is_and_bounds_on_places_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, manifests = load_default(), load_manifests()
    found = compare(bundle, bundle, manifests)
    assert (found.change, found.tighter, len(found.kinds) > 20) == ("equivalent", [], True)
    monkeypatch.setattr(looser, "FOUND_MAX", 1)
    nothing = compare(Bundle(**{**_fields(bundle), "tables": ()}), bundle, manifests)
    assert (nothing.change, len(nothing.looser)) == ("loosening", 1)


def _fields(bundle: Bundle) -> dict[str, Any]:
    return {name: getattr(bundle, name) for name in bundle.__dataclass_fields__ if name != "_by_kind"}


# -- held against trying all facts -----------------------------------------------------------------------------------

PARTS = st.sampled_from(
    [
        "linked",
        "confidence > 0.5",
        "confidence >= 0.9",
        "(tickets != null && tickets > 0.0)",
        "(tickets == null || tickets > 2.0)",
        "kind == 'order.stuck'",
        "mode == 'act'",
        "source_families > 1.0",
        "true",
        "confidence * 2.0 > money_at_risk",
    ]
)
CONDITIONS = st.recursive(
    PARTS,
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
    ),
    max_leaves=3,
)
SAYS = st.sampled_from([("observe", ""), SHOW, ASK, ACT, ("act", "notify"), ("act", "credit"), ("approve", "credit")])
RULES = st.lists(st.tuples(CONDITIONS, SAYS), min_size=1, max_size=3)
MODES = st.lists(
    st.fixed_dictionaries(
        {"mode": st.sampled_from(["off", "shadow", "recommend", "supervised"]), "reason": st.just("r")},
        optional={
            "rule": st.sampled_from(["t/r0", "t/*", "default"]),
            "agent": st.sampled_from(["fulfilment", "cause"]),
            "kind": st.sampled_from(["order.*", "order.stuck"]),
            "when": st.sampled_from(["linked", "confidence > 0.7"]),
        },
    ),
    max_size=2,
)


def all_facts(old: Bundle, new: Bundle, kind: str) -> Any:
    """Yield facts of every region of every fact that any rule names."""
    conditions = [rule.when for bundle in (old, new) for rule in bundle.rules]
    conditions += [mode.when for bundle in (old, new) for mode in bundle.modes if mode.when]
    named = [atom for condition in conditions for atom in atoms(take_apart(condition.source))]
    found = {name: [r.sample for r in its] for name, its in regions_by_fact(old.facts, named).items()}
    if any("*" in condition.source for condition in conditions):
        found |= {"confidence": [0.1, 0.5, 0.95, 3.0], "money_at_risk": [0.0, 1.5, 10.0]}
    found |= {"kind": [kind], "mode": list(OUTCOMES), "source_families": [0.0, 1.0, 1.5, 2.0]}
    found["agent"] = ["fulfilment"] if kind == KINDS[0] else ["fulfilment", "cause", "else"]
    for values in product(*found.values()):
        yield {name: SAMPLES[fact.type] for name, fact in old.facts.items()} | dict(zip(found, values, strict=True))


def left(bundle: Bundle, facts: dict[str, Any]) -> tuple[int, int, str]:
    """Return how far a policy goes, how far it would in a job that holds nothing back, and with which remedy."""
    verdict = decide(bundle, facts)
    said = {rule.id: unfilled(rule) for rule in (*bundle.rules, bundle.default)}.get(verdict.rule, verdict)
    mode = tightest(bundle.plan(facts["kind"]).modes, facts["agent"], verdict.rule, Bound(facts))
    free = bounded(bundle, said, facts | {"mode": "act"}, mode)
    return OUTCOMES.index(verdict.outcome), OUTCOMES.index(free.outcome), verdict.remedy


def is_looser(old: Bundle, new: Bundle, facts: dict[str, Any]) -> bool:
    before, after = left(old, facts), left(new, facts)
    other = after[2] not in ("", before[2]) and after[0] >= OUTCOMES.index("approve")
    return after[1] >= before[1] and (after[0] > before[0] or (after[0] == before[0] and other))


def is_tighter(old: Bundle, new: Bundle, facts: dict[str, Any]) -> bool:
    before, after = left(old, facts), left(new, facts)
    return after[1] <= before[1] and after[0] < before[0]


@given(RULES, RULES, MODES, MODES)
@examples(25)
def test_looser_is_found_where_trying_all_facts_finds_it_and_nowhere_else(
    old: Any, new: Any, old_modes: Any, new_modes: Any
) -> None:
    with TemporaryDirectory() as folder:
        before, after = (
            bundle_of(
                Path(folder) / name, *(rule(f"r{n}", when, *says) for n, (when, says) in enumerate(rules)), modes=modes
            )
            for name, rules, modes in (("old", old, old_modes), ("new", new, new_modes))
        )
    found = compare(before, after, MANIFESTS)
    tried = [facts for kind in KINDS for facts in all_facts(before, after, kind)]
    looser_anywhere = any(is_looser(before, after, facts) for facts in tried)
    if "*" in f"{old}{new}":  # a calculation
        assert not looser_anywhere or found.looser or found.undecided
    else:
        assert found.undecided == []
        assert bool(found.looser) == looser_anywhere
        assert bool(found.tighter) == any(is_tighter(before, after, facts) for facts in tried)
    for place in found.looser:
        assert is_looser(before, after, GIVEN | dict(place.facts))
