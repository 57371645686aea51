"""A real browser without a window, for pages that are files."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.commands import PATIENCE_S

GET_IT = "no Chromium; get it with `apt-get install chromium`, or put chromium on the PATH"
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--disable-dev-shm-usage"),
)
"""Nothing that the page at hand does not ask for; tests run as root in small containers."""


class Unavailable(Exception):
    """This machine has no Chromium."""


@dataclass(frozen=True)
class Chromium:
    """Where the browser is."""

    program: str

    @staticmethod
    def found() -> Chromium:
        """Return the one on the PATH.

        Raises:
            Unavailable: there is none.
        """
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        if program is None:
            raise Unavailable(GET_IT)
        return Chromium(program)

    def dom(self, page: Path, width: int = 1000, height: int = 1400) -> str:
        """Return the document that the browser makes of a page, after all its scripts have run."""
        return self._run("--dump-dom", page, width, height)

    def shot(self, page: Path, image: Path, width: int = 1000, height: int = 1400) -> bytes:
        """Return the page as a person sees it, as PNG."""
        self._run(f"--screenshot={image}", page, width, height)
        return image.read_bytes()

    def _run(self, wanted: str, page: Path, width: int, height: int) -> str:
        with tempfile.TemporaryDirectory(prefix="chromium-") as profile:
            command = [self.program, *QUIET, f"--user-data-dir={profile}", f"--window-size={width},{height}"]
            done = subprocess.run(
                [*command, "--virtual-time-budget=2000", wanted, page.as_uri()],
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
            )
        assert done.returncode == 0, done.stderr
        return done.stdout
