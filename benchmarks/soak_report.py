"""What a soak says: whether memory, file handles and the recovery folder stay flat, and a picture of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from statistics import median
from typing import Literal

WARM_UP = 1 / 3
"""Share of the time that does not count: state fills up to its limits, allocators to theirs."""
GROWTH_MAX = 1.15
"""The last third may hold so many times what the second does; allocators alone vary by a tenth."""
SLACK = {"memory_bytes": 30e6, "files": 8.0, "recovery_bytes": 4e6}
"""Growth that says nothing, whatever the share."""
LAG_S = 5.0
"""After each kill, and before the next, the job must come this close to the end of its topics."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The job at one instant."""

    at: float
    """Seconds since the soak began."""
    memory_bytes: int
    """Resident, of all workers."""
    files: int
    """File handles, of all workers."""
    recovery_bytes: int
    lag_records: int
    """Produced, and not yet read and durable."""
    workers: int


Measure = Literal["memory_bytes", "files", "recovery_bytes", "lag_records"]
TITLES: dict[Measure, tuple[str, float]] = {
    "memory_bytes": ("memory of the workers, MB", 1e6),
    "files": ("file handles of the workers", 1.0),
    "recovery_bytes": ("recovery folder, MB", 1e6),
    "lag_records": ("consumer lag, thousands of records", 1e3),
}


def faults(samples: Sequence[Sample], kills: Sequence[float], rate: float) -> list[str]:
    """Return what is wrong: what grew after the warm-up, and kills from which the job did not recover.

    Args:
        samples: In order of time.
        kills: When workers were killed, in the time of the samples.
        rate: Records produced per second.
    """
    end = samples[-1].at
    alive = [sample for sample in samples if sample.workers]
    middle = [each for each in alive if end * WARM_UP <= each.at < end * (1 + WARM_UP) / 2]
    last = [each for each in alive if each.at >= end * (1 + WARM_UP) / 2]
    found = []
    for name, slack in SLACK.items():
        before, after = (median(getattr(each, name) for each in part) for part in (middle, last))
        if after > max(before * GROWTH_MAX, before + slack):
            found.append(f"{name} grew from {before:,.0f} to {after:,.0f}")
    for kill, following in zip(kills, [*kills[1:], end], strict=True):
        lags = [each.lag_records for each in samples if kill < each.at <= following]
        if lags and min(lags) > LAG_S * rate:
            found.append(f"the kill at {kill:.0f} s was not made up for: {min(lags):,} records behind at best")
    return found


WIDTH, HEIGHT, LEFT, TOP = 900, 150, 70, 28


def plot(samples: Sequence[Sample], kills: Sequence[float]) -> str:
    """Return an SVG: each measure over time, each kill a line."""
    end = max(samples[-1].at, 1.0)
    panels = []
    for number, (name, (title, unit)) in enumerate(TITLES.items()):
        values = [getattr(sample, name) / unit for sample in samples]
        most = max(*values, 1e-9)
        top = number * (HEIGHT + TOP) + TOP
        points = " ".join(
            f"{LEFT + sample.at / end * WIDTH:.1f},{top + HEIGHT * (1 - value / most):.1f}"
            for sample, value in zip(samples, values, strict=True)
        )
        marks = "".join(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{top + HEIGHT}" stroke="#e3b1b1"/>'
            for x in (LEFT + kill / end * WIDTH for kill in kills)
        )
        panels.append(
            f'<text x="{LEFT}" y="{top - 8}">{escape(title)}</text>'
            f'<text x="{LEFT - 6}" y="{top + 10}" text-anchor="end">{most:,.4g}</text>'
            f'<text x="{LEFT - 6}" y="{top + HEIGHT}" text-anchor="end">0</text>'
            f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbb"/>{marks}'
            f'<polyline points="{points}" fill="none" stroke="#1f5fa8" stroke-width="1.5"/>'
        )
    height = len(TITLES) * (HEIGHT + TOP) + TOP + 8
    panels.append(f'<text x="{LEFT + WIDTH}" y="{height - 12}" text-anchor="end">{end / 60:.1f} minutes</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + LEFT + 20} {height}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f"{''.join(panels)}</svg>\n"
    )
