"""What one source partition tells of itself. It looks at what the partition has done and decides nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from config.instruments import switched_on
from config.metrics import (
    BATCH_SECONDS,
    DEAD_LETTERS,
    DECODE_FAILURES,
    ENDED,
    EPOCH_SECONDS,
    HELD,
    IDLE,
    JUDGED,
    LAG,
    OFFSET,
    PROGRESS,
    RECORDS,
    SAMPLED,
    SNAPSHOT_SECONDS,
    STATE_BYTES,
    WATERMARK,
)
from operators.channel import Channel, Taken
from operators.reject import REASONS
from sinks.latency import DELAYS

VERDICTS = ("accepted", "late", "duplicates", "rejected", "shed")
"""Fields of `Counts`; the label says `duplicate`, for one record has one verdict."""
STEP = "source"


class PartitionMetrics:
    """Metrics of one partition.

    Args:
        channel: Its logic, read and never changed.
        slowest: Tells the lowest watermark of all partitions, microseconds; `TIME_MAX` where none holds back.
        delays: Whether what it brings makes outputs due; a control partition does not.
    """

    def __init__(self, channel: Channel, slowest: Callable[[], int], *, delays: bool = True) -> None:
        self._channel = channel
        self._topic, _, self._partition = channel.name.rpartition("/")
        counts = channel.counts
        self._records = counts.records
        self._judged = {name: getattr(counts, name) for name in VERDICTS}
        self._stood: tuple[int, int] | None = None
        self._bytes = 0
        self._epoch_began = time.perf_counter()
        self._delays = delays
        if delays:
            DELAYS.begin(channel.watermark, slowest)

    def took(self, taken: Taken, seconds: float, slowest: int) -> None:
        """Count a batch.

        Args:
            taken: What became of it.
            seconds: What that took.
            slowest: The lowest watermark of all partitions, microseconds.
        """
        if not switched_on():
            return
        channel, topic, counts = self._channel, self._topic, self._channel.counts
        if counts.records > self._records:
            BATCH_SECONDS.observe(seconds, topic)
        RECORDS.add(counts.records - self._records, topic)
        self._records = counts.records
        for name in VERDICTS:
            JUDGED.add(getattr(counts, name) - self._judged[name], topic, name.removesuffix("s"))
            self._judged[name] = getattr(counts, name)
        reasons = Counter(event.data["reason"] for event in taken.released if event.type == "dead_letter")
        for reason, count in reasons.items():
            DEAD_LETTERS.add(count, topic, reason)
            if reason in REASONS:
                DECODE_FAILURES.add(count, topic)
        if not self._delays:
            return
        newest = channel.watermark if channel.newest is None else channel.newest
        DELAYS.reached(newest, channel.watermark, slowest, time.time_ns() // 1000 - int(seconds * 1e6))

    def promised(self, slowest: int) -> None:
        """Note that the watermark rose in silence; `slowest` as of `took`."""
        if switched_on():
            watermark = self._channel.watermark
            DELAYS.reached(watermark, watermark, min(slowest, watermark), time.time_ns() // 1000)

    def sees(self, slowest: int) -> None:
        """Note how far all have come: another process may have raised it; `slowest` as of `took`."""
        if switched_on() and self._delays:
            DELAYS.slowest(slowest)

    def waits(self) -> None:
        """Say that the partition rightly does not read: it is ahead of the others, or of its pace."""
        PROGRESS.set(time.time(), self._topic, self._partition)

    def stands(self, behind: int, *, idle: bool = False, ended: bool = False) -> None:
        """Say where the partition is.

        Args:
            behind: Records that are there and not read.
            idle: It has been silent for so long that it holds nobody up.
            ended: It is at the end of its recording.
        """
        if not switched_on():
            return
        channel, labels = self._channel, (self._topic, self._partition)
        stands = (channel.next_offset, channel.watermark)
        OFFSET.set(channel.next_offset, *labels)
        LAG.set(behind, *labels)
        IDLE.set(idle, *labels)
        ENDED.set(ended, *labels)
        HELD.set(channel.counts.held, *labels)
        SAMPLED.set(1 / channel.one_in, *labels)
        if channel.watermark > 0:  # before the first record it is beyond all calendars
            WATERMARK.set(channel.watermark / 1e6, *labels)
        if stands != self._stood:
            PROGRESS.set(time.time(), *labels)
        self._stood = stands

    def saved(self, size: int, seconds: float) -> None:
        """Count a snapshot of so many bytes."""
        SNAPSHOT_SECONDS.observe(seconds, STEP)
        STATE_BYTES.add(size - self._bytes, STEP)
        self._bytes = size

    def epoch_ended(self) -> None:
        """Note the end of an epoch."""
        now = time.perf_counter()
        EPOCH_SECONDS.observe(now - self._epoch_began)
        self._epoch_began = now
