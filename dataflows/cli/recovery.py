"""`forestall recovery`: what a recovery folder holds, and whether a job can go on with it."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from config.clock import TIME_MIN, to_text
from config.errors import CheckFailed, ForestallError, RecoveryError
from config.settings import environment, load
from dataflows.cli.console import ForestallGroup, json_option, out, print_json, table
from dataflows.domain import load_logics
from dataflows.recovered import (
    OUTBOX,
    STAGES,
    STATE,
    Recovered,
    Stage,
    faults_of_store,
    identity_of,
    interpret,
    stages_of,
)
from sinks.continuity import Standing
from sinks.lock import read_lock
from sinks.preflight import inspect
from sinks.recovery_files import CUT, RESTORE, Findings
from sinks.store import Store

Row = dict[str, Any]

OURS = re.compile(
    r"\.lock|\.new|identity\.json|job\.json|alignment|state|part-\d+\.sqlite3(-wal|-shm)?|worker-\d+\.log(\.old)?"
)
OUR_STATE = re.compile(rf"({'|'.join(STAGES)})-\d+\.\d+\.log")


@click.group(cls=ForestallGroup)
def recovery() -> None:
    """Look at recovery folders: where a job keeps what it goes on with after a stop or a crash."""


@recovery.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--store", "store_url", metavar="URL", help="The job's store: tells whether both belong together.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="The job's settings (TOML).")
@json_option
def check(folder: Path, store_url: str | None, config: Path | None, as_json: bool) -> None:
    """Tell what the recovery folder DIR holds, what a start would do to it, and everything that is wrong with it.

    Changes nothing. A folder that a running job holds is not looked at: it changes all the time.

    Exit codes: 0 a job can go on with it, 1 it cannot, 3 it could not be looked at.

    \b
    Example:
      forestall recovery check var/world.db.recovery --store sqlite:///var/world.db
    """
    settings = load(config, environment())
    with ExitStack() as stack:
        stack.enter_context(read_lock(folder))
        store = None if store_url is None else stack.enter_context(Store.open(store_url, upgrade=False))
        found = inspect(folder, None if config is None else identity_of(settings) | {CUT: settings.layout()})
        recovered = interpret(found.snapshots)
        logics = load_logics(settings)
        stages, damaged = stages_of(recovered, folder / STATE, {name: getattr(logics, name) for name in STAGES})
        faults = [*found.faults, *recovered.faults, *damaged]
        document: Row = {
            "recovery": str(folder),
            "resume_epoch": found.resume_epoch,
            "has_run": found.ran,
            "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
            "versions": _versions(recovered, stages, store),
            "channels": _channels(recovered),
            "stages": [_stage(name, stage) for name, stage in stages.items()],
            "outboxes": _outboxes(recovered),
            "purge": [{"step": step, "epoch": epoch, "snapshots": n} for (step, epoch), n in found.zombies.items()],
            "foreign": _foreign(folder),
        }
        if store is not None:
            standings = store.standings()
            document["store"] = _parts(recovered, standings)
            if not found.faults:
                faults += _faults_with_store(folder, found, recovered, standings)
    document["faults"] = [{"message": fault.message, "remedy": fault.remedy} for fault in faults]
    if as_json:
        print_json(document)
    else:
        _show(document)
    if faults:
        raise CheckFailed(f"{folder}: a job cannot go on with it, faults: {len(faults)}.")


def _faults_with_store(
    folder: Path, found: Findings, recovered: Recovered, standings: dict[str, Standing]
) -> list[ForestallError]:
    if not found.ran and any(standing.seq for standing in standings.values()):
        lost = f"The store holds outputs, but {folder} knows of no run: its write-ahead log was lost."
        return [RecoveryError(lost, remedy=RESTORE)]
    return [*faults_of_store(recovered, standings)]


def _versions(recovered: Recovered, stages: dict[str, Stage], store: Store | None) -> Row:
    return {
        "channels": sorted({state.version for state in recovered.channels.values()}),
        "outboxes": sorted({box.version for boxes in recovered.outboxes.values() for box in boxes.values()}),
        "state_logs": sorted({token.format for tokens in recovered.tokens.values() for token in tokens.values()}),
        "stages": {
            name: {str(v): keys for v, keys in sorted(stage.versions.items())} for name, stage in stages.items()
        },
        "store": None if store is None else store.revision(),
    }


def _channels(recovered: Recovered) -> list[Row]:
    return [
        {
            "channel": name,
            "next_offset": state.next_offset,
            "watermark": None if state.promised == TIME_MIN else to_text(state.promised),
            "records": state.counts.records,
            "held": len(state.held),
        }
        for name, state in sorted(recovered.channels.items())
    ]


def _stage(name: str, stage: Stage) -> Row:
    return {
        "stage": name,
        "groups": stage.groups,
        "keys": stage.keys,
        "timers": stage.timers,
        "events": stage.events,
        "bytes": stage.inline_bytes + stage.log_bytes,
        "log_bytes": stage.log_bytes,
    }


def _outboxes(recovered: Recovered) -> list[Row]:
    return [
        {"outbox": step, "part": part, "held": len(box.entries), "upto": box.base_seq + len(box.entries)}
        for step, boxes in sorted(recovered.outboxes.items())
        for part, box in sorted(boxes.items())
    ]


def _parts(recovered: Recovered, standings: dict[str, Standing]) -> list[Row]:
    """Return how each sink part stands: outputs in the store, and those that are recovered."""
    boxes, rows = recovered.outboxes.get(OUTBOX, {}), []
    for part in sorted(standings.keys() | boxes.keys()):
        box = boxes.get(part)
        stored = standings[part].seq if part in standings else 0
        if box is None and not stored:  # nothing yet; or one that releases elsewhere, and only says so here
            continue
        begins, ends = (box.base_seq, box.base_seq + len(box.entries)) if box else (0, 0)
        standing = "level" if stored == ends else "ahead" if stored > ends else "behind"
        rows.append({"part": part, "stored": stored, "held_from": begins, "recovered": ends, "store_is": standing})
    return rows


def _foreign(folder: Path) -> list[str]:
    """Return the names of files that no job of Forestall puts there; they do no harm."""
    names = [path.name for path in folder.iterdir() if not OURS.fullmatch(path.name)]
    logs = folder / STATE
    if logs.is_dir():
        names += [f"{STATE}/{path.name}" for path in logs.iterdir() if not OUR_STATE.fullmatch(path.name)]
    return sorted(names)


def _show(document: Row) -> None:
    out.print(f"{document['recovery']}: resumes at epoch {document['resume_epoch']:,}, {document['bytes']:,} bytes")
    if not document["has_run"]:
        out.print("no job has run on it")
    for title, name in (
        ("Channels", "channels"),
        ("State", "stages"),
        ("Outputs held back", "outboxes"),
        ("Store", "store"),
    ):
        if rows := document.get(name):
            out.print(table(title, list(rows[0]), [list(row.values()) for row in rows]))
    if document["purge"]:
        total = sum(row["snapshots"] for row in document["purge"])
        steps = ", ".join(sorted({row["step"] for row in document["purge"]}))
        out.print(f"A start deletes {total:,} snapshots of epochs that were not completed, of {steps}.")
    if document["foreign"]:
        out.print(f"Not of Forestall: {', '.join(document['foreign'])}", markup=False)
    for fault in document["faults"]:
        out.print(f"fault: {fault['message']}", markup=False)
        out.print(f"remedy: {fault['remedy']}", markup=False)
    if not document["faults"]:
        out.print("A job can go on with it.")
