"""`forestall import …` and `forestall recording …`: recorded topics on disk."""

from __future__ import annotations

import time
from pathlib import Path

import click

from config.clock import to_text
from config.errors import CheckFailed, RecordingError
from dataflows.cli.console import ForestallGroup, err, json_option, out, print_json, progress, table
from dataflows.cli.instant import Instant
from replay.cut import cut as cut_recording
from replay.integrity import REMEDY
from replay.kcat import import_dumps
from replay.manifest import NO_TIMESTAMP, Manifest
from replay.recording import Recording
from replay.writer import RecordingWriter

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(path_type=Path)


def _now() -> int:
    return time.time_ns() // 1000


@click.group("import", cls=ForestallGroup)
def import_() -> None:
    """Make a recording of topics from dumps."""


@import_.command("kcat")
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILES...")
@click.option("--into", required=True, type=_FOLDER, metavar="DIR", help="Folder of the recording; must be new.")
@click.option(
    "--until",
    type=Instant(),
    metavar="TIME",
    help="When the dump ended: nothing before TIME is missing. By default just after the last record.",
)
@json_option
def import_kcat(files: tuple[Path, ...], into: Path, until: int | None, as_json: bool) -> None:
    """Make a recording from dumps of `kcat -C -e -J`, plain or gzipped.

    \b
    Example:
      forestall import kcat orders.jsonl.gz crm.jsonl.gz --into var/recording
    """
    with RecordingWriter(into, created_at=_now()) as writer, progress() as display:
        task = display.add_task("reading dumps", total=sum(path.stat().st_size for path in files))
        if not import_dumps(files, writer, lambda read: display.advance(task, read)):
            raise RecordingError(
                f"{', '.join(map(str, files))}: no record in it.", remedy="Dump a topic with `kcat -C -e -J -t TOPIC`."
            )
        manifest = writer.finish(until)
    _show_made(into, manifest, as_json)


@click.group(cls=ForestallGroup)
def recording() -> None:
    """Look into recordings, check them, cut them."""


@recording.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@json_option
def info(folder: Path, as_json: bool) -> None:
    """Show what a recording holds.

    \b
    Example:
      forestall recording info var/recording
    """
    manifest = Recording.open(folder, verify=False).manifest
    if as_json:
        print_json(_document(folder, manifest))
        return
    rows = [
        (
            f"{part.topic}/{part.partition}",
            part.records,
            f"{part.first_offset}…{part.end_offset - 1}" if part.records else f"none from {part.first_offset}",
            _minute(part.min_timestamp),
            _minute(part.max_timestamp),
            part.bytes,
        )
        for part in manifest.partitions
    ]
    columns = ("partition", "records", "offsets", "first (UTC)", "last (UTC)", "bytes")
    out.print(table(f"{folder}: recording {manifest.id}", columns, rows))
    out.print(f"recorded until {manifest.recorded_until_text}, made {manifest.created_at}")
    for topic, records in manifest.topics.items():
        out.print(f"{topic}: {records:,} records", markup=False)
    if manifest.labels:
        out.print(f"labels: {manifest.labels.name}", markup=False)


@recording.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@json_option
def verify(folder: Path, as_json: bool) -> None:
    """Check every file of a recording, to the last record.

    Exits with 1 if a file is missing or damaged, and names the records where it breaks.

    \b
    Example:
      forestall recording verify var/recording
    """
    opened = Recording.load(folder)
    problems = list(opened.problems())
    if as_json:
        print_json({"id": opened.id, "files": sum(1 for _ in opened.files()), "ok": not problems, "problems": problems})
    for problem in problems:
        err.print(f"error: {problem}", markup=False)
    if problems:
        raise CheckFailed(f"{folder}: {len(problems)} files are missing or damaged.", remedy=REMEDY)
    if not as_json:
        records = sum(opened.manifest.topics.values())
        out.print(f"{folder}: recording {opened.id} is whole, {records:,} records", markup=False)


@recording.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option("--from", "from_", type=Instant(), metavar="TIME", help="First instant; by default the beginning.")
@click.option("--until", type=Instant(), metavar="TIME", help="Last instant, exclusive; by default the end.")
@click.option(
    "--recorded-until",
    type=Instant(),
    metavar="TIME",
    help="Event time until which the cut is complete, where records are stamped later than they happened; "
    "by default the same as --until.",
)
@click.option("--into", required=True, type=_FOLDER, metavar="DIR", help="Folder of the cut; must be new.")
@json_option
def cut(
    folder: Path, from_: int | None, until: int | None, recorded_until: int | None, into: Path, as_json: bool
) -> None:
    """Make a recording of the records stamped between two instants.

    Offsets are kept, so a cut from T continues the cut until T: replayed one after the other into one store, they
    give what the whole gives.

    \b
    Example:
      forestall recording cut var/recording --until 2018-01-01 --into var/before
      forestall recording cut var/recording --from 2018-01-01 --into var/after
    """
    opened = Recording.open(folder)
    with progress() as display:
        task = display.add_task("cutting", total=sum(opened.manifest.topics.values()))
        manifest = cut_recording(
            opened,
            into,
            created_at=_now(),
            from_=from_,
            until=until,
            recorded_until=recorded_until,
            advance=lambda records: display.advance(task, records),
        )
    _show_made(into, manifest, as_json)


def _stamp(timestamp: int) -> str:
    return "" if timestamp == NO_TIMESTAMP else to_text(timestamp * 1000)


def _minute(timestamp: int) -> str:
    return _stamp(timestamp)[:16].replace("T", " ")


def _show_made(into: Path, manifest: Manifest, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "into": str(into),
                "topics": manifest.topics,
                "recorded_until": manifest.recorded_until_text,
                "id": manifest.id,
            }
        )
        return
    out.print(table(f"{into}: recording {manifest.id}", ("topic", "records"), manifest.topics.items()))
    out.print(f"recorded until {manifest.recorded_until_text}")


def _document(folder: Path, manifest: Manifest) -> dict[str, object]:
    return {
        "folder": str(folder),
        "id": manifest.id,
        "version": manifest.version,
        "created_at": manifest.created_at,
        "recorded_until": manifest.recorded_until_text,
        "topics": manifest.topics,
        "partitions": [
            {
                "topic": part.topic,
                "partition": part.partition,
                "records": part.records,
                "first_offset": part.first_offset,
                "end_offset": part.end_offset,
                "first": _stamp(part.min_timestamp) or None,
                "last": _stamp(part.max_timestamp) or None,
                "bytes": part.bytes,
                "files": len(part.files),
            }
            for part in manifest.partitions
        ],
        "idle": len(manifest.idle),
        "labels": manifest.labels.name if manifest.labels else None,
    }
