"""The series of the Numenta Anomaly Benchmark: `<category>/<file>.csv` and `windows.json`."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from config.errors import InputError

WINDOWS = "windows.json"


@dataclass(frozen=True)
class Series:
    """One series, whole."""

    name: str
    """`category/file.csv`."""
    times: list[str]
    """As written, ascending."""
    values: list[float]
    windows: list[tuple[int, int]]
    """First and last row of each labelled window, in order."""

    @property
    def category(self) -> str:
        """The folder that the series lies in."""
        return self.name.partition("/")[0]


def load(folder: Path) -> list[Series]:
    """Read all series that `windows.json` names, in the order of their names.

    Raises:
        InputError: a file is missing or is not what the benchmark's files are.
    """
    try:
        content = (folder / WINDOWS).read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"{folder / WINDOWS}: no such file",
            remedy="Name the folder that holds windows.json beside the folders of the categories.",
        ) from None
    try:
        windows = msgspec.json.decode(content, type=dict[str, list[tuple[str, str]]])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{folder / WINDOWS}: {error}", remedy="It maps each file to its windows, [first, last] timestamp each."
        ) from None
    return [_read(folder, name, windows[name]) for name in sorted(windows)]


def _read(folder: Path, name: str, windows: list[tuple[str, str]]) -> Series:
    try:
        with (folder / name).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise InputError(f"{folder / name}: no such file", remedy=f"{WINDOWS} names it; get it there.") from None
    try:
        times, values = [row["timestamp"] for row in rows], [float(row["value"]) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder / name}: {type(error).__name__} {error}",
            remedy="It needs the columns timestamp and value, a number.",
        ) from None
    at = {time: row for row, time in enumerate(times)}
    return Series(name, times, values, sorted((_row(at, name, a), _row(at, name, b)) for a, b in windows))


def _row(at: dict[str, Any], name: str, time: str) -> int:
    row: int | None = at.get(time.removesuffix(".000000"), at.get(time))
    if row is None:
        raise InputError(f"{WINDOWS}: {name} has no row at {time}", remedy="Windows begin and end on rows.")
    return row
