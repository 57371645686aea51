"""`python -m replay.world --bundled DIR` makes the recording that comes with Forestall again, from its seed."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from shutil import rmtree

from replay.manifest import MANIFEST
from replay.world.record import BUNDLED, simulate


def main(arguments: list[str]) -> None:
    """Replace the recording in the folder named."""
    parser = ArgumentParser(prog="python -m replay.world", description=__doc__)
    parser.add_argument("--bundled", type=Path, required=True, metavar="DIR", help="folder of the bundled recording")
    folder: Path = parser.parse_args(arguments).bundled
    if (folder / MANIFEST).exists():
        rmtree(folder)
    manifest, labels = simulate(BUNDLED, folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {sum(manifest.topics.values()):,} records, {len(labels.issues)} issues, {size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
