"""What is remembered of an action that is being carried out: its saga, as a value of built-in values."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from config.actions import Action, Value
from config.effects import Verb
from config.errors import StoreError
from operators.act import Act

VERSION = 2
"""2: `queued` is known."""

State = Literal[
    "intended",
    "approved",
    "dispatched",
    "unknown",
    "acknowledged",
    "verified",
    "ineffective",
    "inconclusive",
    "settled",
    "compensated",
    "refused",
    "escalated",
]
"""The states of the ledger. The last four are the end."""

ENDED: frozenset[State] = frozenset({"settled", "compensated", "refused", "escalated"})

Verdict = Literal["verified", "ineffective", "inconclusive"]

Phase = Literal["begin", "forward", "verify", "backward", "over"]
"""What a saga is about: may it begin; bring effects about; see whether they helped; take them back; nothing more."""


class Effect(msgspec.Struct, array_like=True):
    """What a step does to a target, and what takes it back."""

    step: str
    target: str
    operation: str
    key: str
    entity: str
    parameters: dict[str, Value]
    """Evaluated once: under one key goes one request."""
    do: Act
    undo: Act
    seen: str = ""
    """What the target said of it when it was last asked: `done`, `undone`, `absent`; `untold` where it tells nothing.
    Empty since something new was asked for, or since that may have changed."""

    @property
    def status(self) -> str:
        """The status of the effect, in a word."""
        if self.undo.status == "done":
            return "undone"
        return "unknown" if self.do.is_open or self.undo.is_open else self.do.status

    @property
    def is_uncertain(self) -> bool:
        """Whether the target still has to be asked what became of it."""
        if self.status == "unknown":
            return self.seen != "untold"
        return self.status in ("done", "undone") and not self.seen

    @property
    def stands(self) -> bool:
        """Whether it is there, and was not taken back."""
        return self.do.status == "done" and self.undo.status != "done"


class Saga(msgspec.Struct, array_like=True):
    """How far an action is, from its intent to its end."""

    action_id: str
    version: int = VERSION
    state: State = "intended"
    phase: Phase = "begin"
    effects: list[Effect] = []
    """Those begun, in order."""
    rung: int = 1
    turn: int = 0
    """Calls so far."""
    asked: Verb | None = None
    """The call that is under way."""
    about: int = -1
    """The effect that it is about; -1 for none."""
    back: bool = False
    """Whether it is about taking that effect back."""
    wake_at: int | None = None
    tries: int = 0
    """Questions in a row that were not answered."""
    since: int = 0
    """When what it waits for began: the verification, or the questions that nobody answers."""
    measured: bool = False
    """Whether the baseline was asked for."""
    baseline: dict[str, Any] | None = None
    verdict: Verdict | None = None
    collateral: bool | None = None
    reason: str = ""
    undo_reason: str = ""
    """Why its effects are to be taken back; "" while they are not."""
    failure: State = "escalated"
    """How it ends where nothing had to be taken back."""
    seq: int = 0
    """Outcomes so far."""
    times: dict[str, int] = {}
    """When it came to each state, first."""
    measured_of: str = ""
    """Whose state is read, before and after."""
    queued: bool = False
    """Whether it waits for its turn, not for an instant: `wake_at` is when it looks again at the latest."""

    @property
    def ended(self) -> bool:
        """Whether nothing more is done, but perhaps asked."""
        return self.phase == "over"

    @property
    def is_open(self) -> bool:
        """Whether anything is left to do or to ask."""
        return not self.ended or any(effect.is_uncertain for effect in self.effects)

    def effect_of(self, step_id: str) -> Effect | None:
        """Return the effect of a step that was begun."""
        return next((effect for effect in self.effects if effect.step == step_id), None)

    @property
    def has_acted(self) -> bool:
        """Whether anything was asked for that may have had an effect."""
        return any(effect.do.attempts for effect in self.effects)

    @property
    def has_to_begin(self) -> bool:
        """Whether it is to bring about something, and has done nothing yet."""
        return self.phase in ("begin", "forward") and not self.has_acted

    @property
    def acts_now(self) -> bool:
        """Whether it may be changing its entity at this moment, so that others have to wait."""
        return self.phase in ("forward", "backward") and self.has_acted


class Outcome(msgspec.Struct, frozen=True):
    """What came of an action: data of the outcome event."""

    action_id: str
    case_id: str
    remedy: str
    agent: str
    segment: str
    bundle: str
    state: State
    verdict: Verdict | None
    collateral: bool | None
    reason: str
    effects: list[dict[str, str]]
    at: int
    seq: int
    guardrails: list[str] | None = None
    """That withheld it; None where none did."""
    again_at: int | None = None
    """When they may bear it; None for never."""


def outcome_of(saga: Saga, action: Action, at: int) -> Outcome:
    """Return what is to be told of a saga now; `seq` is that of the saga."""
    names = ("step", "target", "operation", "key", "status")
    return Outcome(
        action_id=action.action_id,
        case_id=action.case_id,
        remedy=action.remedy,
        agent=action.agent,
        segment=action.segment,
        bundle=action.bundle,
        state=saga.state,
        verdict=saga.verdict,
        collateral=saga.collateral,
        reason=saga.reason,
        effects=[{name: getattr(effect, name) for name in names} for effect in saga.effects],
        at=at,
        seq=saga.seq,
        guardrails=None if action.withheld is None else action.withheld.guardrails,
        again_at=None if action.withheld is None else action.withheld.again_at,
    )


def encode(saga: Saga) -> bytes:
    """Return a saga as it is written down."""
    return msgspec.msgpack.encode(saga)


def decode(encoded: bytes) -> Saga:
    """Return the saga that `encode` wrote.

    Raises:
        StoreError: it is damaged, or of a newer version.
    """
    try:
        saga = _DECODER.decode(encoded)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise StoreError(f"A saga of the ledger cannot be read: {error}.", remedy="Restore the ledger.") from None
    if saga.version > VERSION:
        raise StoreError(
            f"A saga of the ledger has version {saga.version}, this program knows up to {VERSION}.",
            remedy="Use the newer Forestall that wrote it.",
        )
    if saga.version < 2:
        # Whoever had something to ask for and had not asked yet may have waited for his turn.
        unknown = any(effect.status == "unknown" for effect in saga.effects)
        saga.queued = saga.asked is None and saga.phase not in ("verify", "over") and not unknown
    saga.version = VERSION
    return saga


_DECODER = msgspec.msgpack.Decoder(Saga)
