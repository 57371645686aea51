from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from config.agents.load import Manifest, Source, load_manifest, load_manifests
from operators.evidence import Sources, combined, speaking, strongest


def manifest(folder: Path, agent: str, findings: list[str], source: Any) -> Manifest:
    path = folder / f"{agent}.yaml"
    document = {
        **{"agent": agent, "owner": "team", "escalation": "rota", "version": "1", "lifecycle": "active"},
        **{"inputs": ["order.placed"], "findings": findings, "side_effects": [], "detectors": []},
        "model_card": {"purpose": "p", "method": "m", "limits": "l", "evaluation": "e"},
        "source": source,
    }
    path.write_text(yaml.safe_dump(document))
    return load_manifest(path)


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    voice = {
        "family": "customer-voice",
        "reliability": 0.9,
        "kinds": {"order.complaint_likely": {"family": "order-records", "reliability": 0.5}},
    }
    return Sources(
        {
            "fulfilment": manifest(tmp_path, "fulfilment", ["order.promise_passed"], {"family": "order-records"}),
            "experience": manifest(tmp_path, "experience", ["complaint.burst", "order.complaint_likely"], voice),
        }
    )


def test_each_kind_of_finding_has_the_source_its_manifest_says(sources: Sources) -> None:
    assert sources.of("experience", "complaint.burst") == Source("customer-voice", 0.9)
    assert sources.of("experience", "order.complaint_likely") == Source("order-records", 0.5)
    assert sources.of("fulfilment", "order.promise_passed") == Source("order-records", 1.0)
    assert sources.of("fulfilment", "anything") == Source("order-records", 1.0)
    assert sources.of("stranger", "anything") == Source("stranger", 1.0)


def test_what_was_counted_from_findings_stands_on_their_source(sources: Sources) -> None:
    assert sources.of("cause", "seller.degraded", "complaint.burst").family == "customer-voice"
    assert sources.of("cause", "seller.degraded", "unheard of").family == "cause"


def test_no_two_agents_of_the_project_find_one_kind() -> None:
    kinds = [kind for each in load_manifests().values() for kind in each.findings]
    assert len(kinds) == len(set(kinds))


def test_unreliable_source_is_worth_less() -> None:
    assert combined(strongest([(Source("a", 0.5), 0.8)])) == 0.4


def test_one_family_says_nothing_twice_and_two_families_do() -> None:
    assert combined(strongest([(Source("a"), 0.5), (Source("a"), 0.6)])) == 0.6
    assert combined(strongest([(Source("a"), 0.5), (Source("b"), 0.6)])) == 0.8
    assert combined({}) == 0.0


def test_family_that_is_more_likely_wrong_than_right_speaks_for_nobody() -> None:
    assert speaking({"a": 0.5, "b": 0.9, "c": 0.49}) == 2


EVIDENCE = st.lists(
    st.tuples(st.builds(Source, st.sampled_from("abcd"), st.floats(0.1, 1)), st.floats(0, 1)), min_size=1, max_size=8
)


@given(EVIDENCE, st.randoms(use_true_random=False))
def test_weight_of_evidence_does_not_depend_on_its_order(evidence: list[tuple[Source, float]], chance: Any) -> None:
    shuffled = evidence.copy()
    chance.shuffle(shuffled)
    assert combined(strongest(evidence)) == combined(strongest(shuffled))


@given(EVIDENCE)
def test_more_evidence_never_makes_less_sure(evidence: list[tuple[Source, float]]) -> None:
    parts = [combined(strongest(evidence[:end])) for end in range(1, len(evidence) + 1)]
    assert parts == sorted(parts)
    assert 0.0 <= parts[-1] <= 1.0
