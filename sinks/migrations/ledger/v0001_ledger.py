"""The first ledger: actions and their effects, breakers, outcomes; where they come from, and who may write."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables of an empty ledger."""
    op.create_table(
        "actions",
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
    op.create_index("actions_bundle", "actions", ["bundle", "at"])
    op.create_index("actions_entity", "actions", ["entity"])
    op.create_index(
        "actions_open", "actions", ["shard"], sqlite_where=sa.text("open"), postgresql_where=sa.text("open")
    )
    op.create_table(
        "breakers",
        sa.Column("shard", TEXT, primary_key=True),
        sa.Column("name", TEXT, primary_key=True),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "effects",
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
    op.create_index("effects_entity", "effects", ["entity", "sent_at"])
    op.create_table(
        "ledger_facts",
        sa.Column("key", TEXT, primary_key=True),
        sa.Column("value", TEXT, nullable=False),
    )
    op.create_table(
        "ledger_rejects",
        sa.Column("source", TEXT, primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "ledger_shards",
        sa.Column("shard", TEXT, primary_key=True),
        sa.Column("generation", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "ledger_sources",
        sa.Column("source", TEXT, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "ledger_wishes",
        sa.Column("action_id", TEXT, primary_key=True),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("taken", sa.Boolean(create_constraint=False), nullable=False),
    )
    op.create_table(
        "outcomes",
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
