"""Reads flags for the remediation flow: from the control topics into the ledger, where every process finds them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import msgspec

from config.kafka import Kafka, client_config
from config.kafka_start import Start
from config.metrics import FLAGS_HEARD
from config.settings import Settings
from dataflows.domain import load_contract_set
from dataflows.kafka_faults import Troubles
from dataflows.kafka_source import KafkaPartition
from dataflows.kafka_watch import BrokerWatch
from dataflows.remedy_clock import wall_clock
from dataflows.remedy_flags import FLAGS, HEARD, read_book
from operators.channel import Position
from operators.decode import Decoder
from operators.flags import FLAG
from sinks.ledger import Ledger

BATCH = 1_000
POLL_S = 0.05
HEARD_EVERY_S = 0.5


class FlagReader:
    """Reads the control topics into the ledger, in a thread of its own: nobody waits for brokers that are away.

    Args:
        kafka: The connection.
        decoder: Knows the contract of flags.
        channels: Partitions of the control topics.
        ledger: Where what they say is written down.
        stopping: Whether the flow was asked to stop.
    """

    def __init__(
        self, kafka: Kafka, decoder: Decoder, channels: Sequence[str], ledger: Ledger, stopping: Callable[[], bool]
    ) -> None:
        self._kafka = replace(kafka, group_id=f"{kafka.group_id}-remediation-flags")
        self._decoder, self._channels, self._ledger, self._stopping = decoder, channels, ledger, stopping
        self._error: BaseException | None = None
        self._text = ledger.fact(FLAGS)
        self._book = read_book(self._text)
        self._confirmed = dict.fromkeys(channels, 0)
        """When a broker last said that nothing follows, by partition: as `KafkaPartition.silent_until`."""
        self._heard_at = 0.0

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="flags", daemon=True).start()

    def check(self) -> None:
        """Raise what the thread has failed of."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._read()
        except BaseException as error:
            self._error = error

    def _read(self) -> None:
        watch, positions = BrokerWatch(client_config(self._kafka)), self._book.positions
        partitions = {}
        for channel in self._channels:
            partition = KafkaPartition(self._kafka, channel, Start("earliest"), timedelta(0), watch, self._stopping)
            left = positions.get(channel, 0)
            positions[channel] = partition.open(Position(next_offset=left, begun=channel in positions)).next_offset
            partitions[channel] = partition
        while not self._stopping():
            came = [self._take(channel, partition) for channel, partition in partitions.items()]
            if not any(came):
                self._note_silence(partitions)
                time.sleep(POLL_S)

    def _take(self, channel: str, partition: KafkaPartition) -> bool:
        """Take in what comes next of a partition; return whether anything came."""
        batch = partition.read(self._book.positions[channel], BATCH)
        if not len(batch):
            return False
        decoded = self._decoder.decode(batch)
        for reject in decoded.rejects:
            Troubles(channel).note(f"offset {reject.offset} is passed over: {reject.detail}")
        now = wall_clock()
        for event in decoded.events():
            if event.type == FLAG:
                self._book.standing.take(event, now)
        self._book.positions[channel] = batch.offsets[-1] + 1
        text = msgspec.json.encode(self._book).decode()
        self._ledger.change_fact(FLAGS, self._text, text)
        self._text = text
        return True

    def _note_silence(self, partitions: Mapping[str, KafkaPartition]) -> None:
        """Note that nothing follows, once a broker has said so anew of every partition."""
        if time.monotonic() - self._heard_at < HEARD_EVERY_S:
            return
        said = {name: each.silent_until(self._book.positions[name]) or 0 for name, each in partitions.items()}
        if all(said[name] > before for name, before in self._confirmed.items()):
            self._confirmed, self._heard_at = said, time.monotonic()
            self._ledger.change_fact(HEARD, self._ledger.fact(HEARD), str(wall_clock()))
            FLAGS_HEARD.set(time.time())


def flag_topics(settings: Settings) -> list[str]:
    """Return the topics on which flags may come: the control topics that are read, but for our own."""
    kafka, own = settings.kafka, settings.topics.outcomes
    if kafka.bootstrap_servers is None:
        return []
    return [topic for topic in settings.control.topics if topic in kafka.topics and topic != own]


def reader_of(
    settings: Settings, channels: Sequence[str], ledger: Ledger, stopping: Callable[[], bool]
) -> FlagReader | None:
    """Return who reads flags from partitions of control topics; None where there are none."""
    if not channels:
        return None
    topics = {channel.rpartition("/")[0] for channel in channels}
    decoder = Decoder(load_contract_set(settings), control_topics=topics)
    return FlagReader(settings.kafka, decoder, channels, ledger, stopping)
