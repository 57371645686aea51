"""Metrics of a shard of the remediation flow, told once what they tell of is written down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from config.clock import SECOND
from config.instruments import switched_on
from config.metrics import ACTIONS, ACTIONS_OPEN, BREAKERS, EFFECTS_UNKNOWN, TAKEN_BACK, UNKNOWN_OLDEST
from operators.saga_state import Saga


class ShardMetrics:
    """What is told of one shard.

    Args:
        shard: Its name.
    """

    def __init__(self, shard: str) -> None:
        self._shard = shard
        self._states: dict[str, set[str]] = {}
        """The states that each open action has come to."""
        self._taken_back: dict[str, dict[str, str]] = {}
        """What came of taking back the effects of an open action, by step."""
        self._unknown: dict[str, list[int]] = {}
        """When the effects of an action were asked for of which nothing is known."""
        self._breakers: dict[str, str] = {}

    def loaded(self, saga: Saga) -> None:
        """Take note of an action that was begun in an earlier life: what it came to was counted then."""
        if switched_on():
            self._states[saga.action_id] = set(saga.times)
            self._taken_back[saga.action_id] = _taken_back(saga)
            self._note_unknown(saga)

    def committed(self, moved: Iterable[tuple[str, Saga]], breakers: Mapping[str, str], open_: int) -> None:
        """Tell what became of actions.

        Args:
            moved: Remedies and sagas.
            breakers: The state of each breaker, by `target/operation`.
            open_: Actions of which something is left to do or to ask.
        """
        if not switched_on():
            return
        for remedy, saga in moved:
            known = self._states.setdefault(saga.action_id, set())
            for state in saga.times.keys() - known:
                ACTIONS.add(1, remedy, state)
            known.update(saga.times)
            self._count_taken_back(remedy, saga)
            self._note_unknown(saga)
            if not saga.is_open:
                del self._states[saga.action_id], self._taken_back[saga.action_id]
        self.tell(breakers, open_)

    def tell(self, breakers: Mapping[str, str], open_: int) -> None:
        """Tell how all stands."""
        if not switched_on():
            return
        ACTIONS_OPEN.set(open_, self._shard)
        asked = [at for each in self._unknown.values() for at in each]
        EFFECTS_UNKNOWN.set(len(asked), self._shard)
        UNKNOWN_OLDEST.set(min(asked, default=0) / SECOND, self._shard)
        for name, state in breakers.items():
            before = self._breakers.get(name)
            if state != before:
                target, _, operation = name.partition("/")
                BREAKERS.add(1, target, operation, state)
                if before is not None:
                    BREAKERS.add(-1, target, operation, before)
                self._breakers[name] = state

    def _count_taken_back(self, remedy: str, saga: Saga) -> None:
        before, now = self._taken_back.get(saga.action_id, {}), _taken_back(saga)
        for effect in saga.effects:
            if (result := now.get(effect.step)) is not None and result != before.get(effect.step):
                TAKEN_BACK.add(1, remedy, effect.target, result)
        self._taken_back[saga.action_id] = now

    def _note_unknown(self, saga: Saga) -> None:
        unknown = [effect for effect in saga.effects if effect.status == "unknown"]
        if unknown and saga.is_open:  # else nobody can tell, and a person has it
            asked = [(effect.undo if effect.undo.is_open else effect.do).sent_at for effect in unknown]
            self._unknown[saga.action_id] = asked
        else:
            self._unknown.pop(saga.action_id, None)


def _taken_back(saga: Saga) -> dict[str, str]:
    """Return what came of taking back the effects of an action, by step."""
    results = {"done": "undone", "refused": "refused", "impossible": "impossible"}
    return {effect.step: results[effect.undo.status] for effect in saga.effects if effect.undo.status in results}
