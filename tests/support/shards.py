"""A shard of the remediation flow, moved by hand: calls are answered when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from config.actions import Action
from config.effects import Call, Reply, Result
from config.playbooks.model import Playbook
from config.targets import Targets, load_targets
from dataflows.remedy_means import Means
from dataflows.remedy_rows import new_action
from dataflows.remedy_shard import Shard
from operators.saga_state import Outcome
from sinks.bulkhead import Places
from sinks.ledger import Ledger
from sinks.ledger_queries import find_actions
from sinks.ledger_rows import NewAction
from tests.support.playbooks import AT
from tests.support.remedies import targets_file

BEFORE, HELPED = {"trouble": 1, "credits": 0}, {"trouble": 0, "credits": 0}
NAMES = ["shard-000"]


class Changing(Places):
    """Places that a test makes more or fewer."""

    def change(self, most: int) -> None:
        with self._lock:
            self._concurrency, self._waiting = most, 0
            self._let_in()


class Hands:
    """Keeps calls until they are answered."""

    def __init__(self) -> None:
        self.calls: list[tuple[Call, Callable[[Reply], None]]] = []
        self._places: dict[str, Changing] = {}
        self.before: Callable[[Call], None] = lambda call: None
        """Looks at each call as it is handed over."""

    def places(self, target: str, most: int | None = None) -> Places:
        """Return the places of a target; there are as many as anybody wants until a test says how many."""
        places = self._places.setdefault(target, Changing(1_000_000, 0))
        if most is not None:
            places.change(most)
        return places

    def take_place(self, target: str, action_id: str, freed: Callable[[str], None]) -> bool:
        return self.places(target).take(action_id, freed)

    def give_up(self, target: str, action_id: str) -> None:
        self.places(target).give_up(action_id)

    def submit(self, call: Call, answer: Callable[[Reply], None]) -> None:
        self.places(call.target).use(call.action_id)
        self.before(call)
        self.calls.append((call, answer))

    @property
    def asked(self) -> list[str]:
        """What is under way, in words."""
        return [f"{call.action_id} {call.verb} {call.operation}" for call, _ in self.calls]

    def answer(self, action_id: str, result: Result, **more: Any) -> Call:
        """Answer the call of an action."""
        place = next(n for n, (call, _) in enumerate(self.calls) if call.action_id == action_id)
        call, answer = self.calls.pop(place)
        self.places(call.target).leave()
        answer(Reply(call.action_id, call.turn, result, **more))
        return call


class Stage:
    """A shard, its ledger and its time."""

    def __init__(self, folder: Path, playbooks: Mapping[str, Playbook], **more: Any) -> None:
        self.url = f"sqlite:///{folder}/ledger.db"
        self.ledger = Ledger.open(self.url, create=True)
        self.hands, self.now = Hands(), AT
        self.targets: Targets = load_targets(targets_file(folder, "http://shop.example", **more.pop("targets", {})))
        self.told: list[Outcome] = []
        self.means = Means(self.ledger, playbooks, self.targets, self.hands, told=self.told.append, **more)
        self.shard = Shard(NAMES[0], self.means, self.now)

    def restart(self) -> None:
        """Take the shard over as after a crash: nobody hears the answers to what was asked."""
        self.hands.calls.clear()
        self.hands._places.clear()
        self.shard = Shard(NAMES[0], self.means, self.now)

    def take(self, *actions: Action) -> None:
        """Take actions in, and hand them over."""
        self.shard.take(self.taken_in(*actions), self.now)

    def taken_in(self, *actions: Action) -> list[NewAction]:
        """Take actions into the ledger; return those that are to be handed over."""
        position = self.ledger.position("test")
        new = [self.new(action) for action in actions]
        return self.ledger.take_in("test", position, position + len(new), new)

    def new(self, action: Action) -> NewAction:
        """Return an action as it is taken in."""
        return new_action(action, action.customer, NAMES)

    def turn(self, seconds: float = 0) -> int:
        """Let time pass, and take a turn."""
        self.now += round(seconds * 1_000_000)
        return self.shard.turn(self.now)

    def answers(self, action_id: str, result: Result, **more: Any) -> Call:
        """Answer the call of an action, and take a turn."""
        call = self.hands.answer(action_id, result, **more)
        self.turn()
        return call

    def begins(self, action_id: str) -> None:
        """Answer the look at how things are before an action."""
        self.answers(action_id, "measured", state=BEFORE)

    def states(self) -> dict[str, str]:
        """Return the state of each action in the ledger."""
        return {row["action_id"]: row["state"] for row in find_actions(self.ledger)}

    def effects(self) -> dict[str, list[str]]:
        """Return the status of the effects of each action in the ledger."""
        return {row["action_id"]: [e["status"] for e in row["effects"]] for row in find_actions(self.ledger)}
