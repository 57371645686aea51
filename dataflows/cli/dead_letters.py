"""`forestall dead-letters`: records that could not be processed, and the way back in."""

from __future__ import annotations

import time
from base64 import b64decode
from pathlib import Path
from typing import Any

import click

from config.errors import CheckFailed, UsageError
from dataflows.cli.console import err, json_option, out, print_json, table
from dataflows.cli.instant import Instant
from dataflows.cli.reports import store_option
from replay.writer import RecordingWriter
from sinks.queries import bodies
from sinks.store import Store


@click.command("dead-letters")
@store_option
@click.option("--reason", metavar="R", help="Only those with this reason: not-json, contract, …")
@click.option("--redrive", is_flag=True, help="Write the original records as a recording, to be replayed.")
@click.option("--into", type=click.Path(path_type=Path), metavar="DIR", help="Folder of that recording; must be new.")
@click.option(
    "--until", type=Instant(), metavar="TIME", help="When that recording ends. By default after its last record."
)
@json_option
def dead_letters(
    store_url: str, reason: str | None, redrive: bool, into: Path | None, until: int | None, as_json: bool
) -> None:
    """Show the records that could not be processed, with the reason; or take them out to be processed again.

    A recording made by --redrive holds the original bytes under the original topics, partitions and offsets. Correct
    what was wrong (a contract, say), then replay it into a store of its own.

    \b
    Example:
      forestall dead-letters --store sqlite:///var/world.db --reason contract
      forestall dead-letters --store sqlite:///var/world.db --redrive --into var/again
    """
    if redrive != (into is not None):
        raise UsageError("--redrive and --into belong together.", remedy="Give both, or neither.")
    with Store.open(store_url) as store:
        letters = [letter for letter in bodies(store, "dead_letter") if reason in (None, letter["reason"])]
    letters.sort(key=lambda letter: (letter["topic"], letter["partition"], letter["offset"]))
    if into is not None:
        _redrive(letters, into, until, as_json)
    elif as_json:
        print_json({"dead_letters": letters})
    elif letters:
        columns = ("topic", "partition", "offset", "reason", "contract", "detail")
        rows = [[letter[column] for column in columns] for letter in letters]
        out.print(table(f"Dead letters: {len(letters):,}", columns, rows))
    else:
        out.print("no dead letters")


def _redrive(letters: list[dict[str, Any]], into: Path, until: int | None, as_json: bool) -> None:
    whole = [letter for letter in letters if letter["value"] or not letter["value_bytes"]]
    if not whole:
        raise CheckFailed("There is no dead letter with its original bytes to redrive.")
    with RecordingWriter(into, created_at=time.time_ns() // 1000) as writer:
        for letter in whole:
            value = None if letter["reason"] == "tombstone" else b64decode(letter["value"])
            headers = [(name, _bytes(text)) for name, text in letter["headers"]]
            place = (letter["topic"], letter["partition"], letter["offset"], letter["timestamp"])
            writer.write(*place, _bytes(letter["key"]), value, headers)
        writer.finish(until)
    if as_json:
        print_json({"written": len(whole), "too_large": len(letters) - len(whole), "recording": str(into)})
        return
    out.print(f"{len(whole):,} records in {into}", markup=False)
    if len(letters) > len(whole):
        err.print(f"{len(letters) - len(whole):,} were too large to be kept: fetch them from their topic.")


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)
