"""What the shards of a remediation flow work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from config.actions import Action
from config.effects import Call, Reply
from config.playbooks.model import Playbook
from config.targets import Targets
from operators.saga_state import Outcome
from sinks.ledger import Ledger


class Hands(Protocol):
    """Who carries calls out: `sinks.bulkhead.Bulkheads`."""

    def take_place(self, target: str, action_id: str, freed: Callable[[str], None]) -> bool:
        """Take a place for a call of an action, or stand in line for one; return whether there is one.

        `freed` is told the action's id, from any thread, once it has a place.
        """

    def give_up(self, target: str, action_id: str) -> None:
        """Leave the line, or free the place that was taken: there will be no call."""

    def submit(self, call: Call, answer: Callable[[Reply], None]) -> None:
        """Hand a call over, by the place that was taken; `answer` is called once, from any thread."""


@dataclass(frozen=True)
class Means:
    """What all shards of a flow share."""

    ledger: Ledger
    playbooks: Mapping[str, Playbook]
    targets: Targets
    hands: Hands
    unfit: Callable[[Action, int], str] = lambda action, now: ""
    """Why an action is not begun at an instant; "" where it may be."""
    inadmissible: Callable[[Action, int], str] = lambda action, now: ""
    """Why an action may not change anything at an instant; "" where it may."""
    begins: Callable[[Action, int], int] = lambda action, now: now
    """When an action that was taken in by an instant begins."""
    held: Callable[[int], bool] = lambda now: False
    """Whether nothing that has done nothing yet may begin at an instant: it is unknown what people want."""
    told: Callable[[Outcome], None] = lambda outcome: None
    """Told of each outcome that was written down."""
