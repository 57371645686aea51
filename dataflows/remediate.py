"""Carries out the actions of a store in event time, until nothing is left to do: for replays, tests and trials.

What a recorded job decided is done as if it were now, each action at its time; between one thing to do and the next
no time is waited for. The end of the recording is not the end of time: what is due after it stays open. Everything
stands in the ledger: a run that was killed goes on when it is started again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

import msgspec

from config.clock import TIME_MAX
from config.settings import Settings
from dataflows.remedy_clock import EventClock
from dataflows.remedy_flags import StoreFlags
from dataflows.remedy_setup import CLOCK, EVENT, Setup, client_of, means_of, shards_of
from dataflows.remedy_shard import Shard
from dataflows.remedy_sources import Intake, store_readers
from operators.saga_state import Outcome
from sinks.actions import complete_until, history_since
from sinks.engine import store_path
from sinks.ledger import Ledger
from sinks.lock import FileLock
from sinks.remediation import make_hands
from sinks.store import Store

POLL_S = 0.002
"""How long to wait for an answer before it is looked for again."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What to carry out, and where it is written down."""

    store_url: str
    ledger_url: str
    real_targets: bool = False
    """Whether targets that are no sandbox may be changed too."""
    drain: bool = False
    """Whether to go on beyond the time up to which the store is complete."""


def remediate(
    trial: Trial,
    settings: Settings,
    setup: Setup,
    told: Callable[[Outcome], None] = lambda outcome: None,
    stopping: Callable[[], int] = lambda: 0,
) -> bool:
    """Carry out what is left to do of a store's actions; return whether all is done.

    Args:
        trial: What, and where.
        settings: Of the job.
        setup: Playbooks and targets.
        told: Told of each outcome.
        stopping: Whether to stop before all is done.

    Raises:
        ForestallError: store or ledger are at fault, or another flow works on the ledger.
    """
    with ExitStack() as stack:
        path = store_path(trial.ledger_url)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(path.with_name(path.name + ".remediation.lock"), f"The ledger {path}"))
        store = stack.enter_context(Store.open(trial.store_url))
        ledger = stack.enter_context(Ledger.open(trial.ledger_url, create=True))
        shards = shards_of(ledger, settings)
        ledger.fixed(CLOCK, EVENT)
        for reader in store_readers(store):
            intake = Intake(ledger, reader, shards)
            while intake.take()[1]:
                pass
        since = history_since(store)
        observed = ledger.observed_since(since) if since is not None else 0
        hands = make_hands(setup.targets, client_of(settings), replay=True)
        stack.callback(hands.close)
        limits, real = StoreFlags(store).limits, trial.real_targets
        means = means_of(setup, settings, ledger, hands, observed, limits, replay=True, real_targets=real, told=told)
        until = TIME_MAX if trial.drain else complete_until(store)
        made = [Shard(name, means, None) for name in shards]
        return _to_the_end([(shard, EventClock(shard.began_at)) for shard in made], until, stopping)


def _to_the_end(shards: list[tuple[Shard, EventClock]], until: int, stopping: Callable[[], int]) -> bool:
    """Move all shards, each by a clock of its own, until nothing is left by then; return whether nothing is."""
    while not stopping():
        progress = [_go_on(shard, clock, until) for shard, clock in shards]
        if all(done is None for done in progress):
            return True
        if not any(progress):
            time.sleep(POLL_S)
    return False


def _go_on(shard: Shard, clock: EventClock, until: int) -> bool | None:
    """Move a shard, or its clock; return whether anything was moved, None where nothing is left by then."""
    if shard.turn(clock.now()):
        return True
    if shard.waits_for_answers:
        return False
    due, real = shard.next_at, shard.has_open_acts
    # What was sent and not answered is found out beyond the end too: the target knows no event time.
    if due is None or (due > until and not real):
        return None
    return clock.advance(due, real=real)
