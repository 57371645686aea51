"""Structs are read right by threads that all read their first at once."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from config.converter import Converter

TRIES = 10
AT_ONCE = """
import sys, threading
import msgspec
{before}
sys.setswitchinterval(1e-6)  # threads take turns all the time, and so amid what each does first
together, done = threading.Barrier(2), []

def read():
    together.wait()
    {read}
    done.append(True)

threads = [threading.Thread(target=read) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(len(done) != 2)
"""
FINDING = """
from config.findings import Finding
event = Finding(finding_id='f', agent='a', kind='k', entity='e:1', occurrence='o', at=0, severity='low', confidence=0.5,
    reason='r').event('e:1')
"""
KEYED = """
from operators.case_state import CaseState
from operators.keyed import body_decoder
body, _ = msgspec.msgpack.encode((CaseState(), {})), body_decoder(CaseState)
"""
CHANNEL = """
from operators.channel import ChannelState, restored
body = msgspec.msgpack.encode(ChannelState())
"""


class Point(msgspec.Struct):
    x: int


def test_reads_built_in_values_and_refuses_others() -> None:
    convert = Converter(Point)
    assert convert({"x": 1}) == Point(1)
    with pytest.raises(msgspec.ValidationError):
        convert({"x": "1"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "read"),
    [
        (KEYED, "body_decoder(CaseState).decode(body)"),
        (CHANNEL, "restored(body, 'orders/0')"),
        (FINDING, "Finding.of(event)"),
    ],
    ids=["state of a key", "state of a partition", "finding"],
)
def test_first_reads_of_two_threads_at_once_go_well(before: str, read: str) -> None:
    program = AT_ONCE.format(before=before, read=read)
    for _ in range(TRIES):
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
