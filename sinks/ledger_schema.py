"""The tables of the effect ledger, as SQLAlchemy Core knows them. What makes them is `sinks/migrations/ledger`."""

from __future__ import annotations

import sqlalchemy as sa

from sinks.schema import TEXT

metadata = sa.MetaData()

shards = sa.Table(
    "ledger_shards",
    metadata,
    sa.Column("shard", TEXT, primary_key=True),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("published", sa.BigInteger, nullable=False, server_default="0"),
)
"""One row per shard: who may write, and how many of its outcomes are known to be on their topic.

Whoever opens a shard raises its generation; older ones can write nothing more.
"""

sources = sa.Table(
    "ledger_sources",
    metadata,
    sa.Column("source", TEXT, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)
"""How far each source of actions is taken in: the position that comes next, in the transaction of what came before."""

actions = sa.Table(
    "actions",
    metadata,
    sa.Column("action_id", TEXT, primary_key=True),
    sa.Column("shard", TEXT, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("state", TEXT, nullable=False),
    sa.Column("open", sa.Boolean(create_constraint=False), nullable=False),
    sa.Column("case_id", TEXT, nullable=False),
    sa.Column("case_key", TEXT, nullable=False),
    sa.Column("decision_id", TEXT, nullable=False),
    sa.Column("remedy", TEXT, nullable=False),
    sa.Column("entity", TEXT, nullable=False),
    sa.Column("customer", TEXT, nullable=False),
    sa.Column("bundle", TEXT, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("valid_until", sa.BigInteger, nullable=False),
    sa.Column("verdict", TEXT),
    sa.Column("collateral", sa.Boolean(create_constraint=False)),
    sa.Column("reason", TEXT, nullable=False),
    sa.Column("attempts", sa.BigInteger, nullable=False),
    sa.Column("intended_at", sa.BigInteger),
    sa.Column("approved_at", sa.BigInteger),
    sa.Column("dispatched_at", sa.BigInteger),
    sa.Column("acknowledged_at", sa.BigInteger),
    sa.Column("judged_at", sa.BigInteger),
    sa.Column("ended_at", sa.BigInteger),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("saga", sa.LargeBinary, nullable=False),
)
"""One row per action: its state, when it came to each, what was decided (`body`), and its saga."""
sa.Index("actions_open", actions.c.shard, sqlite_where=actions.c.open, postgresql_where=actions.c.open)
sa.Index("actions_entity", actions.c.entity)
sa.Index("actions_bundle", actions.c.bundle, actions.c.at)

effects = sa.Table(
    "effects",
    metadata,
    sa.Column("action_id", TEXT, primary_key=True),
    sa.Column("step", TEXT, primary_key=True),
    sa.Column("target", TEXT, nullable=False),
    sa.Column("operation", TEXT, nullable=False),
    sa.Column("entity", TEXT, nullable=False),
    sa.Column("key", TEXT, nullable=False),
    sa.Column("status", TEXT, nullable=False),
    sa.Column("attempts", sa.BigInteger, nullable=False),
    sa.Column("undo_status", TEXT, nullable=False),
    sa.Column("undo_attempts", sa.BigInteger, nullable=False),
    sa.Column("sent_at", sa.BigInteger),
    sa.Column("done_at", sa.BigInteger),
    sa.Column("undone_at", sa.BigInteger),
    sa.Column("detail", TEXT, nullable=False),
    sa.Column("digest", TEXT, nullable=False),
)
"""One row per effect, written before it is asked for."""
sa.Index("effects_entity", effects.c.entity, effects.c.sent_at)

breakers = sa.Table(
    "breakers",
    metadata,
    sa.Column("shard", TEXT, primary_key=True),
    sa.Column("name", TEXT, primary_key=True),
    sa.Column("state", TEXT, nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
"""What each shard knows of `target/operation`."""

outcomes = sa.Table(
    "outcomes",
    metadata,
    sa.Column("shard", TEXT, primary_key=True),
    sa.Column("n", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("action_id", TEXT, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("key", TEXT, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("chain", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("action_id", "seq", name="outcomes_action_seq"),
)
"""What is told of actions, numbered and chained per shard: the outbox of what goes onto a topic."""

wishes = sa.Table(
    "ledger_wishes",
    metadata,
    sa.Column("action_id", TEXT, primary_key=True),
    sa.Column("reason", TEXT, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("taken", sa.Boolean(create_constraint=False), nullable=False),
)
"""Actions that people want taken back."""

rejects = sa.Table(
    "ledger_rejects",
    metadata,
    sa.Column("source", TEXT, primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("reason", TEXT, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
"""What came as an action and is none."""

facts = sa.Table(
    "ledger_facts",
    metadata,
    sa.Column("key", TEXT, primary_key=True),
    sa.Column("value", TEXT, nullable=False),
)
"""What is known of the ledger itself: since when its source is observed."""
