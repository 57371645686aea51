"""What one decision costs when each of many rules has to be tried: none of them fires, the default decides."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

import yaml

from config.policies.bundle import Bundle
from config.policies.load import load_bundle
from operators.policy import decide

FACTS = {"kind": "order.late", "confidence": 0.8, "agent": "none", "linked": True}
WARM_UP = 500
"""Decisions before those that count: the first evaluations of an expression are slower."""


def policy(rules: int, decisions: int) -> dict[str, float]:
    """Return microseconds per decision, and per decision with what nearly fired, over a bundle of `rules` rules."""
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
    return {
        "rules": rules,
        "p50_us": quantiles(plain, n=100)[49] / 1000,
        "p99_us": quantiles(plain, n=100)[98] / 1000,
        "explained_p50_us": quantiles(explained, n=100)[49] / 1000,
        "explained_p99_us": quantiles(explained, n=100)[98] / 1000,
    }


def _bundle(folder: Path, rules: int) -> Bundle:
    types = {"kind": "string", "agent": "string", "confidence": "number", "linked": "bool"}
    document = {
        "name": "benchmark",
        "owner": "nobody",
        "escalation": "nobody",
        "version": "1.0.0",
        "effective_from": "2026-01-01T00:00:00Z",
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
