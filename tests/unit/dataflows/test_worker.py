"""A worker on real Bytewax: what it writes down when code that Bytewax calls fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from bytewax.recovery import init_db_dir

from dataflows.supervisor import Failure, _free_addresses

CANARY = "canary-7e1f"

SCRIPT = f"""
import sys
from datetime import timedelta
from pathlib import Path
import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.testing import TestingSink
from config.errors import RecordingError
from dataflows.worker import run_worker
from sinks.failures import noted

class Ticks(StatefulSourcePartition):
    @noted
    def next_batch(self):
        try:
            {{"{CANARY}": 1}}["{CANARY} of Ms Smith"]
        except KeyError as error:
            if "FORESEEN" in sys.argv:
                raise RecordingError("record 7 is gone", remedy="find it") from error
            if "DISK" in sys.argv:
                open("/nowhere/file")
            raise
    def snapshot(self):
        return b""

class Source(FixedPartitionedSource):
    def list_parts(self):
        return ["one"]
    def build_part(self, step, part, state):
        return Ticks()

def build(stopping):
    flow = Dataflow("flow")
    op.output("out", op.input("in", flow, Source()), TestingSink([]))
    return flow

folder, number, addresses = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
run_worker(build, workers=1, process=number, addresses=addresses, failure=folder / f"failure-{{number}}",
           recovery=folder, epoch_interval=timedelta(0))
"""


def failures(folder: Path, how: str, processes: int) -> tuple[list[Failure], str]:
    """Run workers to their failure; return what they told, and wrote to their logs."""
    init_db_dir(folder, 1)
    addresses = ";".join(_free_addresses(processes)) if processes > 1 else "-"
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    workers = [
        subprocess.Popen([*command, str(number), addresses, how], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for number in range(processes)
    ]
    log = b"".join(worker.communicate(timeout=120)[0] for worker in workers).decode()
    assert all(worker.returncode == 1 for worker in workers)
    told = [folder / f"failure-{number}" for number in range(processes)]
    return [msgspec.json.decode(path.read_bytes(), type=Failure) for path in told], log


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_of_ours_is_told_in_its_own_words(tmp_path: Path, processes: int) -> None:
    told, log = failures(tmp_path, "FORESEEN", processes)
    assert Failure("record 7 is gone", "find it", 3, foreseen=True, retry=False) in told
    assert "RecordingError: record 7 is gone" in log
    assert CANARY not in log


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_an_unforeseen_error_is_told_by_its_type_and_place_but_not_its_words(tmp_path: Path, processes: int) -> None:
    told, log = failures(tmp_path, "", processes)
    assert Failure("a worker failed: KeyError", "", 3, foreseen=False) in told
    assert "in next_batch" in log
    assert "\nKeyError\n" in log
    assert CANARY not in log


@pytest.mark.slow
def test_an_error_of_the_system_names_the_file(tmp_path: Path) -> None:
    told, _ = failures(tmp_path, "DISK", 1)
    assert told == [Failure("/nowhere/file: No such file or directory", "Check the disk and its permissions.", 3, True)]
