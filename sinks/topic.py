"""Output topics: an outbox's entries as CloudEvents, each once for readers with `read_committed`.

Outputs and the progress of their sink part are one transaction. Per release:

1. Begin; send the outputs, then the progress record; check every delivery report; commit.
2. Read back the last output in every partition written.
3. Whatever came of it, take a fresh producer of the same transactional id. This fences the one before, so that no
   request of its, held up on the way, can decide a later transaction: librdkafka does not know the numbered
   transactions of newer brokers (KIP-890).
4. Read the progress back, up to the partition's true end. It says what was committed, whatever the commit returned.
   Then tell the outbox.

A part's *fence* in the progress record tells a leftover of an earlier run, which must stop, from a producer that was
fenced by such a leftover or by a timeout, which goes on. See `docs/exactly-once.md`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from secrets import token_hex
from typing import Any

import msgspec
from confluent_kafka import KafkaException, Producer

from config.errors import BrokerError, FencedError, SequenceError, TopicError
from sinks.chain import Entry
from sinks.cloudevents import CHAIN
from sinks.committed import CommittedReader, Place
from sinks.continuity import Standing, check_continues
from sinks.counted import count_released
from sinks.topic_progress import Progress, decode
from sinks.topic_trouble import judge
from sinks.transaction import TopicOutputs, Undelivered, send

PATIENCE_S = 60.0
"""How long a release is tried again before the job stops; it goes on where it was."""
RETRY_S = 0.2
SLICE_S = 15.0
"""Wall time for one call of a client."""
ENTRIES_MAX = 5_000
"""Outputs in one transaction, at most: a transaction must not take as long as its timeout."""
BYTES_MAX = 1 << 24
"""Bytes of outputs in one transaction, at most, but for a single one that is larger."""

ANEW = ", and another topics.transactional_id_prefix"
EXAMINE = f"Keep all for examination; then start with a new store and a new recovery folder{ANEW}."


MakeProducer = Callable[[dict[str, Any]], Producer]


class TopicPart:
    """The one who may release a sink part onto topics, until somebody else opens it.

    Args:
        outputs: Where to.
        part: Name of the sink part.
        number: Its place among all: the partition of its progress.
        make_producer: Makes a producer from librdkafka's properties.
    """

    def __init__(self, outputs: TopicOutputs, part: str, number: int, make_producer: MakeProducer = Producer) -> None:
        self.part = part
        self._outputs = outputs
        self._place = Place(outputs.progress_topic, number)
        self._key = outputs.transactional_id(part).encode()
        self._make_producer = make_producer
        self._reader = CommittedReader(outputs.client, f"{outputs.job}.readback")
        self._producer: Producer | None = None
        self._standby: Producer | None = None
        """The next one: it has connected long before it is needed, which else costs half a second."""
        self._progress = Progress()

    @property
    def seq(self) -> int:
        """The number of the last output that was read back."""
        return self._progress.seq

    def open(self, base_seq: int, heads: Sequence[bytes]) -> None:
        """Take the part over with the state recovered for it: compare, and raise its fence.

        Args:
            base_seq: The last entry that the recovered outbox no longer holds.
            heads: The chain's hash at `base_seq`, then at each entry the outbox still holds.

        Raises:
            SequenceError: The recovered state does not continue what is on the topics. Nothing was written.
            BrokerError: The brokers cannot be reached, or refuse us.
        """
        deadline = time.monotonic() + PATIENCE_S
        there = self._renew(deadline)
        standing = Standing(there.seq, bytes.fromhex(there.head))
        check_continues(self.part, standing, base_seq, heads, "the topics", ANEW)
        self._progress = there
        self._transact([], Progress(there.seq, there.head, there.fence + 1, token_hex(8)), deadline)

    def release(self, entries: Sequence[Entry]) -> None:
        """Send `entries` that are not there yet, and read them back.

        Args:
            entries: In the order of their `seq`, without a hole; those at the start may be there already.

        Raises:
            FencedError: The part was opened by another run.
            SequenceError: The entries do not continue what is on the topics, or a transaction was torn.
            BrokerError: The brokers are away for too long, or refuse us.
            TopicError: A topic is gone, or takes less than it did.
        """
        for batch in _batches([entry for entry in entries if entry.seq > self.seq]):
            if any(entry.seq != expected for expected, entry in enumerate(batch, self.seq + 1)):
                raise SequenceError(
                    f"Sink part {self.part}: the topics are at {self.seq}, the release goes on at {batch[0].seq}.",
                    remedy=EXAMINE,
                )
            target = msgspec.structs.replace(self._progress, seq=batch[-1].seq, head=batch[-1].chain.hex())
            began = time.perf_counter()
            self._transact(batch, target, time.monotonic() + PATIENCE_S)
            self._count(batch, began)

    def close(self) -> None:
        """Let go of the brokers; what is under way is left to the next who opens the part."""
        self._drop()
        self._standby = None
        self._reader.close()

    def _transact(self, entries: Sequence[Entry], target: Progress, deadline: float) -> None:
        """Make `entries` and `target` visible together, however often it takes."""
        before = self._progress
        while True:
            assert self._producer is not None
            sent = send(self._producer, self._outputs, self.part, entries, self._place, target.encode())
            # A confirmed commit is looked for first: once it is seen, the brokers are ready for the next producer.
            seen = self._seen(sent.ends, deadline) if sent.trouble is None else None
            there = self._renew(deadline)
            if there not in (before, target):
                raise self._taken_over(there, target)
            seen = self._seen(sent.ends, deadline) if seen is None else seen
            if there == target:
                if missing := set(sent.ends) - seen:
                    raise self._torn(min(missing), "lacks outputs whose progress is committed")
                self._progress = target
                return
            if seen:
                raise self._torn(min(seen), "holds outputs whose progress was not committed")
            self._judge(sent.trouble, deadline)
            time.sleep(RETRY_S)

    def _renew(self, deadline: float) -> Progress:
        """Fence the producer there was with a fresh one, and return what is committed.

        Raises:
            BrokerError: The brokers cannot be reached, or refuse us.
        """
        while True:
            self._drop()
            try:
                self._producer = self._standby or self._make_producer(self._outputs.producer(self.part))
                self._standby = None
                self._producer.init_transactions(SLICE_S)
                self._standby = self._make_producer(self._outputs.producer(self.part))
                return decode(self.part, self._reader.last(self._place, self._key, SLICE_S + self._outputs.timeout_s))
            except KafkaException as error:
                self._judge(error, deadline)
            time.sleep(RETRY_S)

    def _seen(self, ends: Mapping[Place, tuple[int, bytes]], deadline: float) -> set[Place]:
        while ends:
            try:
                return self._reader.seen(ends, CHAIN, SLICE_S + self._outputs.timeout_s)
            except KafkaException as error:
                self._judge(error, deadline)
            time.sleep(RETRY_S)
        return set()

    def _judge(self, trouble: KafkaException | Undelivered | None, deadline: float) -> None:
        """Return if it is worth another attempt; see `judge`."""
        try:
            judge(self.part, trouble, deadline)
        except BrokerError as error:
            gone = []
            with suppress(KafkaException):
                gone = self._reader.missing([*self._outputs.by_kind.values(), self._outputs.progress_topic])
            if gone:
                raise TopicError(
                    f"Sink part {self.part}: {', '.join(gone)} of [topics] is gone.",
                    remedy="Make it again, then start the job.",
                ) from error
            raise

    def _drop(self) -> None:
        if self._producer is not None:
            self._producer.purge()
            self._producer = None

    def _taken_over(self, there: Progress, target: Progress) -> SequenceError | FencedError:
        mine = self._progress
        # Who opens the part is not its owner yet: the one found there may have gone on meanwhile.
        if there.owner != target.owner:
            return FencedError(
                f"FENCED: sink part {self.part} was opened with fence {mine.fence}, the topics now have {there.fence} "
                f"and output {there.seq}.",
                remedy="Another run has taken over; let it go on and leave this one stopped.",
            )
        return SequenceError(
            f"Sink part {self.part} went from {mine.seq} to {there.seq} on the topics, and not by this run.",
            remedy=EXAMINE,
        )

    def _torn(self, place: Place, how: str) -> SequenceError:
        return SequenceError(
            f"TORN: sink part {self.part}: {place.topic}/{place.partition} {how}.",
            remedy=EXAMINE,
        )

    def _count(self, entries: Sequence[Entry], began: float) -> None:
        by_topic: dict[str, list[Entry]] = {}
        for entry in entries:
            by_topic.setdefault(self._outputs.by_kind[entry.kind], []).append(entry)
        for topic, released in by_topic.items():
            count_released(topic, released, began)


def _batches(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """Yield `entries` in stretches for one transaction each."""
    start = size = 0
    for place, entry in enumerate(entries):
        if place > start and (place - start == ENTRIES_MAX or size + len(entry.body) > BYTES_MAX):
            yield entries[start:place]
            start, size = place, 0
        size += len(entry.body)
    if start < len(entries):
        yield entries[start:]
