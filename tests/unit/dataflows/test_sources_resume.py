from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import cast

from config.clock import DAY
from dataflows.alignment import AlignmentBoard
from dataflows.sources import PartitionTicks, Reader, SourceSettings
from operators.channel import Channel, Counts

CHANNELS = ["orders/0", "orders/1"]


@dataclass
class Resumed:
    """As much of a channel as is asked before it reads."""

    name: str
    watermark: int
    next_offset: int = 0
    counts: Counts = field(default_factory=Counts)


class Unread:
    """As much of a reader."""

    def behind(self, next_offset: int) -> int:
        return 0

    def idle_until(self, next_offset: int) -> int | None:
        return None


def test_resumed_partitions_say_where_they_stand_so_that_none_waits_for_the_others(tmp_path: Path) -> None:
    AlignmentBoard.create(tmp_path / "board", CHANNELS)
    settings = SourceSettings(100, DAY, timedelta(0), timedelta(seconds=1), {}, 1, {})
    for name, watermark in zip(CHANNELS, (500 * DAY, 501 * DAY), strict=True):
        board = AlignmentBoard(tmp_path / "board", CHANNELS)
        channel = cast(Channel, Resumed(name, watermark))
        PartitionTicks(settings, channel, cast(Reader, Unread()), board, lambda: False, None)
    assert AlignmentBoard(tmp_path / "board", CHANNELS).slowest() == 500 * DAY
