"""Writes a control record: what an operator says to a running job, checked by its contract before it is sent."""

from __future__ import annotations

from typing import Any

import orjson
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from config.clock import to_text
from config.errors import BrokerError, TopicError, UsageError
from config.identity import derived_id
from config.kafka import Kafka, client_config
from config.settings import Settings
from dataflows.domain import load_contract_set
from dataflows.kafka_reach import reach
from operators.batch import RawBatch
from operators.decode import Decoder

SOURCE = "/forestall/operators"
PATIENCE_S = 30.0


def control_record(settings: Settings, kind: str, data: dict[str, Any], now: int) -> bytes:
    """Return the CloudEvent of type `kind` that says `data` at `now`, microseconds.

    Raises:
        UsageError: it is not by its contract.
    """
    identity = derived_id(kind, orjson.dumps(data, option=orjson.OPT_SORT_KEYS).decode(), now)
    value = orjson.dumps(
        {
            "specversion": "1.0",
            "id": identity,
            "source": SOURCE,
            "type": kind,
            "time": to_text(now),
            "datacontenttype": "application/json",
            "data": {name: value for name, value in data.items() if value is not None},
        }
    )
    decoder = Decoder(load_contract_set(settings), control_topics={""})
    rejects = decoder.decode(RawBatch("", 0, [0], [0], [None], [value])).rejects
    if rejects:
        raise UsageError(f"{kind}: {rejects[0].detail}.", remedy=f"See what config/contracts/{kind}.yaml allows.")
    return value


def send(kafka: Kafka, topic: str, key: str, value: bytes) -> tuple[int, int]:
    """Write one record, and return its partition and offset once all replicas in sync have it.

    Raises:
        TopicError: there is no such topic: it is not made by the way, for nobody may be reading it.
        BrokerError: the brokers cannot be reached, or refuse it.
    """
    if topic not in reach(kafka).topics:
        raise TopicError(
            f"There is no topic {topic}.",
            remedy="Make it, and name it in kafka.topics and control.topics of the job; or name another with --topic.",
        )
    told: list[tuple[KafkaError | None, Message]] = []
    producer = Producer(client_config(kafka, enable_idempotence=True, acks="all") | {"log_level": 0})
    try:
        producer.produce(topic, value=value, key=key.encode(), on_delivery=lambda *report: told.append(report))
        producer.flush(PATIENCE_S)
    except KafkaException as error:
        raise _not_written(topic, error.args[0].str()) from error
    if not told:
        raise _not_written(topic, f"no answer within {PATIENCE_S:.0f} s")
    fault, message = told[0]
    if fault is not None:
        raise _not_written(topic, fault.str())
    return int(message.partition() or 0), int(message.offset() or 0)


def _not_written(topic: str, why: str) -> BrokerError:
    return BrokerError(
        f"The record may not be on {topic}: {why}.",
        remedy="Look after the brokers, then send it again: twice does no harm.",
    )
