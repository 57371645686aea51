"""The tables of the store, as SQLAlchemy Core knows them. What makes them is `sinks/migrations/`."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()


class PostgresText(sa.types.TypeDecorator[str]):
    """Text for a database that cannot hold the character NUL, which records may bring: it is written otherwise."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """Return what is stored for `value`."""
        if value is None or not ("\0" in value or "\x1a" in value):
            return value
        return value.replace("\x1a", "\x1a\x1a").replace("\0", "\x1a0")

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """Return the value that was stored."""
        if value is None or "\x1a" not in value:
            return value
        return "\x1a".join(part.replace("\x1a0", "\0") for part in value.split("\x1a\x1a"))


TEXT = sa.Text().with_variant(PostgresText(collation="C"), "postgresql")
"""Text ordered by its bytes everywhere: the digest depends on the order."""

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", TEXT, primary_key=True),
    sa.Column("value", TEXT, nullable=False),
)

progress = sa.Table(
    "progress",
    metadata,
    sa.Column("part", TEXT, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("head", sa.LargeBinary, nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("done", sa.Boolean(create_constraint=False), nullable=False),
)
"""One row per sink part: how far it is released, the hash there, and who may write."""

outputs = sa.Table(
    "outputs",
    metadata,
    sa.Column("part", TEXT, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", TEXT, nullable=False),
    sa.Column("type", TEXT, nullable=False),
    sa.Column("id", TEXT, nullable=False),
    sa.Column("event_at", sa.BigInteger, nullable=False),
    sa.Column("key", TEXT, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("chain", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("kind", "id", name="outputs_kind_id"),
)

repeats = sa.Table(
    "repeats",
    metadata,
    sa.Column("part", TEXT, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", TEXT, nullable=False),
    sa.Column("id", TEXT, nullable=False),
    sa.Column("chain", sa.LargeBinary, nullable=False),
)
"""Outputs equal to one already there: not stored twice, but they keep their place in the chain."""

channels = sa.Table(
    "channels",
    metadata,
    sa.Column("channel", TEXT, primary_key=True),
    sa.Column("next_offset", sa.BigInteger, nullable=False),
    sa.Column("watermark", sa.BigInteger, nullable=False),
    sa.Column("records", sa.BigInteger, nullable=False),
    sa.Column("accepted", sa.BigInteger, nullable=False),
    sa.Column("late", sa.BigInteger, nullable=False),
    sa.Column("duplicates", sa.BigInteger, nullable=False),
    sa.Column("rejected", sa.BigInteger, nullable=False),
    sa.Column("held", sa.BigInteger, nullable=False),
    sa.Column("open_keys", sa.BigInteger, nullable=False),
    sa.Column("open_timers", sa.BigInteger, nullable=False),
    sa.Column("open_events", sa.BigInteger, nullable=False),
    sa.Column("shed", sa.BigInteger, nullable=False),
)
"""What each source partition last said of itself, and each key group at its end. Not part of the digest."""

cases = sa.Table(
    "cases",
    metadata,
    sa.Column("case_id", TEXT, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("correlation_key", TEXT),
    sa.Column("agent", TEXT),
    sa.Column("kind", TEXT),
    sa.Column("entity", TEXT),
    sa.Column("customer", TEXT),
    sa.Column("parent_case", TEXT),
    sa.Column("status", TEXT),
    sa.Column("severity", TEXT),
    sa.Column("confidence", sa.Double),
    sa.Column("priority", sa.Double),
    sa.Column("money_at_risk", sa.Double),
    sa.Column("harm_at", sa.BigInteger),
    sa.Column("opened_at", sa.BigInteger),
    sa.Column("updated_at", sa.BigInteger),
    sa.Column("resolved_at", sa.BigInteger),
    sa.Column("lead_us", sa.BigInteger),
    sa.Column("findings", sa.BigInteger),
    sa.Column("reason", TEXT),
    sa.Column("decision", TEXT),
    sa.Column("decision_id", TEXT),
    sa.Column("source_families", sa.BigInteger),
    sa.Column("reopened", sa.BigInteger),
    sa.Column("held", sa.Boolean(create_constraint=False)),
)
"""A projection: what the case events add up to. `seq` is the number of the last event folded in."""
sa.Index("cases_status", cases.c.status)
sa.Index("outputs_key", outputs.c.key)
