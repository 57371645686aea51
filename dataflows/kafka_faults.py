"""What goes wrong with a topic partition: what passes is waited for, and noted; what does not, stops the job."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import NoReturn

from confluent_kafka import OFFSET_INVALID, KafkaError, TopicPartition

from config.errors import BrokerError, TopicError
from config.metrics import CONSUMER_ERRORS

NOTE_EVERY_S = 10.0
"""Wall time between two lines in the log about one lasting trouble."""
GONE_S = 30.0
"""Wall time for which a topic must be unknown to the brokers: one that has just started may know of none yet."""

AWAY = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TRANSPORT,
        KafkaError._RESOLVE,
        KafkaError._DESTROY_BROKER,  # of what the client knew of a broker that is another one now
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._WAIT_COORD,
        KafkaError._WAIT_CACHE,
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
    }
)
"""Troubles that pass when the brokers are well again."""
UNKNOWN = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})
LOST = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._LOG_TRUNCATION})
RETENTION = (
    "Keep records longer than the job may be away (retention.ms, retention.bytes). What is gone cannot be read again: "
    "restore the topic, or start with a new store and a new recovery folder."
)
ANEW = "Give the new topic another name, or start with a new store and a new recovery folder."


class Troubles:
    """The troubles of one partition.

    Args:
        channel: `topic/partition`.
    """

    def __init__(self, channel: str) -> None:
        self._name = channel
        self._noted_at: dict[str, float] = {}
        self._away_since: float | None = None
        self._unknown_since: float | None = None

    def judge(self, error: KafkaError) -> bool:
        """Take note of an error that passes; return whether it is that records are gone.

        Raises:
            TopicError: there is no such partition any more.
            BrokerError: the brokers refuse us.
        """
        code = error.code()
        passes = code in UNKNOWN or code in AWAY or (error.retriable() and not error.fatal())
        CONSUMER_ERRORS.add(1, "retriable" if passes else "fatal")
        if code in LOST:
            return True
        if code in UNKNOWN:
            self.unknown()
        elif passes:
            self.away(error)
        else:
            raise BrokerError(
                f"{self._name} cannot be read: {error.str()}",
                remedy="Check what the user of [kafka.security] may do: read the topic, and use the consumer group.",
                retry=False,
            )
        return False

    def on_error(self, error: KafkaError) -> None:
        """Take note of what librdkafka says about its connections; what matters comes by `judge` too."""
        if error.code() in AWAY:
            self.away(error)

    def on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Take note of progress that could not be published."""
        found = error or next((each.error for each in partitions if each.error), None)
        if found is not None:
            self.note(f"progress is not published to the consumer group: {found.str()}")

    def away(self, error: KafkaError) -> None:
        """No broker serves the partition now."""
        if self._away_since is None:
            self._away_since = time.monotonic()
        self.note(f"no broker serves it now, waiting: {error.str()}", of="away")

    def back(self) -> None:
        """A broker has served the partition."""
        self._unknown_since = None
        if self._away_since is not None:
            self.note(f"served again after {time.monotonic() - self._away_since:.0f} s", of="back")
            self._away_since = None
            self._noted_at.clear()

    def unknown(self) -> None:
        """The brokers know no such partition: believe it after a while.

        Raises:
            TopicError: it lasts.
        """
        now = time.monotonic()
        self._unknown_since = self._unknown_since or now
        if now - self._unknown_since > GONE_S:
            raise TopicError(
                f"{self._name} is gone: the brokers know no such partition",
                remedy="Restore the topic, or leave it out of kafka.topics and run `forestall topics retire`.",
            )
        self.note("the brokers do not know it, waiting")

    def overtaken(self, offset: int, low: int, why: str = "") -> NoReturn:
        """Records are gone that were not read.

        Raises:
            TopicError: always.
        """
        at = "the next offset" if offset == OFFSET_INVALID else f"offset {offset}"
        raise TopicError(
            f"{self._name}: {at} is not there any more, the first one left is {low}: records were deleted before they "
            f"were read{f' ({why})' if why else ''}",
            remedy=RETENTION,
        )

    def shortened(self, offset: int, high: int) -> NoReturn:
        """The partition ends before the offset that was reached.

        Raises:
            TopicError: always.
        """
        raise TopicError(
            f"{self._name} ends at offset {high}, the recovery folder goes on at {offset}: its end was lost with a "
            "broker, or the topic was made anew",
            remedy=ANEW,
        )

    def another(self, offset: int) -> NoReturn:
        """The record read last is another one now.

        Raises:
            TopicError: always.
        """
        raise TopicError(
            f"{self._name} offset {offset} is not the record that was read before: the topic was made anew, or its end "
            "was lost with a broker",
            remedy=ANEW,
        )

    def made_anew(self, offset: int) -> NoReturn:
        """The topic has another id.

        Raises:
            TopicError: always.
        """
        raise TopicError(
            f"{self._name}: the topic was deleted and made anew since offset {offset} was reached", remedy=ANEW
        )

    def note(self, text: str, of: str = "") -> None:
        """Write a line into the log, but not about the same thing all the time."""
        now = time.monotonic()
        if now - self._noted_at.get(of or text, -NOTE_EVERY_S) >= NOTE_EVERY_S:
            self._noted_at[of or text] = now
            sys.stderr.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {self._name}: {text}\n")
            sys.stderr.flush()
