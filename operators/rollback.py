"""What taking an action back would do, said before anything is done. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from config.actions import Action
from config.effects import Traits
from config.playbooks.model import Playbook
from operators.saga import SagaStep
from operators.saga_moves import Around
from operators.saga_state import Effect, Saga

Fate = Literal["take back", "ask", "stands", "stop", "gone", "under way"]
"""Of an effect: it is taken back; first the target is asked whether it is there; it stands, for nothing undoes it; it
is not there, or not any more; it is not there and is not tried again. Of an action: nothing more is begun. It is being
taken back already."""


class Fated(msgspec.Struct, frozen=True):
    """What becomes of an effect, or of an action that has none."""

    fate: Fate
    why: str = ""
    """Why it stands, or is asked about first."""
    step: str = ""
    target: str = ""
    operation: str = ""
    entity: str = ""
    status: str = ""


def fates(action: Action, saga: Saga, playbook: Playbook | None, now: int) -> list[Fated]:
    """Return what becomes of an action's effects when it is taken back at an instant, the first effect first.

    Args:
        action: What was decided.
        saga: How far it is.
        playbook: What was done for it; None where there is none any more.
        now: Microseconds; in event time for the ledger of a trial.
    """
    step = SagaStep(saga, action, playbook, Around(now, lambda target: Traits(), lambda target, operation: None))
    if not saga.effects and not saga.ended:
        return [Fated("stop", "It has done nothing yet.")]
    found = [_fate(step, effect) for effect in saga.effects] or [Fated("gone", f"It was {saga.state}.")]
    if saga.phase == "forward" and all(one.fate in ("stands", "gone") for one in found):
        found.append(Fated("stop", "It has not done all yet."))
    return found


def _fate(step: SagaStep, effect: Effect) -> Fated:
    fate, why = _fate_and_reason(step, effect)
    return Fated(fate, why, effect.step, effect.target, effect.operation, effect.entity, effect.status)


def _fate_and_reason(step: SagaStep, effect: Effect) -> tuple[Fate, str]:
    if effect.status not in ("done", "unknown", "sent"):
        return ("stop", "it is not there, and would be tried again") if step.saga.phase == "forward" else ("gone", "")
    if step.saga.phase == "backward":
        return "under way", ""
    book = step.playbook
    if book is None:
        return "stands", f"there is no playbook {step.action.remedy!r} any more"
    if why := effect.undo.detail if effect.undo.status in ("refused", "impossible") else "":
        return "stands", why
    of_book = book.step(effect.step)
    if effect.status == "done":
        why = step.irreversible(book, effect, of_book)
        return ("stands", why) if why else ("take back", "")
    if of_book is not None and of_book.inverse is None:
        return "stands", of_book.irreversible
    return "ask", "nobody knows yet whether it is there"
