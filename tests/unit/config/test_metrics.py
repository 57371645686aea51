"""The declarations: names by Prometheus' conventions, labels from a short list, each documented and each written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config import metrics
from config.instruments import Computed, Counter, Histogram, Metric

ROOT = Path(__file__).resolve().parents[3]
DECLARED = {name: metric for name, metric in vars(metrics).items() if isinstance(metric, Metric)}
"""Metrics by the name of their constant."""
LABELS = {
    "topic", "partition", "verdict", "reason", "severity", "stage", "step", "sink", "kind", "agent", "change",
    "outcome", "part", "cause", "worker", "process", "version", "feature", "guardrail", "level", "result",
    "role", "answer", "told", "remedy", "state", "shard", "target", "operation",
}  # fmt: skip
"""All that a label may be: what settings, flow, contracts, manifests, policies, playbooks, targets and key files bound.
Never an id."""
UNITS = ("_seconds", "_bytes", "_records", "_total", "_info", "_ratio")
UNITLESS = {
    "forestall_records_held", "forestall_partition_offset", "forestall_partition_idle", "forestall_partition_ended",
    "forestall_outbox_entries", "forestall_requests_open", "forestall_actions_open", "forestall_calls_held",
    "forestall_actions_in_line",
    "forestall_breakers", "forestall_effects_unknown", "forestall_outcomes_unpublished",
    "forestall_flow_workers", "forestall_ready", "forestall_processes", "forestall_process_open_fds",
}  # fmt: skip
"""Gauges that count things named in their name."""
ROW = re.compile(r"^\| `(forestall_[a-z_]+)` \| ([a-z]+) \| ([^|]*) \|")


@pytest.mark.parametrize("metric", DECLARED.values(), ids=lambda metric: metric.name)
def test_names_and_labels_follow_the_conventions(metric: Metric) -> None:
    assert re.fullmatch(r"forestall(_[a-z]+)+", metric.name)
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert metric.name.endswith(UNITS) or metric.name in UNITLESS
    assert set(metric.labels) <= LABELS
    assert metric.text[0].isupper() or metric.text[0].isdigit()
    assert metric.text.endswith(".")


def test_histograms_have_few_rising_bounds() -> None:
    for metric in DECLARED.values():
        if isinstance(metric, Histogram):
            assert list(metric.buckets) == sorted(set(metric.buckets))
            assert 5 <= len(metric.buckets) <= 16


def documented() -> dict[str, tuple[str, tuple[str, ...]]]:
    rows = (ROW.match(line) for line in (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8").splitlines())
    return {row[1]: (row[2], tuple(re.findall(r"`([a-z]+)`", row[3]))) for row in rows if row}


def test_every_metric_is_documented_and_no_other() -> None:
    declared = {metric.name: (metric.kind, metric.labels) for metric in DECLARED.values()}
    assert documented() == declared


@pytest.mark.parametrize("name", DECLARED)
def test_every_metric_is_written_somewhere(name: str) -> None:
    method = r"(?=\b)" if isinstance(DECLARED[name], Computed) else r"\.(add|set|observe)\("
    sources = [path for package in ("dataflows", "sinks") for path in (ROOT / package).rglob("*.py")]
    assert any(re.search(rf"\b{name}{method}", path.read_text(encoding="utf-8")) for path in sources)


def test_counters_only_rise() -> None:
    assert not any(hasattr(metric, "set") for metric in DECLARED.values() if isinstance(metric, Counter))
