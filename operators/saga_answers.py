"""What a saga makes of the answers to its calls."""

from __future__ import annotations

from dataclasses import dataclass

from config.effects import Reply
from config.playbooks.model import Step
from operators.act import Act
from operators.saga_calls import ASK_AGAIN, ASK_TIMEOUT, backoff, do_call, undo_call, whole_seconds
from operators.saga_state import Effect
from operators.saga_verification import Verification


@dataclass(slots=True)
class Answers(Verification):
    """The part of a saga that takes in answers about effects."""

    def _on_answer(self, reply: Reply) -> None:
        """Take in what came of a request for an effect."""
        saga, now = self.saga, self.around.now
        effect = saga.effects[saga.about]
        act = effect.undo if saga.back else effect.do
        step = None if self.playbook is None else self.playbook.step(effect.step)
        retry, timeout = (ASK_AGAIN, ASK_TIMEOUT) if step is None else (step.retry, step.timeout)
        settle = self.around.traits(effect.target).settle
        if reply.result == "expired" and not self._counts_though_unsent(effect, step):
            act.not_tried()
            return self._wait(backoff(saga, retry, 1))
        act.answered(reply, now, whole_seconds(act.sent_at + timeout) + settle)
        if reply.result not in ("refused", "not-sent", "expired"):
            effect.seen = ""
        saga.tries = 0
        if act.status == "unknown":
            saga.since = now
            if saga.phase == "forward":
                self._enter("unknown")
        if act.status in ("unknown", "absent"):
            self._wait(max(backoff(saga, retry, act.attempts), reply.retry_after))
            if act.status == "absent" and not saga.back:
                self._not_beyond(self.action.valid_until + 1)
        return None

    def _counts_though_unsent(self, effect: Effect, step: Step | None) -> bool:
        """Return whether what never left counts as an attempt: to take an effect back, beyond its inverse's deadline.

        Effects are brought about while the action is valid only, so neither goes on for ever.
        """
        if not self.saga.back:
            return False
        return step is None or step.inverse is None or self.around.now > effect.do.done_at + step.inverse.within

    def _on_told(self, reply: Reply) -> None:
        """Take in what became of an effect, or of taking it back."""
        saga, now = self.saga, self.around.now
        effect = saga.effects[saga.about]
        act, before = effect.undo if saga.back else effect.do, effect.status
        if reply.result in ("done", "undone") and not saga.back:
            self._is_seen(effect, reply.result)
        elif reply.result == "done":
            act.found(now)
        elif reply.result in ("absent", "undone"):
            if not saga.back and effect.undo.status == "done":
                effect.seen = "undone"
            elif act.missed(now):
                effect.seen = "absent"
            elif not self._repeat(effect, act):
                self._wait(act.open_until + 1 - now)
        else:
            return self._ask_later(reply)
        saga.tries = 0
        if saga.phase == "over" and effect.status != before:
            self._tell()
        return None

    def _is_seen(self, effect: Effect, what: str) -> None:
        """Take in that the target shows an effect: there, or taken back."""
        effect.do.found(self.around.now)
        effect.seen = what
        if what == "undone":
            effect.undo.found(self.around.now)
        elif effect.undo.status == "done":
            effect.undo.missed(self.around.now)  # said to be taken back, and is there

    def _repeat(self, effect: Effect, act: Act) -> bool:
        """Send once more what has had no effect yet though it still may; return whether that is safe, and done."""
        saga, book = self.saga, self.playbook
        step = None if book is None else book.step(effect.step)
        if book is None or step is None or act.refused or act.attempts >= step.retry.attempts:
            return False
        if not self.around.traits(effect.target).keyed:
            return False
        if act is effect.do:
            if saga.phase != "forward" or self._inadmissible():
                return False
            if not self._blocked(effect.target, step.operation, act.open_until + 1):
                self.call = do_call(saga, effect, step, self.around.now)
            return True
        if saga.phase != "backward" or step.inverse is None:
            return False
        if not self._blocked(effect.target, step.inverse.operation, act.open_until + 1):
            self.call = undo_call(saga, effect, step, step.inverse, self._bound(book), self.around.now)
        return True
