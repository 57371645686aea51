"""Runs all steps that a place has not had yet."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

FOLDER = Path(__file__).parent


def upgrade(connection: sa.Connection, versions: str, version_table: str) -> None:
    """Bring a place to today's tables, within the caller's transaction.

    Args:
        connection: To its database.
        versions: Folder of its steps, beside this file.
        version_table: The table that tells which it has had.
    """
    config = Config(attributes={"connection": connection, "version_table": version_table})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("version_locations", str(FOLDER / versions).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    command.upgrade(config, "head")
