"""Runs one world of decisions and effects, and reckons up what of it was not allowed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from config.errors import StoreError
from config.policies.approvals import Approvals
from tests.support.procedure_oracle import Oracle
from tests.support.procedure_world import ProcedureSetting, ProcedureWorld

CONTROLS: Mapping[str, Callable[[], AbstractContextManager[Any]]] = {
    "consent": lambda: patch("operators.approval_step.judge", _nothing),
    "stale": lambda: patch("operators.approval_step.judge_state", _nothing),
    "people": lambda: patch.object(Approvals, "people", lambda *_, **__: 1),
    "flags": lambda: patch("operators.restrain.restraint", _nothing),
    "case": lambda: patch("operators.restrain._by_case", lambda said, *_: (said.outcome, said.restraint)),
    "modes": lambda: patch("operators.policy.tightest", _nothing),
    "sources": lambda: patch("operators.policy._wants_sources", lambda *_: False),
    "customer": lambda: patch("operators.restrain.judge", lambda *_: []),
    "fleet": lambda: patch("operators.guard.judge_limit", _nothing),
    "job": nullcontext,
    "amount": nullcontext,
    "undecided": nullcontext,
    "held": nullcontext,
}
"""What can be taken away, or broken: see `ProcedureWorld` for those that are broken there."""


def _nothing(*_: object) -> None:
    return None


@dataclass(frozen=True)
class Checked:
    """What came of a world."""

    seed: int
    wrong: list[str]
    """What was not allowed, or should not have changed."""
    cases: int
    seen: Counter[str]
    kills: list[str]


def check(seed: int, setting: ProcedureSetting, control: str = "") -> Checked:
    """Run the world of a seed.

    Args:
        seed: The seed.
        setting: Shared with other worlds.
        control: One of `CONTROLS`: then something must be found.
    """
    world = ProcedureWorld(seed, setting, control)
    try:
        wrong: list[str] = []
        try:
            with CONTROLS.get(control, nullcontext)():
                world.run()
        except (AssertionError, StoreError) as error:
            wrong.append(str(error))
        oracle = Oracle(setting.versions, world.in_force, world.told.mode, world.told.sent)
        wrong += oracle.reckon(world.told.released)
        wrong += oracle.at_target(world.shop.effects(), world.shop.numbers, world.asked)
        return Checked(seed, wrong, world.cases, oracle.seen, world.killed)
    finally:
        world.close()
