"""What each setting declares beside its type: what it affects, and its bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Affects = Literal["results", "layout", "pace", "place"]
"""What a setting changes: what comes out; how state is cut up, fixed for the life of a recovery folder; how fast it
comes out; where something lies, whose content has a hash of its own."""


@dataclass(frozen=True)
class Spec:
    """What a setting affects, and its bounds; those of a list or table hold for each item."""

    affects: Affects
    least: Any = None
    most: Any = None
