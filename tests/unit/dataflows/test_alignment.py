"""The board that tells each source how far the others have come."""

from __future__ import annotations

from pathlib import Path

from config.clock import TIME_MAX, TIME_MIN
from dataflows.alignment import AlignmentBoard

CHANNELS = ("orders/0", "telemetry/0", "telemetry/1")


def test_a_channel_that_has_not_spoken_holds_the_others(tmp_path: Path) -> None:
    AlignmentBoard.create(tmp_path / "board", CHANNELS)
    board = AlignmentBoard(tmp_path / "board", CHANNELS)
    board.tell("orders/0", 10)
    board.tell("telemetry/0", 20)
    assert board.slowest() == TIME_MIN


def test_what_one_process_tells_another_sees(tmp_path: Path) -> None:
    AlignmentBoard.create(tmp_path / "board", CHANNELS)
    one, other = (AlignmentBoard(tmp_path / "board", CHANNELS) for _ in range(2))
    for at, channel in enumerate(CHANNELS):
        one.tell(channel, 100 + at)
    assert other.slowest() == 100


def test_what_all_have_promised_counts_idle_channels_too(tmp_path: Path) -> None:
    AlignmentBoard.create(tmp_path / "board", CHANNELS)
    board = AlignmentBoard(tmp_path / "board", CHANNELS)
    board.tell("orders/0", 10)
    board.leave("telemetry/0", 7)
    assert (board.slowest(), board.reached()) == (TIME_MIN, TIME_MIN)
    board.leave("telemetry/1")
    assert (board.slowest(), board.reached()) == (10, 7)


def test_a_channel_that_left_holds_nobody(tmp_path: Path) -> None:
    AlignmentBoard.create(tmp_path / "board", CHANNELS)
    board = AlignmentBoard(tmp_path / "board", CHANNELS)
    board.tell("orders/0", 10)
    board.leave("telemetry/0")
    board.leave("telemetry/1")
    assert board.slowest() == 10
    board.leave("orders/0")
    assert board.slowest() == TIME_MAX
