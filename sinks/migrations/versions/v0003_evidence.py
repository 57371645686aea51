"""Cases tell how many sources speak for them, how often they were opened again, and whether a budget holds them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns; cases of before do not know."""
    op.add_column("cases", sa.Column("source_families", sa.BigInteger))
    op.add_column("cases", sa.Column("reopened", sa.BigInteger))
    op.add_column("cases", sa.Column("held", sa.Boolean(create_constraint=False)))
