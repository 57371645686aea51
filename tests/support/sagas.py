"""A saga and its world, moved by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from config.actions import Action
from config.clock import SECOND
from config.effects import Reply, Result, Traits
from config.playbooks.model import Playbook
from operators.saga import SagaStep
from operators.saga_moves import Around
from operators.saga_state import Saga
from tests.support.playbooks import AT, action

BEFORE = {"trouble": 1, "credits": 0}
HELPED = {"trouble": 0, "credits": 0}
CREDIT = {"target": "billing", "operation": "credit", "inverse": {"operation": "reverse_credit", "within": "24h"}}


class Story:
    """A saga and its world, moved by hand."""

    def __init__(self, book: Playbook | None, intent: Action | None = None, **traits: Any) -> None:
        self.book, self.now, self.action = book, AT, intent or action()
        self.saga = Saga(self.action.action_id)
        self.traits: dict[str, Traits] = {}
        self.usual = Traits(**{"settle": 5 * SECOND} | traits)
        self.blocked: dict[tuple[str, str], int] = {}
        self.unfit = self.inadmissible = ""
        self.queued = False
        self.others: list[tuple[str, int]] = []
        self.others_acted = False
        self.told: list[tuple[str, str | None]] = []
        self.asked: list[str] = []
        self.move(lambda saga: saga.on_time())

    def move(self, how: Callable[[SagaStep], None]) -> None:
        around = Around(
            self.now,
            lambda target: self.traits.get(target, self.usual),
            lambda target, operation: self.blocked.get((target, operation)),
            lambda action: self.unfit,
            lambda action: self.inadmissible,
            self.ask_of_others,
            lambda target, operation: self.queued,
        )
        made = SagaStep(self.saga, self.action, self.book, around)
        how(made)
        self.told += [(outcome.state, outcome.verdict) for outcome in made.outcomes]
        if made.call is not None:
            self.call = made.call
            self.asked.append(f"{made.call.verb} {made.call.operation}")

    def ask_of_others(self, entity: str, since: int) -> bool:
        self.others.append((entity, since))
        return self.others_acted

    def says(self, result: Result, **more: Any) -> Story:
        self.move(lambda saga: saga.on_reply(Reply("a1", self.saga.turn, result, **more)))
        return self

    def state(self, state: dict[str, Any]) -> Story:
        return self.says("measured", state=state)

    def wakes(self) -> Story:
        assert self.saga.asked is None
        assert self.saga.wake_at is not None
        self.now = max(self.now, self.saga.wake_at)
        self.move(lambda saga: saga.on_time())
        return self

    def waits(self, span: int) -> Story:
        self.now += span
        self.move(lambda saga: saga.on_time())
        return self

    def restarts(self) -> Story:
        self.move(lambda saga: saga.on_restart())
        return self

    def undone(self) -> Story:
        self.move(lambda saga: saga.on_undo("rolled back"))
        return self

    @property
    def statuses(self) -> list[str]:
        return [effect.status for effect in self.saga.effects]


def done(book: Playbook, **traits: Any) -> Story:
    """A story whose steps are all done."""
    story = Story(book, **traits).state(BEFORE)
    for _ in book.steps:
        story.says("done")
    return story
