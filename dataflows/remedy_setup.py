"""What the remediation flow needs before it can begin: playbooks, targets, ledger; all checked, all faults said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from config.actions import Action
from config.errors import SettingsError, StoreError
from config.kafka import client_config
from config.playbooks.load import load_playbooks
from config.playbooks.model import Playbook
from config.policies.bundle import Remedy
from config.policies.versions import load_versions
from config.settings import Settings
from config.targets import Targets, load_targets
from dataflows.admission import Admission
from dataflows.remedy_flags import Limits, Restraint, remedies_of
from dataflows.remedy_means import Hands, Means
from dataflows.remedy_rows import shard_names
from operators.saga_state import Outcome
from sinks.ledger import Ledger

CLOCK, EVENT, WALL = "clock", "event", "wall"
"""A fact of the ledger, and what it says: by which time the flow goes that has begun it."""


@dataclass(frozen=True)
class Setup:
    """What is carried out, and where."""

    playbooks: dict[str, Playbook]
    targets: Targets
    remedies: dict[str, Remedy]
    """What each remedy does, for flags to judge by."""


def load_setup(settings: Settings) -> Setup:
    """Load playbooks, targets, and what the policy says of remedies.

    Raises:
        PlaybookError: a playbook is at fault.
        PolicyError: the policy is at fault.
        SettingsError: there are no targets, or their file is at fault.
    """
    remediation = settings.remediation
    if remediation.targets is None:
        raise SettingsError(
            "remediation.targets names no file: there is nothing to act on.",
            remedy="Name the file of your target systems, there or with --targets; see docs/remediation.md.",
        )
    playbooks = load_playbooks(remediation.playbooks)
    remedies = remedies_of((bundle for bundle, _ in load_versions(settings.policy.bundle)), playbooks)
    return Setup(playbooks, load_targets(remediation.targets), remedies)


def shards_of(ledger: Ledger, settings: Settings) -> list[str]:
    """Return the names of the ledger's shards.

    Raises:
        StoreError: the ledger was made with another number of them.
    """
    wanted = str(settings.remediation.shards)
    there = ledger.fixed("shards", wanted)
    if there != wanted:
        raise StoreError(
            f"Ledger {ledger.name} has {there} shards, remediation.shards says {wanted}.",
            remedy=f"Set remediation.shards = {there}, or name another ledger.",
        )
    return shard_names(int(there))


def clock_of(ledger: Ledger) -> str:
    """Return by which time a ledger goes: `EVENT` for that of a trial, `WALL` for all others."""
    return ledger.fact(CLOCK) or WALL


def client_of(settings: Settings) -> dict[str, Any] | None:
    """Return how to reach the brokers: librdkafka's properties; None where the settings name none.

    Raises:
        SettingsError: [kafka] is at fault.
    """
    return None if settings.kafka.bootstrap_servers is None else client_config(settings.kafka)


def means_of(
    setup: Setup,
    settings: Settings,
    ledger: Ledger,
    hands: Hands,
    since: int,
    limits: Limits,
    *,
    held: Callable[[int], bool] = lambda now: False,
    replay: bool = False,
    real_targets: bool = True,
    told: Callable[[Outcome], None] = lambda outcome: None,
) -> Means:
    """Return what the shards of a flow work with.

    Args:
        setup: Playbooks and targets.
        settings: Of the job.
        ledger: Where it is written down.
        hands: Who carries calls out.
        since: From which event time on things are observed, microseconds.
        limits: The flags.
        held: See `Means`.
        replay: Whether each action begins at its own time, in event time.
        real_targets: Whether targets that are no sandbox may be changed.
        told: Told of each outcome.
    """
    remediation = settings.remediation
    admission = Admission(
        setup.playbooks, setup.targets, remediation.act_lag_max, remediation.warmup, since, not real_targets
    )
    begins = _at_its_time if replay else _now
    return Means(
        ledger,
        setup.playbooks,
        setup.targets,
        hands,
        admission,
        Restraint(limits, setup.remedies),
        begins=begins,
        held=held,
        told=told,
    )


def _at_its_time(action: Action, now: int) -> int:
    return max(action.at, now)


def _now(action: Action, now: int) -> int:
    return now
