"""Seeing whether an action helped: what its targets say is there, how the entity is now, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from config.effects import Reply
from config.playbooks.model import Playbook
from operators.saga_calls import measure_call
from operators.saga_moves import SagaMoves
from operators.saga_state import Verdict
from operators.saga_verdict import changed_beside, judge


@dataclass(slots=True)
class Verification(SagaMoves):
    """The part of a saga that verifies."""

    def _verify(self, book: Playbook) -> None:
        """Ask about each effect, then for the state of the entity; then judge."""
        saga, verify, now = self.saga, book.verify, self.around.now
        ends = saga.since + verify.after + verify.patience
        asks = [effect for effect in saga.effects if effect.do.status == "done" and not effect.seen]
        asks = [effect for effect in asks if self.around.traits(effect.target).queryable]
        target, operation = (asks[0].target, "query") if asks else (verify.target, "measure")
        if not asks and not self.around.traits(target).measurable:
            self._judged(book, "inconclusive", f"{target} does not tell how things are.", None)
        elif (blocked := self._blocked(target, operation, ends + 1)) and now <= ends:
            return None
        elif now > ends and (saga.tries or blocked):
            saga.wake_at, saga.queued = None, False
            what = f"what became of {asks[0].operation}" if asks else "how things are"
            self._judged(book, "inconclusive", f"{target} did not tell {what}.", None)
        else:
            if asks:
                return self._ask_about(asks[0], back=False)
            self.call = measure_call(saga, target, self._measured_of(book), now)
        return None

    def _measured_of(self, book: Playbook) -> str:
        """Return whose state is read; sagas of before it was remembered have to ask their playbook."""
        return self.saga.measured_of or str(book.verify.entity.value(self._bound(book)))

    def _on_state(self, reply: Reply) -> None:
        """Take in how an entity is: before, or when it is time to see whether it was helped."""
        saga, book = self.saga, self.playbook
        if book is None:
            return
        if reply.result == "unreadable" and saga.phase == "begin":
            saga.measured = True
        elif reply.result == "unreadable":
            self._judged(book, "inconclusive", f"{book.verify.target} does not tell how things are.", None)
        elif reply.result != "measured" or reply.state is None:
            self._ask_later(reply)
        elif saga.phase == "begin":
            saga.measured, saga.baseline = True, reply.state
        elif saga.phase == "verify":
            self._weigh(book, reply.state)

    def _weigh(self, book: Playbook, state: dict[str, Any]) -> None:
        saga = self.saga
        lied = next((effect for effect in saga.effects if effect.do.status == "absent"), None)
        undone = next((effect for effect in saga.effects if effect.undo.status == "done"), None)
        verdict: Verdict = "ineffective"
        if lied is not None:
            why = f"{lied.target} said that {lied.operation} was done, and it is not there."
        elif undone is not None:
            why = f"{undone.operation} was taken back by somebody else."
        else:
            values = book.values(self.action) | {"now": self.around.now}
            verdict, why = judge(book.verify, values, saga.baseline, state)
        beside = changed_beside(book.verify, saga.baseline, state)
        if beside and self.around.others_acted(self._measured_of(book), saga.times["approved"]):
            beside = None
        self._judged(book, verdict, why, beside)

    def _judged(self, book: Playbook, verdict: Verdict, why: str, beside: frozenset[str] | None) -> None:
        """Draw the consequences of a verdict; `beside` is what changed that should not have."""
        saga = self.saga
        saga.verdict, saga.collateral, saga.reason = verdict, None if beside is None else bool(beside), why
        self._enter(verdict)
        if beside:
            names = ", ".join(sorted(beside))
            self._end("escalated", f"{why} Beside it changed what should not have: {names}.".strip())
        elif verdict == "verified":
            self._end("settled", why)
        elif verdict == "ineffective" and not self._inadmissible() and any(s.rung > saga.rung for s in book.steps):
            self._tell()
            saga.rung += 1
            self._turn_to("forward")
        elif verdict == "ineffective" and book.verify.otherwise == "compensate":
            self._tell()
            self._turn_back(why, "escalated")
        else:
            self._end("escalated", f"{why} {book.escalation} should look.")
