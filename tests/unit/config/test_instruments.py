"""Metrics are written into mapped files, by number of the process, once they are switched on and not before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from config import instruments
from config.errors import EnvironmentFault
from config.instruments import FILE_BYTES, FILES, OTHER, Metric, prepare, remove
from dataflows.readings import Readings
from tests.support.metrics import Series, counting

__all__ = ["counting"]
ROOT = Path(__file__).resolve().parents[3]
DECLARE = """
import sys
from pathlib import Path
from config.instruments import Counter, Gauge, Histogram, switch_on
COUNT = Counter("test_things_total", "Things.", ("kind",))
SIZE = Gauge("test_size_bytes", "Size.", (), merge="sum")
HIGH = Gauge("test_high", "High.", ("part",))
TOOK = Histogram("test_took_seconds", "Time.", (), (0.1, 1.0))
"""


def run(script: str, *arguments: object) -> str:
    """Run a script in a process of its own: metrics are switched on for good."""
    command = [sys.executable, "-c", DECLARE + script, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(folder: Path) -> Series:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in Readings(folder, 0).families(0.0, ready=False)
        for sample in family.samples
        if sample.name.startswith("test_")
    }


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_what_processes_write_is_summed_or_the_highest(tmp_path: Path) -> None:
    prepare(tmp_path / "metrics", 2)
    script = """
number = int(sys.argv[2])
switch_on(Path(sys.argv[1]), number)
COUNT.add(3, "a")
SIZE.set(100)
SIZE.add(-40)
HIGH.set(number, "x")
TOOK.observe(0.5 + number)
"""
    for number in (0, 1):
        run(script, tmp_path / "metrics", number)
    found = read(tmp_path / "metrics")
    assert found[key("test_things_total", kind="a")] == 6
    assert found[key("test_size_bytes")] == 120
    assert found[key("test_high", part="x")] == 1
    assert found[key("test_took_seconds_bucket", le="1.0")] == 1
    assert found[key("test_took_seconds_bucket", le="+Inf")] == found[key("test_took_seconds_count")] == 2
    assert found[key("test_took_seconds_sum")] == 2.0


def test_a_process_that_follows_goes_on_counting_and_forgets_what_was_so(tmp_path: Path) -> None:
    prepare(tmp_path, 1)
    run("switch_on(Path(sys.argv[1]), 0); COUNT.add(3, 'a'); SIZE.set(100); HIGH.set(9, 'gone')", tmp_path)
    run("switch_on(Path(sys.argv[1]), 0); COUNT.add(4, 'a'); SIZE.set(7)", tmp_path)
    found = read(tmp_path)
    assert found == {key("test_things_total", kind="a"): 7, key("test_size_bytes"): 7}


def test_without_switching_on_nothing_is_written_nor_the_client_imported() -> None:
    script = "COUNT.add(1, 'a'); SIZE.set(1); TOOK.observe(1); print('prometheus_client' in sys.modules)"
    assert run(script) == "False\n"


def test_disk_is_set_aside_before_it_is_written(tmp_path: Path) -> None:
    """A mapped page without room on the disk would kill the process that writes it."""
    prepare(tmp_path / "metrics", 2)
    files = sorted((tmp_path / "metrics").iterdir())
    assert len(files) == 2 * len(FILES)
    assert all(file.stat().st_blocks * 512 >= FILE_BYTES for file in files)


def test_preparing_forgets_an_earlier_job_and_removing_leaves_nothing(tmp_path: Path) -> None:
    prepare(tmp_path / "metrics", 3)
    prepare(tmp_path / "metrics", 1)
    assert len(list((tmp_path / "metrics").iterdir())) == len(FILES)
    remove(tmp_path / "metrics")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match=r"file/metrics cannot be written: Not a directory"):
        prepare(tmp_path / "file" / "metrics", 1)


def test_more_series_than_are_allowed_become_one(counting: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruments, "SERIES_MAX", 2)
    count = instruments.Counter("test_bounded_total", "Bounded.", ("name",))
    try:
        for name in ("a", "b", "c", "d", "a"):
            count.add(1, name)
        samples = [each for each in count._family.collect()[0].samples if each.name.endswith("_total")]
        found = {each.labels["name"]: each.value for each in samples}
    finally:
        del Metric.declared["test_bounded_total"]
    assert {name: found[name] for name in ("a", "b", OTHER)} == {"a": 2, "b": 1, OTHER: 2}
    assert "c" not in found


def test_a_name_is_declared_once() -> None:
    with pytest.raises(ValueError, match="forestall_records_total is declared twice"):
        instruments.Counter("forestall_records_total", "Again.")
