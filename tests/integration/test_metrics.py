"""Metrics of real jobs: a page a real Prometheus reads, figures that agree with the store, a readiness that is true."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from config import metrics
from config.instruments import FOLDER, Metric
from dataflows.readings import Readings
from sinks.store import Store
from tests.support.commands import ROOT, end, eventually, forestall, logs, start, store_url
from tests.support.metrics import Series, series, total, value
from tests.support.prometheus import Programs, fetch, free_port

pytestmark = pytest.mark.slow

BUNDLED = ROOT / "replay" / "bundled"
SPEED = "30000"
"""The nine bundled weeks in three minutes: no test sees their end."""
STALLED_AFTER_S = 3
LIVE_ONLY = {"forestall_consumer_errors_total", "forestall_producer_errors_total"}
"""What only a broker can bring about."""
SELDOM = {
    "forestall_feature_drifts_total",
    "forestall_held_back_total",
    "forestall_requests_total",
    "forestall_answers_total",
    "forestall_refused_answers_total",
    "forestall_escalations_total",
    "forestall_requests_ended_total",
    "forestall_answer_seconds",
    "forestall_requests_open",
    "forestall_requests_oldest_timestamp_seconds",
    "forestall_requests_age_seconds",
}
"""What takes people, or a change of what is measured."""
CARRIED_OUT = {
    "forestall_autonomy_changes_total",
    "forestall_autonomy_outcomes_total",
    "forestall_actions_total",
    "forestall_compensations_total",
    "forestall_actions_open",
    "forestall_call_seconds",
    "forestall_calls_held",
    "forestall_actions_in_line",
    "forestall_breakers",
    "forestall_effects_unknown",
    "forestall_unknown_oldest_timestamp_seconds",
    "forestall_unknown_age_seconds",
    "forestall_outcomes_unpublished",
    "forestall_flags_heard_timestamp_seconds",
}
"""What takes actions that are carried out."""


@dataclass(frozen=True)
class Job:
    """A replay that runs, by two processes."""

    process: subprocess.Popen[str]
    address: str
    recovery: Path

    def get(self, path: str) -> tuple[int, str]:
        return fetch(f"http://{self.address}{path}")

    def is_ready(self) -> bool:
        assert self.process.poll() is None, logs(self.recovery)
        return self.get("/health/ready")[0] == 200

    def pid(self, worker: int) -> int:
        return int((self.recovery / FOLDER / f"{worker}.pid").read_text())


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    tmp_path = tmp_path_factory.mktemp("job")
    config = tmp_path / "job.toml"
    config.write_text(f'[metrics]\nstalled_after = "{STALLED_AFTER_S}s"\n[time]\nidle_timeout = "5s"\n')
    port, store = free_port(), tmp_path / "store.db"
    options = ("--store", store_url(store), "--config", config, "--processes", 2, "--speed", SPEED)
    process = start("replay", BUNDLED, *options, "--metrics-port", port)
    running = Job(process, f"127.0.0.1:{port}", tmp_path / "store.db.recovery")
    try:
        yield running
    finally:
        process.terminate()
        assert end(process).code == 0


@pytest.fixture
def job(started: Job) -> Iterator[Job]:
    """The job, ready; what a test does to its workers is undone."""
    eventually(started.is_ready, "the job is ready")
    yield started
    for number in (0, 1):
        os.kill(started.pid(number), signal.SIGCONT)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Series, Path, dict[str, Any]]:
    """What a whole replay has counted, its store, and what it printed."""
    folder = tmp_path_factory.mktemp("finished")
    store, port = folder / "store.db", free_port()
    printed = forestall("replay", BUNDLED, "--store", store_url(store), "--metrics-port", port, "--json").document
    readings = Readings(folder / "store.db.recovery" / FOLDER, 1)
    found = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in readings.families(0.0, ready=True)
        for sample in family.samples
    }
    return found, store, printed


def test_what_was_counted_agrees_with_the_store(finished: tuple[Series, Path, dict[str, Any]]) -> None:
    found, path, printed = finished
    with Store.open(store_url(path)) as store:
        totals, counts = store.totals(), store.counts()
    assert total(found, "forestall_records_total") == totals["records"] == printed["events"] > 0
    for verdict, name in (("accepted",) * 2, ("late",) * 2, ("duplicate", "duplicates"), ("rejected",) * 2):
        assert total(found, "forestall_records_judged_total", verdict=verdict) == totals[name] > 0
    assert total(found, "forestall_dead_letters_total") == totals["rejected"]
    released = {kind: total(found, "forestall_released_total", sink="store", kind=kind) for kind in counts}
    assert released == counts
    assert total(found, "forestall_findings_total") == printed["findings"] > 0
    assert total(found, "forestall_decisions_total") == printed["decisions"] > 0
    assert total(found, "forestall_case_events_total", change="opened") == printed["cases"] > 0
    assert total(found, "forestall_consumer_lag_records") == 0
    assert total(found, "forestall_outbox_entries") == 0


def test_what_was_counted_agrees_with_the_report(finished: tuple[Series, Path, dict[str, Any]]) -> None:
    found, path, _ = finished
    report = forestall("report", "--store", store_url(path), "--json").document

    def counted(name: str, label: str) -> dict[str, float]:
        values = {dict(labels)[label] for each, labels in found if each == name}
        return {each: total(found, name, **{label: each}) for each in values}

    assert counted("forestall_decisions_total", "outcome") == report["decisions"]
    assert counted("forestall_dead_letters_total", "reason") == report["dead_letters"]
    at = {
        f"{dict(of)['topic']}/{dict(of)['partition']}": n for (each, of), n in found.items() if each.endswith("_offset")
    }
    assert at == {channel["channel"]: channel["next_offset"] for channel in report["channels"]}


def test_every_declared_metric_is_told_by_a_job_and_no_other(job: Job) -> None:
    """The page parses, each family has the type, text and labels that were declared."""
    declared = {metric.name: metric for metric in vars(metrics).values() if isinstance(metric, Metric)}

    def page() -> dict[str, Any]:
        status, text = job.get("/metrics")
        assert status == 200
        families = text_string_to_metric_families(text)
        return {f.name + "_total" * (f.type == "counter"): f for f in families}

    eventually(lambda: declared.keys() - LIVE_ONLY - SELDOM - CARRIED_OUT <= page().keys(), "every metric is told")
    told = page()
    assert told.keys() <= declared.keys()
    for name, family in told.items():
        metric = declared[name]
        assert (family.type, family.documentation) == (metric.kind, metric.text)
        labels = {frozenset(sample.labels) - {"le"} for sample in family.samples}
        assert labels == {frozenset(metric.labels)}, name
    text = job.get("/metrics")[1]
    assert len(text) < 200_000
    assert not {line for line in text.splitlines() if "order" in line and "orders" not in line and "kind=" not in line}


def test_a_worker_that_stands_still_makes_the_job_unready_until_it_goes_on(job: Job) -> None:
    os.kill(job.pid(1), signal.SIGSTOP)
    eventually(lambda: not job.is_ready(), "a stopped worker is seen")
    status, said = job.get("/health/ready")
    assert (status, said.startswith("not ready: worker ")) == (503, True)
    assert job.get("/health/live") == (200, "alive\n")
    assert value(series(job.get("/metrics")[1]), "forestall_ready") == 0
    os.kill(job.pid(1), signal.SIGCONT)
    eventually(job.is_ready, "it goes on")


def test_nothing_listens_on_other_addresses_than_loopback(job: Job) -> None:
    listening = [address for pid in (job.process.pid, job.pid(0), job.pid(1)) for address in sockets_of(pid)]
    assert job.address in listening
    assert {address.rpartition(":")[0] for address in listening} == {"127.0.0.1"}


def sockets_of(pid: int) -> list[str]:
    """Return the addresses that a process listens on, `host:port`."""
    inodes = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            inodes.add(str(handle.readlink()))
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            listens = fields[3] == "0A"
            if listens and f"socket:[{fields[9]}]" in inodes:
                host, _, port = fields[1].rpartition(":")
                found.append(f"{_dotted(host)}:{int(port, 16)}")
    return found


def _dotted(host: str) -> str:
    """Return an address of /proc/net/tcp as people write it; one of IPv6 as it is."""
    if len(host) != 8:
        return host
    return ".".join(str(part) for part in reversed(bytes.fromhex(host)))


def test_a_port_that_is_taken_is_one_clear_message(tmp_path: Path, job: Job) -> None:
    port = job.address.rpartition(":")[2]
    ended = forestall("replay", BUNDLED, "--store", store_url(tmp_path / "other.db"), "--metrics-port", port)
    ended.says(3, f"127.0.0.1:{port}", "Address already in use", "metrics.port")


def test_a_real_prometheus_scrapes_the_job_and_answers(job: Job, prometheus: Programs, tmp_path: Path) -> None:
    page = job.get("/metrics")[1]
    checked = subprocess.run([prometheus.promtool, "check", "metrics"], input=page, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    rules = ROOT / "deploy" / "prometheus" / "rules.yaml"
    with prometheus.scraping(job.address, tmp_path / "prometheus", rules) as server:
        eventually(lambda: server.value("up") == 1, "the job is scraped")
        assert server.value("forestall_flow_workers") == 2
        eventually(lambda: (server.value("sum(forestall_records_total)") or 0) > 0, "records are counted")
        first = server.value("sum(forestall_records_total)") or 0
        eventually(lambda: (server.value("sum(forestall_records_total)") or 0) > first, "and counted on")
        quantile = "histogram_quantile(0.99, sum by (le) (forestall_stage_seconds_bucket))"
        eventually(lambda: (server.value(quantile) or 0) > 0, "histograms have quantiles")
        eventually(lambda: server.value("forestall:ready") == 1, "recording rules are evaluated")
        os.kill(job.pid(0), signal.SIGSTOP)
        eventually(lambda: server.value("forestall:ready") == 0, "the rules see that it stands still")
