"""Who waits for whom in a shard: actions on one entity take turns, and a full target is waited for in order."""

from __future__ import annotations


class Queues:
    """Queues of actions, first come, first served; each action waits in one at the most."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[str, None]] = {}
        self._where: dict[str, str] = {}

    def wait(self, queue: str, action_id: str) -> None:
        """Have an action wait in a queue."""
        self.leave(action_id)
        self._waiting.setdefault(queue, {})[action_id] = None
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
