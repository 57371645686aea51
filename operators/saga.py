"""The saga of an action: which step is next, what an answer means, when to ask again, what to take back. Pure.

A saga is moved by four things: an answer, the time, a restart, and the wish to take its effects back. Each returns
what to ask of a target next, at most one call at a time. Whoever moves it writes its state down before he asks: so
after a crash it is known what may have been sent.

1. What is not known to have happened is asked about, never blindly repeated. Only a target that honours idempotency
   keys is sent the same request again, and only after it said that the effect is not there.
2. That an effect is not there is certain only when no request for it can still take effect (`operators/act.py`).
3. Only what the target says is there is taken back, in reverse order.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from config.duration import format_duration
from config.effects import Reply
from config.errors import ExpressionError
from config.playbooks.model import Playbook, Step
from operators.act import Act
from operators.saga_answers import Answers
from operators.saga_calls import (
    do_call,
    evaluated,
    measure_call,
    new_effect,
    undo_call,
)
from operators.saga_moves import BASELINE_PATIENCE
from operators.saga_state import Effect

BASELINE_TRIES = 3


@dataclass(slots=True)
class SagaStep(Answers):
    """What one event does to one saga: see `SagaMoves`."""

    # -- what moves it ------------------------------------------------------------------------------------------------

    def on_time(self) -> None:
        """Go on where nothing is waited for: a new saga begins, a wait is over."""
        saga = self.saga
        if saga.asked is None and (saga.wake_at is None or saga.wake_at <= self.around.now):
            saga.wake_at = None
            self._go()

    def on_restart(self) -> None:
        """Go on after whoever waited for an answer is gone: of what was sent nothing is known."""
        saga = self.saga
        asked, saga.asked = saga.asked, None
        if asked in ("do", "undo"):
            self._on_answer(Reply(saga.action_id, saga.turn, "unknown", "the answer was lost in a restart"))
        self.on_time()

    def on_undo(self, reason: str) -> None:
        """Take back what was done; where nothing was done yet, do nothing."""
        saga = self.saga
        stands = any(effect.status in ("done", "unknown") for effect in saga.effects)
        if saga.phase == "backward" or (saga.phase == "over" and not stands):
            return
        saga.undo_reason = reason
        if saga.asked is None:
            saga.wake_at = None
            self._go()

    def on_reply(self, reply: Reply) -> None:
        """Take in the answer to the call under way; one to an earlier call says nothing any more."""
        saga = self.saga
        if saga.asked is None or reply.turn != saga.turn:
            return
        asked, saga.asked = saga.asked, None
        if asked == "query":
            self._on_told(reply)
        elif asked == "measure":
            self._on_state(reply)
        else:
            self._on_answer(reply)
        self._go()

    # -- what is next -------------------------------------------------------------------------------------------------

    def _go(self) -> None:
        """Do what is next, until something is asked or waited for."""
        saga = self.saga
        if saga.queued and saga.phase == "begin":
            saga.since = self.around.now  # patience is with the target, not with those who were before it in the queue
        saga.queued = False
        while self.call is None and saga.wake_at is None:
            if saga.undo_reason:
                self._turn_back(saga.undo_reason, "escalated" if saga.has_acted else "refused")
                saga.undo_reason = ""
            if saga.phase == "over":
                if not self._ask_on():
                    return
            elif self.action.withheld is not None:
                self._enter("intended")
                self._end("refused", self.action.withheld.why)
            elif self.playbook is None:
                self._end("escalated", f"There is no playbook {self.action.remedy!r} to carry it out by.")
            elif saga.phase == "begin":
                self._begin(self.playbook)
            elif saga.phase == "forward":
                self._forward(self.playbook)
            elif saga.phase == "verify":
                self._verify(self.playbook)
            else:
                self._backward(self.playbook)

    def _begin(self, book: Playbook) -> None:
        saga, now = self.saga, self.around.now
        if not saga.since:
            saga.since = now
            self._enter("intended")
        if reason := self._inadmissible() or self.around.unfit(self.action):
            return self._end("refused", reason)
        if book.always_approved and self.action.approval is None:
            return self._end("refused", f"Nobody has consented, and {book.owner}'s playbook says that somebody has to.")
        try:
            saga.measured_of = saga.measured_of or str(book.verify.entity.value(self._bound(book)))
        except ExpressionError as error:
            return self._end("refused", f"It does not fit its playbook, of {book.owner}: {error.message}.")
        self._enter("approved")
        patient = saga.tries < BASELINE_TRIES and now <= saga.since + BASELINE_PATIENCE
        if not saga.measured and patient and self.around.traits(book.verify.target).measurable:
            if not self._blocked(book.verify.target, "measure", saga.since + BASELINE_PATIENCE + 1):
                self.call = measure_call(saga, book.verify.target, saga.measured_of, now)
            return None
        saga.measured, saga.tries, saga.phase = True, 0, "forward"
        return None

    def _forward(self, book: Playbook) -> None:
        saga, now = self.saga, self.around.now
        step = self._next_step(book)
        if step is None:
            self._turn_to("verify")
            self._enter("acknowledged")
            self._tell()
            saga.wake_at = now + book.verify.after if book.verify.after else None
            return None
        effect = saga.effect_of(step.id)
        act = Act() if effect is None else effect.do
        if effect is not None and act.is_open:
            self._resolve(effect, back=False)
        elif act.status == "refused":
            self._turn_back(
                f"{step.target} refused {step.operation}: {act.detail or 'it says nothing of why'}.", "refused"
            )
        elif act.attempts >= step.retry.attempts:
            self._turn_back(f"{step.operation} was tried {act.attempts} times in vain: {act.detail}.", "escalated")
        elif reason := self._inadmissible() or self._overdue() or self._unmet(book, step):
            self._turn_back(reason, "refused")
        elif not self._blocked(step.target, step.operation, self.action.valid_until + 1):
            if effect is None:
                try:
                    effect = new_effect(saga, step, self._bound(book))
                except ExpressionError as error:
                    why = f"Step {step.id} of {book.owner}'s playbook cannot be taken: {error.message}."
                    return self._turn_back(why, "refused")
                saga.effects.append(effect)
            self._enter("dispatched")
            self.call = do_call(saga, effect, step, now)
        return None

    def _backward(self, book: Playbook) -> None:
        """Take back the last effect that stands; when there is none, end."""
        saga = self.saga
        for effect in reversed(saga.effects):
            if effect.undo.status in ("refused", "impossible"):
                continue
            step, queryable = book.step(effect.step), self.around.traits(effect.target).queryable
            if effect.undo.status == "done":
                if queryable and effect.seen != "undone":
                    return self._resolve(effect, back=False)
            elif effect.do.is_open or effect.undo.is_open:
                if queryable:
                    return self._resolve(effect, back=effect.undo.is_open)
                effect.undo.detail = "nobody can tell whether it is there"
            elif effect.do.status == "done":
                if queryable and effect.seen != "done":
                    return self._resolve(effect, back=False)
                if why := self.irreversible(book, effect, step):
                    effect.undo.status, effect.undo.detail = "impossible", why
                    continue
                assert step is not None
                assert step.inverse is not None
                if not self._blocked(effect.target, step.inverse.operation):
                    self.call = undo_call(saga, effect, step, step.inverse, self._bound(book), self.around.now)
                return None
        left = [effect for effect in saga.effects if effect.status in ("done", "unknown")]
        if left:
            what = "; ".join(f"{effect.operation}: {effect.undo.detail}" for effect in left)
            self._end("escalated", f"{saga.reason} Not taken back: {what}.")
        else:
            undone = any(effect.undo.status == "done" for effect in saga.effects)
            self._end("compensated" if undone else saga.failure, saga.reason)
        return None

    def _ask_on(self) -> bool:
        """Ask on about what is not known although all is over; return whether there is anything to ask."""
        for effect in self.saga.effects:
            if effect.is_uncertain and self.around.traits(effect.target).queryable:
                self._resolve(effect, back=effect.undo.is_open)
                return True
        return False

    def irreversible(self, book: Playbook, effect: Effect, step: Step | None) -> str:
        """Return why an effect cannot be taken back, "" where it can."""
        if step is None:
            return "its playbook does not know it any more"
        if step.inverse is None:
            return step.irreversible
        if effect.undo.attempts >= step.retry.attempts:
            return f"{step.inverse.operation} was tried {effect.undo.attempts} times in vain"
        until = effect.do.done_at + step.inverse.within
        if not effect.undo.attempts and self.around.now > until:
            return f"that could be done for {format_duration(timedelta(microseconds=step.inverse.within))} only"
        try:
            if not step.inverse.precondition.holds(self._bound(book)):
                return f"{step.inverse.precondition.source!r} does not hold"
            evaluated(step.inverse.parameters, self._bound(book))
        except ExpressionError as error:
            return error.message
        return ""

    def _next_step(self, book: Playbook) -> Step | None:
        """Return the first step of this rung whose effect is not there."""
        for step in book.steps:
            effect = self.saga.effect_of(step.id)
            if step.rung == self.saga.rung and (effect is None or effect.do.status != "done"):
                return step
        return None
