"""The first store: outputs and their progress, channels, cases."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables of an empty store."""
    op.create_table("meta", sa.Column("key", TEXT, primary_key=True), sa.Column("value", TEXT, nullable=False))
    op.create_table(
        "progress",
        sa.Column("part", TEXT, primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("head", sa.LargeBinary, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("done", sa.Boolean(create_constraint=False), nullable=False),
    )
    op.create_table(
        "outputs",
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
    op.create_index("outputs_key", "outputs", ["key"])
    op.create_table(
        "repeats",
        sa.Column("part", TEXT, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("chain", sa.LargeBinary, nullable=False),
    )
    numbers = (
        *("next_offset", "watermark", "records", "accepted", "late", "duplicates", "rejected", "held"),
        *("open_keys", "open_timers", "open_events"),
    )
    op.create_table(
        "channels",
        sa.Column("channel", TEXT, primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in numbers),
    )
    op.create_table(
        "cases",
        sa.Column("case_id", TEXT, primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        *(
            sa.Column(name, TEXT)
            for name in ("correlation_key", "agent", "kind", "entity", "customer", "parent_case", "status", "severity")
        ),
        *(sa.Column(name, sa.Double) for name in ("confidence", "priority", "money_at_risk")),
        *(
            sa.Column(name, sa.BigInteger)
            for name in ("harm_at", "opened_at", "updated_at", "resolved_at", "lead_us", "findings")
        ),
        *(sa.Column(name, TEXT) for name in ("reason", "decision", "decision_id")),
    )
    op.create_index("cases_status", "cases", ["status"])
