"""Output topics of a test: what is sent, and what an outside reader finds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from config.clock import from_text
from sinks.chain import GENESIS, Entry, canonical, link
from sinks.transaction import TopicOutputs
from tests.support.kafka import Broker

PART = "part-000"
KINDS = ("finding", "case.opened", "decision", "finding", "case.updated")
LOOK_S = 60.0


def fresh_outputs(kafka: Broker, timeout: timedelta = timedelta(seconds=5), **config: object) -> TopicOutputs:
    """Return fresh topics: one of findings with three partitions, one of cases and decisions."""
    findings, cases = kafka.topic(3, "findings", **config), kafka.topic(1, "cases", **config)
    progress = kafka.topic(2, "progress", cleanup_policy="compact")
    limit = int(str(config.get("max_message_bytes", 1_048_588)))
    by_kind = {"finding": findings, "case": cases, "decision": cases}
    return TopicOutputs(kafka.client(), by_kind, {findings: limit, cases: limit}, progress, f"job-{progress}", timeout)


def to(outputs: TopicOutputs, **changes: Any) -> TopicOutputs:
    """Return `outputs` with other values."""
    return replace(outputs, **changes)


def entries(count: int, since: Sequence[Entry] = (), part: str = PART, padding: int = 0) -> list[Entry]:
    """Return so many outputs that follow on those `since`."""
    last, head = (since[-1].seq, since[-1].chain) if since else (0, GENESIS)
    made = []
    for seq in range(last + 1, last + count + 1):
        type_, at, key = KINDS[seq % len(KINDS)], 1_700_000_000_000_000 + seq, f"customer-{seq % 7}"
        body = canonical({"number": seq, "text": "x" * padding})
        head = link(head, part, seq, type_, f"id-{seq}", at, key, body)
        made.append(Entry(seq, type_, f"id-{seq}", at, key, body, head))
    return made


def heads(made: Sequence[Entry]) -> list[bytes]:
    """Return what an outbox that holds all of `made` says when it opens its part."""
    return [GENESIS, *(entry.chain for entry in made)]


class Found:
    """A record on a topic, as a reader sees it."""

    def __init__(self, record: Any) -> None:
        self.headers: dict[str, str] = {name: value.decode() for name, value in record.headers() or []}
        self.key, self.value = record.key().decode(), record.value()
        self.place = (record.topic(), record.partition())

    @property
    def part(self) -> str:
        return self.headers["forestall-part"]

    @property
    def seq(self) -> int:
        return int(self.headers["forestall-seq"])

    @property
    def entry(self) -> Entry:
        """The output, put together from the record alone."""
        told = self.headers
        at = from_text(told["ce_time"])
        chain = bytes.fromhex(told["forestall-chain"])
        return Entry(self.seq, told["ce_type"], told["ce_id"], at, told.get("ce_subject", ""), self.value, chain)


def read(kafka: Broker, topics: Iterable[str], isolation: str = "read_committed") -> list[Found]:
    """Return all records of `topics`, those of a partition in their order."""
    consumer = Consumer(
        kafka.client(
            group_id="outside",
            isolation_level=isolation,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            enable_partition_eof=True,
        )
    )
    try:
        left = {(topic, number) for topic in set(topics) for number in range(kafka.partitions(topic))}
        consumer.assign([TopicPartition(topic, number, 0) for topic, number in left])
        found, deadline = [], time.monotonic() + LOOK_S
        while left:
            assert time.monotonic() < deadline, "partitions do not come to their end: a transaction is open"
            record = consumer.poll(0.2)
            if record is None:
                continue
            error = record.error()
            if error is None:
                found.append(Found(record))
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard((record.topic(), record.partition()))
        return found
    finally:
        consumer.close()


def violations(found: Sequence[Found], expected: Mapping[str, Sequence[Entry]]) -> list[str]:
    """Return what is wrong with what a reader found: lost, doubled, out of order, phantom, altered."""
    wrong, last = [], dict[tuple[tuple[str, int], str], int]()
    seen: dict[tuple[str, int], Found] = {}
    for record in found:
        if (record.part, record.seq) in seen:
            wrong.append(f"twice: {record.part} {record.seq}")
        seen[record.part, record.seq] = record
        if record.seq < last.get((record.place, record.part), 0):
            wrong.append(f"out of order: {record.part} {record.seq}")
        last[record.place, record.part] = record.seq
    for part, made in expected.items():
        for entry in made:
            there = seen.pop((part, entry.seq), None)
            if there is None:
                wrong.append(f"lost: {part} {entry.seq}")
            elif there.entry != entry:
                wrong.append(f"altered: {part} {entry.seq}")
    return wrong + [f"phantom: {part} {seq}" for part, seq in seen]


def judged(kafka: Broker, outputs: TopicOutputs, made: Sequence[Entry], part: str = PART) -> list[str]:
    """Return what is wrong with what a reader finds on the topics of `outputs`."""
    return violations(read(kafka, outputs.by_kind.values()), {part: made})
