"""Pictures into files: which formats there are, and what all pictures have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from config.errors import EnvironmentFault, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
YELLOW, GREEN, RED, BLUE = "#f2c14e", "#2a7f62", "#b3001b", "#30475e"
"""Colours of what was true, of what is well, of what is wrong, and of mere numbers."""


def check(picture: Path) -> None:
    """Refuse a file that nothing can be drawn into, before anything is computed for it.

    Raises:
        UsageError: its name says no format that can be drawn.
    """
    if picture.suffix.lower() not in FORMATS:
        raise UsageError(f"--plot {picture}: unknown format", remedy=f"End its name in {', '.join(FORMATS)}.")


def blank(width: float, height: float) -> Figure:
    """Return a figure of so many inches; it needs no display and no state of the process."""
    from matplotlib.figure import Figure  # not above: it takes a second to import

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, picture: Path) -> None:
    """Write a figure into a file, and make the folder for it where there is none.

    Raises:
        EnvironmentFault: the file cannot be written.
    """
    try:
        picture.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(picture, dpi=110)
    except OSError as error:
        raise EnvironmentFault(f"{picture}: {error.strerror}.", remedy="Name a file that can be written.") from error
