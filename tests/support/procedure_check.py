"""Runs one world of decisions and effects, and reckons up what of it was not allowed."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass

from config.errors import StoreError
from tests.support.procedure_controls import CONTROLS
from tests.support.procedure_oracle import Oracle
from tests.support.procedure_world import ProcedureSetting, ProcedureWorld


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
        wrong += oracle.at_target(world.shop.effects(), world.numbers, world.asked)
        return Checked(seed, wrong, world.cases, oracle.seen, world.killed)
    finally:
        world.close()
