"""The `forestall` command: the edge, where settings are read and real clients are made."""

from dataflows.cli.main import main

__all__ = ["main"]
