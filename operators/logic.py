"""The interface stages are written against: keyed logic, as Flink's `KeyedProcessFunction`.

A logic is a plain object without state of its own. The runtime (`operators/keyed.py`) holds the state of each key,
calls the logic in the order of event time, and takes what it emits. Nothing in a logic may look at a clock, draw a
random number or do I/O; the same calls must have the same effects in every run.
"""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

from config.events import Event

S = TypeVar("S")


class Context(Protocol):
    """What a logic may do while it handles one event or timer of one key."""

    @property
    def now(self) -> int:
        """Event time of the event or timer at hand, microseconds since the epoch."""

    def emit(self, to: str, event: Event) -> None:
        """Send `event` to the stage named `to`, or to `RELEASE`.

        Its time is `now`: the runtime refuses another, since it would break the watermark's promise.
        `event.key` routes it; `BROADCAST` reaches every key group of a stage.
        """

    def set_timer(self, name: str, at: int) -> None:
        """Call `on_timer` for this key with `name` at event time `at`; replaces a timer of the same name.

        A time that has passed already fires at once, after the event at hand, with `now` unchanged.
        """

    def cancel_timer(self, name: str) -> None:
        """Forget the timer `name` of this key, if there is one."""

    def forget(self) -> None:
        """Drop this key: its state, timers and remembered event ids, after the call at hand."""

    def shared(self) -> Any:
        """Return the state of the key `BROADCAST` of this key group, to read: the current fleet signals."""

    def common(self) -> Any:
        """Return the state of the key `BROADCAST` of this key group, to change: what its keys count together."""


class KeyedLogic(Protocol, Generic[S]):
    """One stage's behaviour for one key.

    `S` is a `msgspec.Struct` (mutable) of built-in values: it is encoded as MessagePack into snapshots and decoded
    strictly. A change of its shape raises `state_version` and teaches `migrate` the old one.
    """

    name: str
    """Stage name: part of recovery, so stable."""
    state_type: type[S]
    state_version: int
    dedupe_ttl: int
    """Microseconds for which an event id is remembered per key, to drop duplicates; 0 remembers none."""

    def new_state(self, key: str) -> S:
        """Return the state of a key never seen (or forgotten)."""

    def on_event(self, key: str, state: S, event: Event, context: Context) -> None:
        """Handle one event, in order."""

    def on_timer(self, key: str, state: S, timer: str, context: Context) -> None:
        """Handle the timer named `timer`, at its event time, before any event of that time."""

    def on_partial(self, key: str, state: S, partial: Any, context: Context) -> None:
        """Merge a commutative contribution as it comes, out of order. It may set timers, but emits nothing."""

    def migrate(self, version: int, state: Any) -> S:
        """Turn a state of an older `version`, decoded to built-in values, into today's.

        Raises:
            RecoveryError: that version cannot be read any more.
        """
