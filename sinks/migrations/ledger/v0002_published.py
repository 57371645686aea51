"""Shards tell how many of their outcomes are on their topic."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; of outcomes of before none was published."""
    op.add_column("ledger_shards", sa.Column("published", sa.BigInteger, nullable=False, server_default="0"))
