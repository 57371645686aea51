"""A stage with its state logs, driven second by second without a flow around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from config.clock import SECOND
from config.events import Event
from config.identity import key_group
from config.settings import load
from operators.frame import Frame
from operators.keyed import KeyedGroup
from operators.pane import Partial
from sinks.statelog import StateLog

START = 1_772_409_600_000_000
"""A full minute."""


class Stage:
    """A stage with its state logs.

    Args:
        folder: Of the logs.
        logic: Makes the logic of a group.
        groups: How many there are.
        channel: The one that all comes by.
    """

    def __init__(self, folder: Path, logic: Callable[[], Any], groups: int, channel: str) -> None:
        self._logic, self._folder, self._channel = logic, folder, channel
        self._inline = load().runtime.state_inline_bytes
        self.groups = [KeyedGroup(logic(), [channel]) for _ in range(groups)]
        self.logs = [StateLog(folder, f"{logic().name}-{n}", self._inline) for n in range(groups)]
        self.now = START

    def snapshot(self) -> tuple[list[bytes], int]:
        """Make all changes durable; return the tokens, and how many bytes of changes there were."""
        tokens, changed = [], 0
        for group, log in zip(self.groups, self.logs, strict=True):
            delta = group.delta()
            changed += len(delta)
            tokens.append(log.snapshot(delta, group.whole))
        return tokens, changed

    def restored(self, tokens: list[bytes]) -> list[KeyedGroup[Any]]:
        """Return the groups as a restart finds them."""
        groups = []
        for token in tokens:
            log, deltas = StateLog.resume(self._folder, self._inline, token)
            group: KeyedGroup[Any] = KeyedGroup(self._logic(), [self._channel])
            group.restore(deltas)
            log.close()
            groups.append(group)
        return groups

    def pass_second(self, events: Sequence[Event] = (), partials: Sequence[Partial] = ()) -> None:
        """Let a second pass in which these come."""
        self.now += SECOND
        count = len(self.groups)
        frames = [Frame(number, self._channel, self.now, [], []) for number in range(count)]
        for event in events:
            frames[key_group(event.key, count)].events.append(event)
        for partial in partials:
            frames[key_group(partial.key, count)].partials.append(partial)
        for group, frame in zip(self.groups, frames, strict=True):
            group.receive(frame)
            group.advance()
