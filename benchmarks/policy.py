"""What one decision costs when each of many rules has to be tried: none of them fires, the default decides. Alone; with
the rules that nearly fired; and as the case stage makes it, from the finding to the chained records of all it stands
on: the evidence, the facts, the rules, the policy's hash.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

import yaml

from config.events import Event
from config.findings import Evidence, Finding, finding_id
from config.policies.bundle import Bundle
from config.policies.load import load_bundle
from config.policies.versions import Versions
from operators.cases import CaseLogic, CaseSettings
from operators.decide import Decider
from operators.frame import Frame
from operators.keyed import KeyedGroup
from operators.policy import decide
from sinks.chain import GENESIS, canonical, link

FACTS = {"kind": "order.late", "confidence": 0.8, "agent": "none", "linked": True}
WARM_UP = 500
"""Decisions before those that count: the first evaluations of an expression are slower."""


def policy(rules: int, decisions: int) -> dict[str, float]:
    """Return microseconds per decision over a bundle of `rules` rules: alone, with what nearly fired, and recorded."""
    with TemporaryDirectory() as folder:
        bundle = _bundle(Path(folder), rules)
    for _ in range(WARM_UP):
        decide(bundle, FACTS)
    plain, explained = [], []
    for _ in range(decisions):
        began = time.perf_counter_ns()
        verdict = decide(bundle, FACTS)
        decided = time.perf_counter_ns()
        _ = verdict.nearly
        plain.append(decided - began)
        explained.append(time.perf_counter_ns() - began)
    found = {"rules": float(rules)}
    spans = {"": plain, "explained_": explained, "recorded_": _recorded(bundle, decisions)}
    for name, span in spans.items():
        cuts = quantiles(span, n=100)
        found |= {f"{name}p50_us": cuts[49] / 1000, f"{name}p99_us": cuts[98] / 1000}
    return found


def _recorded(bundle: Bundle, decisions: int) -> list[int]:
    """Return nanoseconds from each finding, of a customer of its own, to its records, encoded and chained."""
    group = KeyedGroup(CaseLogic(Decider(Versions((bundle,)), "act"), CaseSettings()), ["in"])
    spans, chain = [], GENESIS
    for number in range(WARM_UP + decisions):
        event = _finding(number)
        began = time.perf_counter_ns()
        group.receive(Frame(0, "in", event.at + 1, [event]))
        said = [each for _, each in group.advance()]
        for each in said:
            chain = link(chain, "part-000", number, each.type, each.id, each.at, each.key, canonical(each.data))
        spans.append(time.perf_counter_ns() - began)
        assert [each.type for each in said] == ["finding", "case.opened", "decision"]
    return spans[WARM_UP:]


def _finding(number: int) -> Event:
    """Return a finding that stands on eight records and eight measures."""
    at, entity = 1_700_000_000_000_000 + number * 1_000_000, f"order:o{number}"
    named = ("none", "order.late", entity, "once")
    records = [("orders", number % 4, 8 * number + each) for each in range(8)]
    features: dict[str, float | int | str | None] = {f"measure_{each}": number + each / 7 for each in range(8)}
    evidence = Evidence(records=records, features=features)
    finding = Finding(
        finding_id=finding_id(*named),
        agent=named[0],
        kind=named[1],
        entity=entity,
        customer=f"c{number}",
        occurrence=named[3],
        at=at,
        severity="high",
        confidence=0.8,
        reason="The order will likely miss its promise.",
        evidence=evidence,
    )
    return finding.event(finding.customer)


def _bundle(folder: Path, rules: int) -> Bundle:
    types = {"kind": "string", "agent": "string", "confidence": "number", "linked": "bool"}
    document = {
        "name": "benchmark",
        "owner": "nobody",
        "escalation": "nobody",
        "version": "1.0.0",
        "effective_from": "1970-01-01T00:00:00Z",
        "facts": {name: {"type": fact_type, "description": name} for name, fact_type in types.items()},
        "remedies": {},
        "tables": ["rules.yaml"],
        "default": {"outcome": "recommend", "reason": "No rule for {kind}."},
    }
    table = {
        "table": "t",
        "owner": "nobody",
        "kinds": ["order.*"],
        "rules": [
            {
                "id": f"r{number}",
                "description": "d",
                "when": f"agent == 'k{number}' && confidence > 0.{number} && linked",
                "outcome": "observe",
                "reason": "r",
            }
            for number in range(rules)
        ],
    }
    (folder / "bundle.yaml").write_text(yaml.safe_dump(document))
    (folder / "rules.yaml").write_text(yaml.safe_dump(table))
    return load_bundle(folder)
