"""Live topics to measure on: a recording put onto a broker, and what reading it bare costs.

Run as a program, BOOTSTRAP TOPIC PARTITIONS RECORDS [decode]: prints how long a bare `consume()` loop took from the
first record to the last, without and with what the product does to decode them.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import chain

import orjson
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from benchmarks.usage import Seconds
from config.settings import load
from dataflows.domain import load_contract_set
from operators.batch import RawBatch
from operators.decode import Decoder
from replay.recording import Recording

BATCH = 10_000
"""Records that a bare loop asks for at a time."""
READ_RECORDS = 50_000


def fill(recording: Recording, bootstrap: str, advance: Callable[[int], None]) -> int:
    """Put all records of `recording` onto topics of the same names, which exist; return how many."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 50,
            "batch.size": 1_000_000,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 2 * READ_RECORDS,
        }
    )
    count = 0
    for part in recording.partitions:
        with recording.reader(part.topic, part.partition) as reader:
            next_offset = reader.first_offset
            while (batch := reader.read(next_offset, READ_RECORDS)) is not None:
                next_offset = batch.offsets[-1] + 1
                for key, value, stamp in zip(batch.keys, batch.values, batch.timestamps, strict=True):
                    producer.produce(part.topic, value, key, part.partition, timestamp=stamp)
                producer.flush()
                count += len(batch)
                advance(len(batch))
    return count


def consume(bootstrap: str, topic: str, partitions: int, records: int, use: Callable[[list[Message]], None]) -> Seconds:
    """Read `records` records of `topic` from its beginning; return how long that took, without connecting."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bare",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "check.crcs": True,
            "fetch.queue.backoff.ms": 10,
        }
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    messages = consumer.consume(1, 30)
    wall, cpu, count = time.perf_counter(), time.process_time(), len(messages)
    use(messages)
    while count < records:
        messages = consumer.consume(BATCH, 1.0)
        use(messages)
        count += len(messages)
    took = Seconds(time.perf_counter() - wall, time.process_time() - cpu)
    consumer.close()
    return took


def batches(messages: Iterable[Message]) -> list[RawBatch]:
    """Return messages as the batches of their partitions, as a source hands them over."""
    by_partition: dict[int, list[Message]] = defaultdict(list)
    for message in messages:
        by_partition[message.partition() or 0].append(message)
    return [
        RawBatch(
            each[0].topic() or "",
            partition,
            [message.offset() or 0 for message in each],
            [message.timestamp()[1] for message in each],
            [message.key() for message in each],
            [message.value() for message in each],
        )
        for partition, each in by_partition.items()
    ]


def decoding() -> Callable[[list[Message]], None]:
    """Return what decodes messages as the product does, in batches as large."""
    decoder = Decoder(load_contract_set(load()))
    held: list[list[Message]] = []

    def use(messages: list[Message]) -> None:
        held.append(messages)
        if sum(map(len, held)) >= READ_RECORDS or len(messages) < BATCH:
            for batch in batches(chain.from_iterable(held)):
                decoder.decode(batch).measures()
            held.clear()

    return use


def main(arguments: list[str]) -> None:
    """Measure once."""
    bootstrap, topic, partitions, records = arguments[:4]
    use = decoding() if arguments[4:] == ["decode"] else lambda messages: None
    took = consume(bootstrap, topic, int(partitions), int(records), use)
    sys.stdout.buffer.write(orjson.dumps({"wall": took.wall, "cpu": took.cpu}))


if __name__ == "__main__":
    main(sys.argv[1:])
