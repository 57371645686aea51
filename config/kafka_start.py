"""Where a partition without state begins."""

from __future__ import annotations

from dataclasses import dataclass

from config.clock import from_text
from config.errors import SettingsError

STARTS = ("committed", "earliest", "latest")


@dataclass(frozen=True)
class Start:
    """Where a partition begins that has no state: `committed`, `earliest`, `latest`, or an instant."""

    at: str
    stamp: int = 0
    """Of an instant: milliseconds since the epoch."""

    @staticmethod
    def parse(text: str) -> Start:
        """Read the setting `kafka.start`.

        Raises:
            SettingsError: it is neither one of the words nor an instant.
        """
        if text in STARTS:
            return Start(text)
        try:
            return Start("instant", -(-from_text(text) // 1000))
        except ValueError:
            raise SettingsError(
                f"kafka.start = {text!r} is no place to start.",
                remedy=f"Give {', '.join(STARTS)}, or an instant such as 2026-05-01T00:00:00Z.",
            ) from None
