"""A producer that goes wrong at a chosen step of a release: the real one, with something in between."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

STEPS = ("made", "init", "began", "produced", "flushing", "flushed", "committed")
"""Where something can be done to a release, in their order: after the producer was made, fenced the one before, began,
handed over its first record, before and after its records arrived, after it committed."""


class FaultyProducer:
    """Wraps a producer; calls `strike` at each step.

    Args:
        properties: Of the real producer.
        strike: Given the step and this object.
    """

    def __init__(self, properties: dict[str, Any], strike: Callable[[str, FaultyProducer], None]) -> None:
        self.producer = Producer(properties)
        self._strike = strike
        self._produced = False
        self.swallow = False
        """Abort where a commit is asked for, and say that it went well."""
        strike("made", self)

    def init_transactions(self, timeout: float) -> None:
        self.producer.init_transactions(timeout)
        self._strike("init", self)

    def begin_transaction(self) -> None:
        self.producer.begin_transaction()
        self._strike("began", self)

    def produce(self, *arguments: Any, **more: Any) -> None:
        self.producer.produce(*arguments, **more)
        if not self._produced:
            self._produced = True
            self._strike("produced", self)

    def poll(self, timeout: float) -> int:
        return self.producer.poll(timeout)

    def purge(self) -> None:
        self.producer.purge()

    def flush(self, timeout: float) -> int:
        self._strike("flushing", self)
        left = self.producer.flush(timeout)
        self._strike("flushed", self)
        return left

    def commit_transaction(self, timeout: float) -> None:
        if self.swallow:
            self.producer.abort_transaction(timeout)
        else:
            self.producer.commit_transaction(timeout)
        self._strike("committed", self)


class Once:
    """Does something at the nth time that a step is reached, and never again.

    Args:
        step: One of `STEPS`.
        deed: What to do; given the producer.
        nth: From 1.
    """

    def __init__(self, step: str, deed: Callable[[FaultyProducer], None], nth: int = 1) -> None:
        assert step in STEPS
        self._step, self._deed, self._left = step, deed, nth
        self.done = False

    def __call__(self, step: str, producer: FaultyProducer) -> None:
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                self.done = True
                self._deed(producer)

    def make(self, properties: dict[str, Any]) -> Any:
        """Make a producer, as `TopicPart` wants it."""
        return FaultyProducer(properties, self)


def fail(producer: FaultyProducer) -> None:
    """Fail as for a broker that does not answer in time."""
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))


def die(producer: FaultyProducer) -> None:
    """Die as of `kill -9`."""
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(seconds: float) -> Callable[[FaultyProducer], None]:
    """Return what hangs for so long."""
    return lambda producer: time.sleep(seconds)


def swallow(producer: FaultyProducer) -> None:
    """Lose the commit that comes next, and confirm it."""
    producer.swallow = True
