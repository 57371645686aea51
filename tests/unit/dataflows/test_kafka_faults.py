"""Which troubles of a partition pass, and which stop the job."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from config.errors import BrokerError, TopicError
from dataflows import kafka_faults
from dataflows.kafka_faults import Troubles


@pytest.mark.parametrize(
    "code",
    [KafkaError._TRANSPORT, KafkaError._DESTROY_BROKER, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError._TIMED_OUT],
)
def test_brokers_that_are_away_are_waited_for(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert not Troubles("orders/0").judge(KafkaError(code))
    assert "orders/0: no broker serves it now, waiting" in capsys.readouterr().err


@pytest.mark.parametrize("code", [KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION])
def test_records_that_are_gone_are_told_apart(code: int) -> None:
    assert Troubles("orders/0").judge(KafkaError(code))


def test_a_refusal_stops_the_job() -> None:
    with pytest.raises(BrokerError, match="orders/0 cannot be read") as raised:
        Troubles("orders/0").judge(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    assert not raised.value.retry


def test_an_unknown_partition_is_believed_gone_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    troubles = Troubles("orders/0")
    assert not troubles.judge(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
    monkeypatch.setattr(kafka_faults, "GONE_S", -1.0)
    with pytest.raises(TopicError, match="orders/0 is gone"):
        troubles.judge(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
