"""What is asked of a target system, and what it answers: the words that sagas and those who carry them out share."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import orjson

from config.actions import Value
from config.clock import SECOND
from config.identity import derived_id

Verb = Literal["do", "undo", "query", "measure"]
"""Bring an effect about; take one back; what became of one; how is an entity now."""

Result = Literal[
    "done",
    "undone",
    "absent",
    "pending",
    "refused",
    "not-sent",
    "expired",
    "unknown",
    "measured",
    "unavailable",
    "unreadable",
]
"""What an answer says:

done        the effect is there
undone      it was there, and was taken back
absent      it is not there now; a request that is still under way may bring it about
pending     the target is working on it
refused     it was not obeyed, and will not be if it is asked again
not-sent    it was not obeyed for now: it never left, or the target said so
expired     it never left: it waited here for its turn until it would have come too late
unknown     it may be there or not: ask
measured    the state of an entity
unavailable a question was not answered, for now
unreadable  a question that this target never answers
"""


class Call(msgspec.Struct, frozen=True):
    """One thing asked of a target."""

    action_id: str
    turn: int
    """Which call of its action: an answer names it."""
    verb: Verb
    target: str
    operation: str
    """What to do; for a question, what it asks about."""
    key: str
    """The idempotency key of the effect it is, or asks about."""
    entity: str
    at: int
    """When it is asked, microseconds."""
    timeout: int
    """Microseconds to wait for an answer."""
    expires: int
    """Instant, microseconds, after which the target must not obey."""
    parameters: dict[str, Value] = {}
    undoes: str = ""
    """Of an undo: the key of the effect it takes back."""

    def is_late(self, at: int) -> bool:
        """Return whether there is no sense in sending it at an instant any more: it has waited for half its time, and
        the target needs some, too.
        """
        return at > self.expires - self.timeout // 2

    def body(self) -> bytes:
        """Return what an effect is asked for with, as canonical JSON: the same however often it is asked for."""
        content = {**self.parameters, "entity": self.entity}
        if self.undoes:
            content["undoes"] = self.undoes
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


class Reply(msgspec.Struct, frozen=True):
    """What came of a call."""

    action_id: str
    turn: int
    result: Result
    detail: str = ""
    """For a person; never what an answer held."""
    state: dict[str, Any] | None = None
    """Numbers, texts and truths by name, of `measured`."""
    retry_after: int = 0
    """Microseconds that the target asks to wait."""
    digest: str = ""
    """Of the answer's body."""
    failed: bool = False
    """Whether the target is to blame: it counts against it."""


class Traits(msgspec.Struct, frozen=True):
    """What a target can be relied on for."""

    keyed: bool = True
    """It honours idempotency keys: the same request again has no second effect."""
    queryable: bool = True
    """It tells what became of an effect, by its key."""
    measurable: bool = True
    """It tells the state of an entity."""
    settle: int = 5 * SECOND
    """So long after a request has expired, microseconds, it may still take effect: clocks differ, work takes time."""


def operation_of(call: Call) -> str:
    """Return what a call counts for: a target may answer questions, and fail to do."""
    return call.operation if call.verb in ("do", "undo") else call.verb


def effect_key(action_id: str, step: str) -> str:
    """Return the idempotency key of a step's effect: the same however often and by whom it is asked for."""
    return derived_id("effect", action_id, step)


def undo_key(action_id: str, step: str) -> str:
    """Return the idempotency key of taking a step's effect back."""
    return derived_id("undo", action_id, step)
