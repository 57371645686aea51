"""What a transaction makes of a client that fails in ways of its own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from sinks.committed import Place
from sinks.transaction import Sent, TopicOutputs, send

OUTPUTS = TopicOutputs({}, {}, {}, "progress", "job", timedelta(seconds=1))


class Failing:
    """A producer whose flush fails with `error`, of which `cause` is the cause."""

    def __init__(self, error: Exception, cause: Exception | None = None) -> None:
        self._error, self._cause = error, cause
        self.committed = False

    def begin_transaction(self) -> None:
        pass

    def produce(self, topic: str, **record: Any) -> None:
        pass

    def flush(self, timeout: float) -> int:
        raise self._error from self._cause

    def commit_transaction(self, timeout: float) -> None:
        self.committed = True


def sent_by(producer: Failing) -> Sent:
    sent = send(cast("Producer", producer), OUTPUTS, "part-0", [], Place("progress", 0), b"{}")
    assert not producer.committed
    return sent


def test_a_fatal_error_amid_delivery_reports_is_the_trouble() -> None:
    fenced = KafkaException(KafkaError(KafkaError._FENCED))
    assert sent_by(Failing(SystemError("returned a result with an exception set"), fenced)).trouble is fenced


def test_an_error_that_the_client_lost_is_a_fatal_one() -> None:
    trouble = sent_by(Failing(SystemError("<method flush> returned NULL without setting an exception"))).trouble
    assert isinstance(trouble, KafkaException)
    assert trouble.args[0].code() == KafkaError._FATAL


def test_other_faults_of_the_interpreter_are_not_taken_for_the_brokers() -> None:
    with pytest.raises(SystemError, match="bad argument"):
        sent_by(Failing(SystemError("bad argument to internal function")))
