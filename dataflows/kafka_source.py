"""One partition of a live topic, as the job's source reads it.

Offsets are in the snapshot of the flow, not with the brokers: the partition is assigned at the offset where state
stands, and no group decides who reads it. What is committed to the group follows what is durable, and is for tools
that show lag. Nothing is ever skipped: records that are gone before they were read, and a topic made anew, stop the
job. A broker that is away is waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar, cast

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition

from config.kafka import Kafka, client_config
from config.kafka_start import Start
from dataflows.kafka_faults import Troubles
from dataflows.kafka_watch import BrokerWatch
from operators.batch import Derived, RawBatch
from operators.channel import Position, record_digest

T = TypeVar("T")

ASK_S = 10.0
"""Wall time for one answer of a broker at the start; then it is asked again."""
PUBLISH_EVERY_S = 1.0
PATIENCE_S = 5.0
"""Wall time after which it is noted that something is waited for."""
QUEUE_KILOBYTES = 16_384
"""Read ahead per partition, at most."""
FETCH_BYTES = 4 << 20
"""Of one partition at once. Kafka's usual megabyte makes batches too small to be worth their columns."""


class _Stopped(Exception):
    """The job was asked to stop while a partition waited for brokers."""


class KafkaPartition:
    """Reads one partition of a topic: a `dataflows.sources.Reader`.

    Args:
        kafka: The connection.
        channel: `topic/partition`.
        start: Where to begin without state.
        idle_timeout: Wall time of silence after which the partition may be called idle.
        watch: Tells ends and topics; shared by all partitions of a process.
        stopping: Whether the job was asked to stop.
    """

    def __init__(
        self,
        kafka: Kafka,
        channel: str,
        start: Start,
        idle_timeout: timedelta,
        watch: BrokerWatch,
        stopping: Callable[[], bool],
    ) -> None:
        self._name = channel
        topic, _, partition = channel.rpartition("/")
        self._topic, self._partition = topic, int(partition)
        self._start, self._watch, self._stopping = start, watch, stopping
        self._idle_s = idle_timeout.total_seconds()
        self._origin = ""
        self._spoke_at = time.monotonic()
        self._end_seen: int | None = None
        """Offset of the end, when all before it was read: past it may only be marks of transactions."""
        self._began_at = self._read_to = OFFSET_INVALID
        """The offset after the last record that was handed over, and what it was at the start."""
        self._kept: list[Message] = []
        """What was met in looking for the end, to be read next."""
        self._drop: int | None = None
        """Offset of a record that was read before and is met again."""
        self._published: int | None = None
        self._due: int | None = None
        """Offset that is durable, to be published."""
        self._published_at = 0.0
        self._high = 0
        self._partitions = 0
        self._digest = ""
        self._troubles = Troubles(channel)
        self._consumer = Consumer(
            client_config(
                kafka,
                group_id=kafka.group_id,
                enable_auto_commit=False,
                enable_auto_offset_store=False,
                auto_offset_reset="error",
                isolation_level="read_committed" if kafka.read_committed else "read_uncommitted",
                check_crcs=True,
                enable_partition_eof=True,
                queued_max_messages_kbytes=QUEUE_KILOBYTES,
                max_partition_fetch_bytes=FETCH_BYTES,
                # After a full queue was emptied at once, the next fetch must not wait for a second.
                fetch_queue_backoff_ms=10,
            )
            | {"log_level": 2, "error_cb": self._troubles.on_error, "on_commit": self._on_commit}
        )

    @property
    def until(self) -> int:
        """A live partition has no end."""
        raise NotImplementedError

    # -- start -----------------------------------------------------------------------------------------------------

    def open(self, left: Position) -> Position:
        """Go to where the partition was left or is to begin; waits for brokers that are away.

        Raises:
            TopicError: the topic was made anew, or records are gone that were not read.
            BrokerError: the brokers refuse us.
        """
        try:
            return self._opened(left)
        except _Stopped:
            return left

    def _opened(self, left: Position) -> Position:
        self._origin, self._partitions = self._await(self._topic_now, "the topic's id")
        if left.origin and left.origin != self._origin:
            self._troubles.made_anew(left.next_offset)
        low, self._high = self._await(self._ends, "the partition's ends")
        begin = left.next_offset if left.begun else self._await(lambda: self._begin(low), "the offset to begin at")
        if begin < low:
            self._troubles.overtaken(begin, low)
        if begin > self._high:
            self._troubles.shortened(begin, self._high)
        if left.idle:
            # If nothing was added since, it still is.
            self._spoke_at -= self._idle_s
        # Where the record before is still there, begin with that one, to see that it is the same.
        if left.last_digest and low < begin:
            self._drop, self._digest = begin - 1, left.last_digest
        self._consumer.assign([self._at(begin if self._drop is None else begin - 1)])
        self._began_at = self._read_to = begin
        return Position(begin, left.last_digest, self._origin, True)

    def _at(self, offset: int) -> TopicPartition:
        return TopicPartition(self._topic, self._partition, offset)

    def _topic_now(self) -> tuple[str, int] | None:
        found = self._watch.topic(self._topic)
        if found is not None and not found[0]:
            self._troubles.unknown()
            return None
        return found

    def _ends(self) -> tuple[int, int]:
        low, high = self._consumer.get_watermark_offsets(self._at(0), timeout=ASK_S)
        return low, high

    def _begin(self, low: int) -> int:
        at = self._start.at
        if at == "earliest":
            return low
        if at == "latest":
            return self._high
        if at == "committed":
            (found,) = self._consumer.committed([self._at(0)], timeout=ASK_S)
        else:
            (found,) = self._consumer.offsets_for_times([self._at(self._start.stamp)], timeout=ASK_S)
        if found.error is not None:
            raise KafkaException(found.error)
        if found.offset >= 0:
            return found.offset
        # A group that never committed has read nothing: to begin at the end would lose all there is, unnoticed.
        return low if at == "committed" else self._high

    def _await(self, ask: Callable[[], T | None], what: str) -> T:
        """Return the answer to `ask`, however long brokers are away.

        Raises:
            _Stopped: the job was asked to stop.
        """
        began = time.monotonic()
        while not self._stopping():
            try:
                answer = ask()
                if answer is not None:
                    self._troubles.back()
                    return answer
                time.sleep(0.02)
            except KafkaException as error:
                self._judge(error.args[0])
                time.sleep(0.1)
            if time.monotonic() - began > PATIENCE_S:
                self._troubles.note(f"waiting for {what}")
        raise _Stopped

    # -- reading ---------------------------------------------------------------------------------------------------

    def read(self, next_offset: int, limit: int) -> RawBatch:
        """Return up to `limit` records that are here already, perhaps none.

        Raises:
            TopicError: records are gone that were not read, or the topic was made anew.
            BrokerError: the brokers refuse us.
        """
        kept, self._kept = self._kept, []
        messages, end = self._records(kept + self._consumer.consume(limit - len(kept), 0))
        if messages:
            self._spoke_at, self._end_seen = time.monotonic(), end
            self._read_to = cast(int, messages[-1].offset()) + 1
            self._troubles.back()
        else:
            self._end_seen = self._end_seen if end is None else end
            self._check_topic(next_offset)
        # Each call per record is felt: `map` makes those that are needed without a frame each.
        headers: list[Any] = list(map(Message.headers, messages))
        return RawBatch(
            self._topic,
            self._partition,
            _offsets(messages),
            Derived(messages, _stamp),
            Derived(messages, Message.key),
            Derived(messages, Message.value),
            [each or [] for each in headers] if any(headers) else [],
        )

    def _records(self, messages: list[Message]) -> tuple[list[Message], int | None]:
        """Return the records among what was consumed, and the end of the partition if it was met after them."""
        end: int | None = None
        if any(map(Message.error, messages)):
            kept = []
            for message in messages:
                error = message.error()
                if error is None:
                    kept.append(message)
                    end = None
                elif error.code() == KafkaError._PARTITION_EOF:
                    end = message.offset()
                    self._troubles.back()
                else:
                    self._judge(error, message.offset())
            messages = kept
        if self._drop is not None and messages:
            messages = self._continued(messages, self._drop)
        return messages, end

    def _continued(self, messages: list[Message], read_before: int) -> list[Message]:
        """Drop the record that was read before; refuse it if it is another one."""
        self._drop, first = None, messages[0]
        if first.offset() != read_before:
            return messages  # compacted away since
        if record_digest(first.key(), first.value()) != self._digest:
            self._troubles.another(read_before)
        return messages[1:]

    # -- silence ---------------------------------------------------------------------------------------------------

    def silent_until(self, next_offset: int) -> int | None:
        """Return the instant at which a broker last said that nothing follows, after a silence of `idle_timeout`."""
        if time.monotonic() - self._spoke_at < self._idle_s:
            return None
        found = self._watch.end(self._topic, self._partition)
        if found is None:
            return None
        asked_at, end = found
        return asked_at if end in (next_offset, self._end_seen) else None

    def idle_until(self, next_offset: int) -> int | None:
        """Return None: what was promised stands in the state."""
        return None

    def next_idle(self, next_offset: int) -> int | None:
        """Return None: it is not known before it happens."""
        return None

    def behind(self, next_offset: int) -> int:
        """Return how many offsets follow `next_offset`, as far as is known."""
        if self._end_seen is not None:
            return 0
        _, high = self._consumer.get_watermark_offsets(self._at(0), cached=True)
        self._high = max(high, self._high)
        return max(self._high - next_offset, 0)

    # -- troubles --------------------------------------------------------------------------------------------------

    def _judge(self, error: KafkaError, offset: int | None = None) -> None:
        if not self._troubles.judge(error):
            return
        found = self._watch.topic(self._topic)
        offset = OFFSET_INVALID if offset is None else offset
        if found is not None and found[0] and found[0] != self._origin:
            self._troubles.made_anew(offset)
        low, high = self._await(self._ends, "the partition's ends")
        if offset > high:
            self._troubles.shortened(offset, high)
        self._troubles.overtaken(offset, low, error.str())

    def _check_topic(self, next_offset: int) -> None:
        found = self._watch.topic(self._topic)
        if found is None:
            return
        origin, partitions = found
        if not origin:
            self._troubles.unknown()
        elif origin != self._origin:
            self._troubles.made_anew(next_offset)
        elif partitions > self._partitions and self._partition == 0:
            self._partitions = partitions
            self._troubles.note(f"{self._topic} has {partitions} partitions now; the new ones are read after a restart")

    # -- progress for lag tools ------------------------------------------------------------------------------------

    def publish(self, next_offset: int) -> None:
        """Commit `next_offset` to the consumer group, without waiting; at most once a second, if it is not yet."""
        self._due = next_offset
        if next_offset == self._read_to and self._end_seen is None and not self._kept:
            self._look_for_the_end()
        self._publish(PUBLISH_EVERY_S)

    def _look_for_the_end(self) -> None:
        """See whether only marks of transactions follow: a partition that waits for others may not be read for long."""
        self._kept, self._end_seen = self._records(self._consumer.consume(1, 0))

    def _publish(self, every_s: float) -> None:
        if self._due is None or self._read_to == OFFSET_INVALID:
            return  # stopped before it was opened: what the run before told is as true
        now, due = time.monotonic(), self._due
        if due == self._read_to:
            if self._end_seen is not None:
                due = max(due, self._end_seen)  # only marks of transactions follow: they are no lag
            elif due == self._began_at and not self._kept:
                return  # the run before may have told so, which would be taken back
        if due == self._published or now - self._published_at < every_s:
            return
        self._published, self._published_at = due, now
        try:
            self._consumer.commit(offsets=[self._at(due)], asynchronous=True)
        except KafkaException as error:
            self._troubles.on_commit(error.args[0], [])

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        if error is not None or any(each.error for each in partitions):
            self._published = None  # once more
        self._troubles.on_commit(error, partitions)

    def close(self) -> None:
        """Let go of the partition."""
        self._publish(0)
        self._consumer.close()


def _offsets(messages: list[Message]) -> Sequence[int]:
    if not messages:
        return []
    first, last = cast(int, messages[0].offset()), cast(int, messages[-1].offset())
    if last - first + 1 == len(messages):
        return range(first, last + 1)
    return cast(list[int], list(map(Message.offset, messages)))


def _stamp(message: Message) -> int:
    kind, stamp = message.timestamp()
    return stamp if kind else -1
