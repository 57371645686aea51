"""An action as the remediation flow reads it: what was decided to be done, on which facts, until when it is worth it.

It is the one thing that detection tells remediation. It comes from a topic or a store, so it is looked at as anything
from outside is: strictly, and within bounds.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec
import orjson

from config.errors import InputError

Value = str | float | int | bool | None
ValueType = Literal["string", "number", "bool", "instant"]
"""Of a parameter or fact. An instant is microseconds since the epoch inside, RFC 3339 text where it comes in or goes
out."""

BYTES_MAX = 65_536
NAMES_MAX = 200
TEXT_MAX = 4_000
INSTANT_END = 2**62

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class Approval(msgspec.Struct, frozen=True):
    """Who consented."""

    request_id: str
    approvers: list[str]


class Withheld(msgspec.Struct, frozen=True):
    """Why an action that was decided is not done: limits over all customers do not bear it."""

    guardrails: list[str]
    """Those that withheld it, by name."""
    again_at: int | None = None
    """When they may bear it, event time, microseconds; None for never."""

    @property
    def why(self) -> str:
        """A sentence that is the same for all that they withheld."""
        return f"Withheld by guardrail {', '.join(self.guardrails)}: what may be done for all is spent."


class Action(msgspec.Struct, frozen=True):
    """What is to be done. Fields that it does not know are passed over: a newer job may say more."""

    action_id: str
    case_id: str
    decision_id: str
    remedy: str
    """The name of a playbook."""
    target: str
    """`system:entity`."""
    at: int
    """When it was decided, event time, microseconds."""
    valid_until: int
    """Afterwards it is not worth doing any more, microseconds."""
    entity: str = ""
    """`order:o1`; what follows the system in `target` where it is not said."""
    customer: str = ""
    agent: str = ""
    kind: str = ""
    segment: str = ""
    """Of the cases for which the policy lets autonomy be earned apart; its outcomes say it again."""
    parameters: dict[str, Value] = {}
    facts: dict[str, Value] = {}
    """Those that were decided on."""
    bundle: str = ""
    """Digest of the policy."""
    approval: Approval | None = None
    withheld: Withheld | None = None
    """Not None where it is not to be done, but only told of."""

    @property
    def about(self) -> str:
        """The entity it is about."""
        return self.entity or self.target.partition(":")[2]


class _Held(msgspec.Struct, frozen=True):
    guardrail: str


class _Told(msgspec.Struct, frozen=True):
    """Data of `guardrail.withheld`. None of it can be taken for an action: that has other fields."""

    action: Action
    guardrails: list[_Held]
    again_at: int | None = None


_DECODER = msgspec.json.Decoder(Action)
_TOLD_DECODER = msgspec.json.Decoder(_Told)


def decode_action(body: bytes) -> Action:
    """Return the action that `body`, JSON, holds: one that was released, or one that a guardrail withheld.

    Raises:
        InputError: it holds none, or one that is beyond bounds; says which field, and no value of it.
    """
    if len(body) > BYTES_MAX:
        raise InputError(f"an action of {len(body)} bytes", remedy=f"An action has at most {BYTES_MAX}.")
    try:
        action = _DECODER.decode(body)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        withheld = _withheld(body)
        if withheld is None:
            raise InputError(f"no action: {error}", remedy="Correct whoever wrote it.") from None
        action = withheld
    if wrong := _wrong(action):
        raise InputError(f"an action's {wrong}", remedy="Correct whoever wrote it.")
    return action


def _withheld(body: bytes) -> Action | None:
    try:
        told = _TOLD_DECODER.decode(body)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return None
    names = [each.guardrail for each in told.guardrails]
    return msgspec.structs.replace(told.action, withheld=Withheld(names, told.again_at))


def encode_action(action: Action) -> bytes:
    """Return an action as canonical JSON."""
    return orjson.dumps(msgspec.to_builtins(action), option=orjson.OPT_SORT_KEYS)


def _wrong(action: Action) -> str:
    """Return what is beyond bounds, "" for nothing."""
    for name in ("action_id", "case_id", "decision_id", "remedy"):
        if not _NAME.fullmatch(getattr(action, name)):
            return f"{name} is no name"
    for name in ("target", "entity", "customer", "agent", "kind", "segment", "bundle"):
        text = getattr(action, name)
        if len(text) > TEXT_MAX or "\0" in text:
            return f"{name} is no text of up to {TEXT_MAX} characters"
    if not action.about:
        return "entity is missing"
    for name in ("at", "valid_until"):
        if not -INSTANT_END < getattr(action, name) < INSTANT_END:
            return f"{name} is no instant"
    if action.withheld is not None:
        names = action.withheld.guardrails
        if not 0 < len(names) <= NAMES_MAX or any(len(name) > TEXT_MAX for name in names):
            return "guardrails are none, too many or too long"
        if not -INSTANT_END < (action.withheld.again_at or 0) < INSTANT_END:
            return "again_at is no instant"
    for name in ("parameters", "facts"):
        values = getattr(action, name)
        if len(values) > NAMES_MAX or any(isinstance(v, str) and len(v) > TEXT_MAX for v in values.values()):
            return f"{name} are too many or too long"
    return ""
