"""What the exporter works out when it is asked, from what the workers wrote and from what the system says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prometheus_client.exposition import generate_latest

from config.instruments import prepare
from dataflows.health import Partition
from dataflows.readings import Readings
from tests.support.metrics import Series, total, value

ROOT = Path(__file__).resolve().parents[3]
WRITE = """
import sys
from pathlib import Path
from config.instruments import switch_on
from config.metrics import *
switch_on(Path(sys.argv[1]), 0)
FLOW_WORKERS.set(2)
HEARTBEAT.set(990, "0")
HEARTBEAT.set(995, "1")
PROGRESS.set(998, "orders", "0")
PROGRESS.set(900, "crm", "1")
ENDED.set(1, "crm", "1")
WATERMARK.set(940.5, "orders", "0")
OUTBOX_OLDEST.set(0, "part-000")
OUTBOX_OLDEST.set(970, "part-001")
OUTBOX_OLDEST.set(980, "part-002")
"""


def written(folder: Path, processes: int = 2) -> Readings:
    prepare(folder, processes)
    subprocess.run([sys.executable, "-c", WRITE, str(folder)], cwd=ROOT, check=True)
    return Readings(folder, processes)


def series(readings: Readings, now: float = 1000.0, *, ready: bool = True) -> Series:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in readings.families(now, ready)
        for sample in family.samples
    }


def test_what_grows_by_itself_is_worked_out_when_asked(tmp_path: Path) -> None:
    readings = written(tmp_path)
    now, later = series(readings), series(readings, 1060.0)
    labels = {"topic": "orders", "partition": "0"}
    assert value(now, "forestall_watermark_lag_seconds", **labels) == 59.5
    assert value(later, "forestall_watermark_lag_seconds", **labels) == 119.5
    assert value(now, "forestall_outbox_age_seconds") == 30.0
    assert value(later, "forestall_outbox_age_seconds") == 90.0


def test_an_outbox_in_which_nothing_waits_has_no_age(tmp_path: Path) -> None:
    prepare(tmp_path, 1)
    assert value(series(Readings(tmp_path, 1)), "forestall_outbox_age_seconds") == 0.0


def test_health_is_read_from_what_workers_wrote(tmp_path: Path) -> None:
    health = written(tmp_path).health()
    assert health.workers == 2
    assert health.heartbeats == {"0": 990, "1": 995}
    assert health.partitions == {"orders/0": Partition(998), "crm/1": Partition(900, ended=True)}
    assert health.processes == {0: False, 1: False}  # the one that wrote has ended, the other never began


def test_processes_that_live_are_measured(tmp_path: Path) -> None:
    readings = written(tmp_path)
    (tmp_path / "1.pid").write_text(str(os.getpid()))
    found = series(readings)
    assert readings.health().processes == {0: False, 1: True}
    assert value(found, "forestall_processes") == 1
    assert value(found, "forestall_process_resident_memory_bytes", process="1") > 10_000_000
    assert value(found, "forestall_process_open_fds", process="1") >= 3
    assert value(found, "forestall_process_cpu_seconds_total", process="1") > 0
    assert total(found, "forestall_process_open_fds", process="0") == 0


def test_a_process_that_has_ended_but_was_not_waited_for_does_not_live(tmp_path: Path) -> None:
    prepare(tmp_path, 1)
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        (tmp_path / "0.pid").write_text(str(child.pid))
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert Readings(tmp_path, 1).health().processes == {0: False}


def test_families_come_in_the_order_of_their_names_each_with_its_text(tmp_path: Path) -> None:
    families = list(written(tmp_path).families(1000.0, ready=True))
    assert [family.name for family in families] == sorted(family.name for family in families)
    assert all(family.documentation for family in families)

    class Once:
        def collect(self) -> object:
            return families

    page = generate_latest(Once()).decode()  # type: ignore[arg-type]
    assert page.count("# HELP forestall_ready ") == page.count("# TYPE forestall_ready gauge") == 1
