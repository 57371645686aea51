"""What the state in a recovery folder says: positions, outputs held back, keyed state; and whether it can be resumed.

A job's steps each keep state of their own kind. Bytewax passes over the state of a step or key that the flow no longer
has, without a word; so what is recovered is looked at here, before any worker starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from config.errors import ForestallError, RecoveryError, SequenceError
from config.settings import Settings
from operators.channel import ChannelState
from operators.channel import restored as restored_channel
from operators.keyed import KeyedGroup
from operators.logic import KeyedLogic
from sinks.chain import GENESIS
from sinks.continuity import Standing, check_continues
from sinks.outbox_state import OutboxState
from sinks.outbox_state import decoded as decoded_outbox
from sinks.recovery_files import RESTORE, Snapshot
from sinks.statelog import Token, read
from sinks.statelog import decoded as decoded_token

FLOW = "detection"
SOURCE = f"{FLOW}.source"
"""Bytewax's name of the step whose keys are the channels."""
OUTBOX = f"{FLOW}.outbox"
"""Of the step whose keys are the sink parts of the store."""
TOPICS = f"{FLOW}.topics"
"""Of the step whose keys are the sink parts that release onto topics; a run may be without it, and another with it."""
STAGES = ("telemetry", "fleet", "journey", "risk", "cause", "autonomy", "case", "guard")
STATE = "state"
"""Folder of the state logs in a recovery folder."""

MakeLogic = Callable[[], KeyedLogic[Any]]


@dataclass
class Stage:
    """The keyed state of one stage, all its key groups together."""

    groups: int = 0
    keys: int = 0
    timers: int = 0
    events: int = 0
    """Received and not yet due."""
    inline_bytes: int = 0
    """In the recovery file itself."""
    log_bytes: int = 0
    """In state logs."""
    versions: dict[int, int] = field(default_factory=dict)
    """Keys by the version of their state."""


@dataclass
class Recovered:
    """All that would be recovered."""

    channels: dict[str, ChannelState] = field(default_factory=dict)
    outboxes: dict[str, dict[str, OutboxState]] = field(default_factory=dict)
    """By step, then by sink part."""
    tokens: dict[str, dict[int, Token]] = field(default_factory=dict)
    """By stage, then by key group."""
    faults: list[ForestallError] = field(default_factory=list)


def identity_of(settings: Settings) -> dict[str, str]:
    """Return what must be the same at every start on one recovery folder: see `preflight`."""
    return {"flow": FLOW, "layout": settings.layout_digest()}


def interpret(snapshots: Iterable[Snapshot], steps: Sequence[str] = (TOPICS,)) -> Recovered:
    """Return what `snapshots` say, and what is wrong with them.

    Args:
        snapshots: Of a folder whose files are sound.
        steps: Of outboxes beside the store's that the flow may have.
    """
    found = Recovered()
    stages = {f"{FLOW}.{name}": name for name in STAGES}
    unknown: dict[str, int] = {}
    for snapshot in snapshots:
        try:
            if snapshot.step == SOURCE:
                found.channels[snapshot.key] = restored_channel(snapshot.state, snapshot.key)
            elif snapshot.step == OUTBOX or snapshot.step in steps:
                outbox = decoded_outbox(snapshot.key, snapshot.state)
                found.outboxes.setdefault(snapshot.step, {})[snapshot.key] = outbox
            elif snapshot.step in stages:
                stage = stages[snapshot.step]
                group, token = _group(snapshot, stage)
                found.tokens.setdefault(stage, {})[group] = token
            else:
                unknown[snapshot.step] = unknown.get(snapshot.step, 0) + 1
        except RecoveryError as error:
            found.faults.append(error)
    for step, count in sorted(unknown.items()):
        found.faults.append(
            RecoveryError(
                f"The recovery folder holds {count} states of a step {step}, which this job does not have: they would "
                "be lost.",
                remedy="Start it with the settings and the version of Forestall that it was last run with.",
            )
        )
    return found


def faults_of_logs(found: Recovered, folder: Path) -> Iterator[ForestallError]:
    """Yield what is wrong with the state logs: one is missing, too short, or altered."""
    for tokens in found.tokens.values():
        for token in tokens.values():
            try:
                read(folder, token)
            except RecoveryError as error:
                yield error


def faults_of_store(found: Recovered, standings: Mapping[str, Standing]) -> Iterator[SequenceError]:
    """Yield where outputs that were released and those that are recovered do not continue each other.

    Args:
        found: What would be recovered.
        standings: How far each sink part is released in the store.
    """
    outboxes = found.outboxes.get(OUTBOX, {})
    for part in sorted(standings.keys() | outboxes.keys()):
        outbox = outboxes.get(part)
        base_seq, heads = 0, [GENESIS]
        if outbox is not None:
            base_seq, heads = outbox.base_seq, [outbox.base_head, *(entry.chain for entry in outbox.entries)]
        try:
            check_continues(part, standings.get(part, Standing(0, GENESIS)), base_seq, heads)
        except SequenceError as error:
            yield error


def stages_of(
    found: Recovered, folder: Path, logics: Mapping[str, MakeLogic]
) -> tuple[dict[str, Stage], list[ForestallError]]:
    """Restore every key group, one after the other, to count what is in it; return stages and faults.

    Args:
        found: What would be recovered.
        folder: Of the state logs.
        logics: Makes the logic of a stage, by its name.
    """
    stages, faults = {name: Stage() for name in STAGES}, list[ForestallError]()
    for name, tokens in found.tokens.items():
        stage = stages[name]
        for token in tokens.values():
            stage.groups += 1
            stage.inline_bytes += sum(map(len, token.tail))
            stage.log_bytes += token.length
            group: KeyedGroup[Any] = KeyedGroup(logics[name](), ())
            try:
                group.restore(read(folder, token))
            except RecoveryError as error:
                faults.append(error)
                continue
            stage.keys += group.keys
            stage.timers += group.open_timers
            stage.events += group.open_events
            for version, count in group.versions().items():
                stage.versions[version] = stage.versions.get(version, 0) + count
    return stages, faults


def check_of(
    folder: Path, standings: Mapping[str, Standing], steps: Sequence[str] = (TOPICS,)
) -> Callable[[Sequence[Snapshot]], Iterable[ForestallError]]:
    """Return the check that a start makes of the state in a recovery folder: see `preflight`.

    Args:
        folder: The recovery folder.
        standings: How far each sink part is released in the store.
        steps: See `interpret`.
    """

    def check(snapshots: Sequence[Snapshot]) -> Iterator[ForestallError]:
        found = interpret(snapshots, steps)
        yield from found.faults
        yield from faults_of_logs(found, folder / STATE)
        if not found.faults:
            yield from faults_of_store(found, standings)

    return check


def _group(snapshot: Snapshot, stage: str) -> tuple[int, Token]:
    """Return a key group's number and where its state is: nowhere but in its own log."""
    try:
        number, encoded = msgspec.msgpack.decode(snapshot.state, type=tuple[int, bytes])
    except msgspec.MsgspecError as error:
        raise RecoveryError(
            f"Stage {stage}, key group {snapshot.key}: its state cannot be read: {error}.", remedy=RESTORE
        ) from error
    token = decoded_token(encoded)
    if f"{number:03d}" != snapshot.key or token.name != f"{stage}-{number}":
        raise RecoveryError(
            f"Stage {stage}, key group {snapshot.key}: its snapshot is of {token.name!r}.",
            remedy="Recovery files were mixed up or altered. " + RESTORE,
        )
    return number, token
