"""Session windows: spans of activity of a key, ended by a gap of silence in event time.

Sessions merge: each batch brings the sessions it can see, and one that bridges two known ones joins them, so the result
does not depend on batches or their order. A pause of `gap` or more ends a session; it closes when event time passes
its last event by `gap`.
"""

from __future__ import annotations

import msgspec
import polars as pl

from operators.pane import Pane, Partial
from operators.window import aggregate, by_group


def combine_sessions(measures: pl.DataFrame, channel: str, gap_us: int, key_groups: int) -> dict[int, list[Partial]]:
    """Aggregate a batch of one channel: one partial per key, metric, contract and session within the batch.

    Args:
        measures: As `operators.window.combine` takes them.
        channel: `topic/partition`.
        gap_us: The silence that ends a session, µs.
        key_groups: Of the receiving stage.

    Returns:
        Partials by key group; `start` is the session's first event, `latest_at` its last.
    """
    partials: list[Partial] = []
    series = ["key", "metric"]
    begins = (pl.col("at").diff().over(series) >= gap_us).fill_null(value=True)
    for part in measures.sort("at", maintain_order=True).partition_by("contract", maintain_order=True):
        started = part.with_columns(
            start=pl.when(begins).then(pl.col("at")).otherwise(None).forward_fill().over(series)
        )
        partials += aggregate(started, channel)
    return by_group(partials, key_groups)


class Session(msgspec.Struct, array_like=True):
    """One session of one series: its first and last event's time, and what it holds."""

    start: int
    last: int
    pane: Pane


class Sessions(msgspec.Struct):
    """The open sessions of one series, in order of time, none within `gap` of another."""

    open: list[Session] = []

    def add(self, partial: Partial, gap_us: int) -> None:
        """Merge a session that a batch saw; joins those it comes within `gap_us` of."""
        joined = Session(partial.start, partial.latest_at, Pane())
        joined.pane.add(partial)
        apart = []
        for session in self.open:
            # All are compared with the new one only: joining widens it just to sessions already `gap` apart.
            if session.start - partial.latest_at < gap_us and partial.start - session.last < gap_us:
                joined.start = min(joined.start, session.start)
                joined.last = max(joined.last, session.last)
                joined.pane.merge(session.pane)
            else:
                apart.append(session)
        self.open = sorted([*apart, joined], key=lambda session: session.start)

    def close(self, now: int, gap_us: int) -> list[Session]:
        """Remove and return, in order, the sessions that no event from `now` on can extend."""
        closed = [session for session in self.open if session.last + gap_us <= now]
        self.open = [session for session in self.open if session.last + gap_us > now]
        return closed
