"""A process that releases outputs onto topics, to be killed: this module run as a program.

It stands for a worker whose recovered state holds all outputs that are still to be released.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import msgspec
from confluent_kafka import Producer

from config.errors import ForestallError
from sinks import topic
from sinks.committed import CommittedReader
from sinks.topic import TopicPart
from sinks.transaction import TopicOutputs
from tests.support.commands import unmeasured
from tests.support.faulty_producer import STEPS, FaultyProducer, Once, die
from tests.support.topics import PART, entries, heads

ROOT = Path(__file__).parents[2]
POINTS = (*STEPS, "asking", "asked", "looking", "looked", "released")
"""Steps of a release at which the process can die: those of its producer; before and after it asked for the progress,
and looked for its outputs; after the release, before anybody was told."""
EXIT_FAILED = 3


class Task(msgspec.Struct, frozen=True):
    """What to release, and where to die."""

    client: dict[str, Any]
    by_kind: dict[str, str]
    bytes_max: dict[str, int]
    progress_topic: str
    job: str
    timeout_s: float
    count: int
    batch: int
    point: str | None = None
    nth: int = 1
    plain: bool = False
    """Without transactions."""


@dataclass
class Child:
    """The process."""

    process: subprocess.Popen[str]

    def kill(self) -> None:
        self.process.kill()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, timeout_s: float = 90.0) -> tuple[int, str]:
        """Wait for the end; return the exit code and what it said."""
        said, _ = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, said

    def wait_for(self, word: str) -> None:
        """Wait until it prints a line with `word`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if word in line:
                return
        raise AssertionError(f"the process never said {word!r}")


def start(outputs: TopicOutputs, count: int, batch: int, **more: Any) -> Child:
    """Start a process that releases `count` outputs in batches."""
    task = Task(
        dict(outputs.client),
        dict(outputs.by_kind),
        dict(outputs.bytes_max),
        outputs.progress_topic,
        outputs.job,
        outputs.timeout_s,
        count,
        batch,
        **more,
    )
    command = [sys.executable, "-m", "tests.support.topic_releases", msgspec.json.encode(task).decode()]
    return Child(
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=unmeasured()
        )
    )


class PlainProducer:
    """A producer without transactions, as a sink might use that trusts in numbers: progress follows the outputs."""

    def __init__(self, properties: Mapping[str, Any], strike: Once) -> None:
        left_out = ("transactional.id", "transaction.timeout.ms")
        self._producer = Producer({name: value for name, value in properties.items() if name not in left_out})
        self._strike = strike

    def init_transactions(self, timeout: float) -> None:
        pass

    def begin_transaction(self) -> None:
        pass

    def produce(self, name: str, **record: Any) -> None:
        if "partition" in record:
            self._producer.flush(10)
            self._strike("flushed", None)  # type: ignore[arg-type]
        self._producer.produce(name, **record)

    def poll(self, timeout: float) -> int:
        return self._producer.poll(timeout)

    def purge(self) -> None:
        pass

    def flush(self, timeout: float) -> int:
        return self._producer.flush(timeout)

    def commit_transaction(self, timeout: float) -> None:
        pass


def _run(task: Task) -> None:
    left = task.nth

    def reached(point: str) -> None:
        nonlocal left
        if point == task.point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    class MortalReader(CommittedReader):
        def last(self, *arguments: Any) -> bytes | None:
            reached("asking")
            found = super().last(*arguments)
            reached("asked")
            return found

        def seen(self, *arguments: Any) -> Any:
            reached("looking")
            found = super().seen(*arguments)
            reached("looked")
            return found

    cast(Any, topic).CommittedReader = MortalReader
    strike = Once(task.point if task.point in STEPS else "made", die, task.nth if task.point in STEPS else 0)

    def make(properties: dict[str, Any]) -> Any:
        return PlainProducer(properties, strike) if task.plain else FaultyProducer(properties, strike)

    timeout = timedelta(seconds=task.timeout_s)
    outputs = TopicOutputs(task.client, task.by_kind, task.bytes_max, task.progress_topic, task.job, timeout)
    made = entries(task.count)
    part = TopicPart(outputs, PART, 0, make)
    part.open(0, heads(made))
    print("open", flush=True)
    while part.seq < task.count:
        part.release(made[: part.seq + task.batch])
        reached("released")
        print("released", part.seq, flush=True)
        time.sleep(0.01)


def main() -> int:
    try:
        _run(msgspec.json.decode(sys.argv[1], type=Task))
    except ForestallError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
