"""Who waits for whom in a shard: actions on one entity take turns, and a full target is waited for in order."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from queue import Empty, SimpleQueue

from config.actions import Action
from config.effects import Call
from dataflows.remedy_means import Hands
from operators.saga_state import Saga


class Turns:
    """Whose turn it is: an action waits until nobody else changes its entity, and then until its target has room.

    Args:
        hands: Who has room at targets, or has not; shared with other shards.
    """

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._entities, self._queues = Entities(), Queues()
        self._places: dict[str, str] = {}
        """The target at which an action has a place that it has not used, or stands in line for one."""
        self._freed: SimpleQueue[str] = SimpleQueue()

    @property
    def in_line(self) -> int:
        """How many actions have a place at a target that they have not used, or stand in line for one."""
        return len(self._places)

    def waits(self, action: Action, target: str, operation: str) -> bool:
        """Return whether an action has to wait for its turn, and where it has, have it wait; else it has a place."""
        action_id = action.action_id
        if operation not in ("query", "measure") and not self._entities.is_free(action.about, action_id):
            self._give_up(action_id)
            self._queues.wait(action.about, action_id)
            return True
        self._queues.leave(action_id)
        if self._places.get(action_id, target) != target:
            self._give_up(action_id)
        self._places[action_id] = target
        return not self._hands.take_place(target, action_id, self._freed.put)

    def moved(self, action: Action, saga: Saga, call: Call | None) -> str | None:
        """Take note of what an action does after a move; return who is next to change its entity, if anybody may."""
        if call is not None:
            # The place is used once all is written down.
            if self._places.pop(action.action_id) != call.target:
                raise AssertionError(f"{action.action_id} has no place at {call.target}")
        elif not saga.queued:
            self.leave(action.action_id)
        return self._queues.next(action.about) if self.note(action, saga) else None

    def note(self, action: Action, saga: Saga) -> bool:
        """Take note of whether an action is changing its entity; return whether nobody is any more."""
        return self._entities.note(action.about, action.action_id, acts=saga.acts_now)

    def leave(self, action_id: str) -> None:
        """Have an action wait for nothing."""
        self._queues.leave(action_id)
        self._give_up(action_id)

    def freed(self) -> Iterator[str]:
        """Return the actions whose turn at their target has come since."""
        while True:
            try:
                action_id = self._freed.get_nowait()
            except Empty:
                return
            if action_id in self._places:
                yield action_id

    def _give_up(self, action_id: str) -> None:
        target = self._places.pop(action_id, None)
        if target is not None:
            self._hands.give_up(target, action_id)


class Queues:
    """Queues of actions, first come, first served; each action waits in one at the most."""

    def __init__(self) -> None:
        self._waiting: dict[str, OrderedDict[str, None]] = {}
        self._where: dict[str, str] = {}

    def wait(self, queue: str, action_id: str) -> None:
        """Have an action wait in a queue; one that does already keeps its turn."""
        if self._where.get(action_id) == queue:
            return
        self.leave(action_id)
        self._waiting.setdefault(queue, OrderedDict())[action_id] = None
        self._where[action_id] = queue

    def leave(self, action_id: str) -> None:
        """Take an action out of the queue it waits in, if any."""
        queue = self._where.pop(action_id, None)
        if queue is not None:
            waiting = self._waiting[queue]
            del waiting[action_id]
            if not waiting:
                del self._waiting[queue]

    def next(self, queue: str) -> str | None:
        """Take the first action out of a queue and return it; None where nobody waits."""
        action_id = next(iter(self._waiting.get(queue, {})), None)
        if action_id is not None:
            self.leave(action_id)
        return action_id

    def all(self, queue: str) -> list[str]:
        """Take all out of a queue and return them, in order."""
        waiting = list(self._waiting.get(queue, ()))
        for action_id in waiting:
            self.leave(action_id)
        return waiting


class Entities:
    """Who is changing which entity."""

    def __init__(self) -> None:
        self._holders: dict[str, str] = {}

    def is_free(self, entity: str, action_id: str) -> bool:
        """Return whether an action may change an entity now."""
        return self._holders.get(entity, action_id) == action_id

    def note(self, entity: str, action_id: str, *, acts: bool) -> bool:
        """Take note of whether an action is changing an entity; return whether nobody is any more."""
        if not self.is_free(entity, action_id):
            return False
        if acts:
            self._holders[entity] = action_id
            return False
        self._holders.pop(entity, None)
        return True
