"""Where the records before an instant end, found while a partition goes by."""

from __future__ import annotations

import pyarrow as pa

from replay.columns import one_chunk


class Border:
    """The border of an instant: after the last record stamped before it, of those before the first one beyond reach.

    Args:
        at: The instant, milliseconds since the epoch.
        reach: How much later than `at` a record must be stamped to end the search, milliseconds.
    """

    def __init__(self, at: int, reach: int) -> None:
        self._at, self._beyond = at, at + max(reach, 0)
        self.after: list[pa.Table] = []
        """Records past the border, as far as is known by now."""
        self.edge: int | None = None
        """The offset after the last record known to be before the border, if there was one."""
        self.done = False
        """Whether the border is found: no record that follows changes it."""

    def feed(self, table: pa.Table) -> list[pa.Table]:
        """Take the next records, in offset order; return those that are now known to be before the border."""
        stamps = one_chunk(table["timestamp"]).to_numpy()
        beyond = (stamps >= self._beyond).nonzero()[0]
        end = int(beyond[0]) if len(beyond) else len(stamps)
        earlier = (stamps[:end] < self._at).nonzero()[0]
        before: list[pa.Table] = []
        if len(earlier) and not self.done:
            last = int(earlier[-1]) + 1
            before, self.after = [*self.after, table.slice(0, last)], []
            self.edge = table["offset"][last - 1].as_py() + 1
            table = table.slice(last)
        if table.num_rows:
            self.after.append(table)
        self.done = self.done or len(beyond) > 0
        return before
