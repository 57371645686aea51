"""The store: what left the job, once; SQL through SQLAlchemy Core, in SQLite or PostgreSQL.

Everything of one release stands in one transaction: outputs, the projection of cases, channel statistics and the
progress of the sink part. Whoever opens a sink part raises its *fence*; a writer with an older fence can write
nothing any more. See `docs/exactly-once.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import sqlalchemy as sa

from config.errors import StoreError
from sinks.chain import GENESIS, link
from sinks.continuity import Standing, check_continues
from sinks.part_writer import PartWriter
from sinks.place import Kind, Place
from sinks.projections import rebuild_cases
from sinks.schema import cases, channels, meta, outputs, progress, repeats

REVISION = "0003"
"""The newest step in `sinks/migrations/versions`."""


class Store(Place):
    """One store: see `Place`."""

    kind = Kind("store", REVISION, "versions", "alembic_version", "forestall replay")

    # The life of a run

    def begin_run(self, parts: Sequence[str], job: str, beside: Sequence[str] = ()) -> None:
        """Prepare the store for a run, before any worker starts: nobody else writes, no part is done.

        Args:
            parts: Names of all sink parts; fixed for the life of the store.
            job: Digest of what must not change between the runs into one store.
            beside: Names of those that release elsewhere in this run, and only tell the store when they are done.

        Raises:
            StoreError: The store belongs to another job, or has other sink parts.
        """
        with self.begin() as connection:
            known = {row.key: row.value for row in connection.execute(sa.select(meta))}
            wanted = {"job": job, "parts": " ".join(sorted(parts))}
            for key, value in wanted.items():
                if key not in known:
                    connection.execute(meta.insert().values(key=key, value=value))
                elif known[key] != value:
                    raise StoreError(
                        f"Store {self.name} was filled by another job: its {key} is {known[key]!r}, now {value!r}.",
                        remedy="Name another store, or run it with the settings it was made with.",
                    )
            if "parts" not in known:
                connection.execute(progress.insert(), [_beginning(part) for part in parts])
            there = set(connection.execute(sa.select(progress.c.part)).scalars())
            if gone := there - {*parts, *beside}:
                connection.execute(progress.delete().where(progress.c.part.in_(gone)))
            if new := sorted(set(beside) - there):
                connection.execute(progress.insert(), [_beginning(part) for part in new])
            # The fence is raised as well, so that a worker left over from an earlier run cannot call a part done.
            connection.execute(progress.update().values(done=False, fence=progress.c.fence + 1))

    def open_part(self, part: str, base_seq: int, heads: Sequence[bytes]) -> PartWriter:
        """Take over a sink part with the state recovered for it: raise its fence, and compare.

        Args:
            part: Its name.
            base_seq: The last entry that the recovered outbox no longer holds; 0 when nothing was recovered.
            heads: The chain's hash at `base_seq`, then at each entry the outbox still holds.

        Raises:
            SequenceError: The recovered state does not continue the store. Nothing was changed.
        """
        with self.begin() as connection:
            row = connection.execute(sa.select(progress).where(progress.c.part == part).with_for_update()).one_or_none()
            if row is None:
                raise StoreError(f"Store {self.name} has no sink part {part}.", remedy="Start the job by `forestall`.")
            check_continues(part, Standing(row.seq, row.head), base_seq, heads)
            fence = row.fence + 1
            connection.execute(progress.update().where(progress.c.part == part).values(fence=fence))
        return PartWriter(self, part, fence)

    def standings(self) -> dict[str, Standing]:
        """Return how far each sink part is released; none before the first run."""
        with self.read() as connection:
            rows = connection.execute(sa.select(progress.c.part, progress.c.seq, progress.c.head))
            return {row.part: Standing(row.seq, row.head) for row in rows}

    def open_beside(self, part: str) -> PartWriter:
        """Take over a sink part that releases elsewhere: raise its fence, so that only its newest owner can end it.

        Args:
            part: One of those that `begin_run` was given as `beside`.
        """
        return self.open_part(part, 0, [GENESIS])

    def all_done(self) -> bool:
        """Whether every sink part has released everything of this run."""
        query = sa.select(sa.func.count(), sa.func.count().filter(progress.c.done)).select_from(progress)

        def ask() -> bool:
            with self.read() as connection:
                total, done = connection.execute(query).one()
            return bool(total) and total == done

        return self.patiently(ask)

    def has_run(self) -> bool:
        """Whether any output was ever released into this store."""
        with self.read() as connection:
            return connection.execute(sa.select(sa.func.max(progress.c.seq))).scalar_one_or_none() not in (None, 0)

    # What is in it

    def digest(self) -> str:
        """Return the hash of all outputs in the order of (kind, id), as 64 hexadecimal digits.

        Part, sequence and chain are left out: they depend on how the workers interleaved.
        """
        digest = blake2b(digest_size=32)
        fields = (outputs.c.type, outputs.c.id, outputs.c.event_at, outputs.c.key, outputs.c.body)
        with self.read() as connection:
            query = sa.select(*fields).order_by(outputs.c.kind, outputs.c.id)
            with connection.execution_options(yield_per=10_000).execute(query) as found:
                for type_, id_, at, key, body in found:
                    digest.update(link(b"", "", 0, type_, id_, at, key, body))
        return digest.hexdigest()

    def counts(self) -> dict[str, int]:
        """Return the number of outputs by kind."""
        with self.read() as connection:
            query = sa.select(outputs.c.kind, sa.func.count()).group_by(outputs.c.kind).order_by(outputs.c.kind)
            return {row[0]: row[1] for row in connection.execute(query)}

    def cases(self) -> int:
        """Return the number of cases."""
        with self.read() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(cases)).scalar_one()

    def totals(self) -> dict[str, int]:
        """Return the sums of the channels' statistics, and the outputs that came again (`repeats`)."""
        names = ("records", "accepted", "late", "duplicates", "rejected", "held", "shed")
        with self.read() as connection:
            sums = connection.execute(sa.select(*(sa.func.sum(channels.c[name]) for name in names))).one()
            again = connection.execute(sa.select(sa.func.count()).select_from(repeats)).scalar_one()
        return {**{name: int(value or 0) for name, value in zip(names, sums, strict=True)}, "repeats": again}

    def rebuild(self) -> bool:
        """Fold all case events again into the table of cases; return whether it was equal before."""
        with self.begin() as connection:
            return rebuild_cases(connection)


def _beginning(part: str) -> dict[str, Any]:
    """Return the progress of a sink part that has released nothing."""
    return {"part": part, "seq": 0, "head": GENESIS, "fence": 0, "done": False}
