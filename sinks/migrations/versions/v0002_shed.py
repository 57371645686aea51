"""Channels count what was shed under overload."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the count; nothing was shed before."""
    op.add_column("channels", sa.Column("shed", sa.BigInteger, nullable=False, server_default="0"))
