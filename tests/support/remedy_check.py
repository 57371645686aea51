"""Runs one world of remedies and reckons up what came of it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from config.errors import StoreError
from tests.support.remedy_oracle import violations
from tests.support.remedy_world import Setting, World


def blind() -> AbstractContextManager[Any]:
    """Have nobody see what changes beside what is asked for."""
    return patch("operators.saga_verification.changed_beside", lambda *_: frozenset())


@dataclass(frozen=True)
class Checked:
    """What came of a world."""

    seed: int
    wrong: list[str]
    """What must not be."""
    kills: list[str]
    """Where its processes died."""
    states: dict[str, int]
    effects: int
    undone: int
    lined_up: int
    """How often an action had to wait for a place at a target."""
    expired: int
    """How often a call never left, for it had waited for its turn for too long."""


def check(seed: int, setting: Setting, control: str = "") -> Checked:
    """Run the world of a seed.

    Args:
        seed: The seed.
        setting: Shared with other worlds.
        control: See `World`.
    """
    world = World(seed, setting, control)
    try:
        wrong: list[str] = []
        try:
            with blind() if control == "beside" else nullcontext():
                world.run()
        except (AssertionError, StoreError) as error:
            wrong.append(str(error))
        there = world.shop.effects()
        entities = {one["entity"] for one in there}
        decided = {
            one.action_id: {
                "remedy": one.remedy,
                "consent": one.approval is not None,
                "needs_consent": setting.playbooks[one.remedy].always_approved,
                "valid_until": one.valid_until,
            }
            for one in world.actions
        }
        wrong += violations(
            world.folder / "ledger.db",
            there,
            {entity: world.numbers(entity) for entity in entities},
            world.shop.refusals(),
            decided,
            {name: [(step.id, step.rung) for step in book.steps] for name, book in setting.playbooks.items()},
            world.tries,
            set(world.spilled),
            len(world.killed),
        )
        if world.zombie_writes:
            wrong.append(f"a process that was replaced wrote or asked {world.zombie_writes} times")
        states: dict[str, int] = {}
        for state in world.states().values():
            states[state] = states.get(state, 0) + 1
        forward = [one for one in there if one["undoes"] is None]
        undone = sum(one["status"] == "undone" for one in forward)
        return Checked(seed, wrong, world.killed, states, len(forward), undone, world.lined_up, world.expired)
    finally:
        world.close()
