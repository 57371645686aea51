"""Negative controls on topics: safeguards switched off in the processes of a life. The harness must notice each."""

from __future__ import annotations

from collections.abc import Callable

from tests.chaos.damages import durability, purge

DAMAGES: dict[str, Callable[[], None]] = {"purge": purge, "durability": durability}
