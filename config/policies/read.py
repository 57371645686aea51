"""Reads the YAML files of a bundle, and the instants in them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from config.clock import to_micros
from config.errors import PolicyError
from config.yaml_source import Source

D = TypeVar("D", bound=msgspec.Struct)

_GUIDES = {
    "": "docs/decisions.md",
    "approvals": "docs/approvals.md",
    "autonomy": "docs/decisions.md#autonomy",
    "guardrails": "docs/guardrails.md",
}


def read_part(file: Path, kind: type[D]) -> Source[D]:
    """Return a file of a bundle, read as a document of type `D`.

    Raises:
        PolicyError: it is missing, no YAML, or a field is unknown, missing or of another type.
    """
    return Source(file, kind, PolicyError, _GUIDES)


def instant(where: str, name: str, given: datetime) -> int:
    """Return an instant as microseconds.

    Raises:
        PolicyError: it has no offset from UTC.
    """
    if given.tzinfo is None:
        raise PolicyError(f"{where}: {name} has no offset from UTC", remedy="Write it as 2026-01-31T00:00:00Z.")
    return to_micros(given)
