"""What every move of a saga needs: the world around it, waiting, blocking, asking what became of an effect, ending."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from config.actions import Action
from config.clock import DAY, MINUTE, to_text
from config.effects import Call, Reply, Traits
from config.errors import ExpressionError
from config.expressions import Bound
from config.playbooks.model import Playbook, Step
from operators.saga_calls import ASK_AGAIN, backoff, query_call
from operators.saga_state import Effect, Outcome, Phase, Saga, State, outcome_of

BASELINE_PATIENCE = MINUTE
"""An action does not wait longer than that for a look at how things are before it."""
QUERY_FOR = DAY
"""So long it is tried to learn what became of an effect before a person is asked; it is asked on after that."""
QUEUED_MOST = 10 * MINUTE
"""Who waits for his turn looks after so long whether he still has to: it may be held, or worth nothing, by then."""


@dataclass(frozen=True, slots=True)
class Around:
    """What a saga has to know of the world when it moves."""

    now: int
    """Microseconds."""
    traits: Callable[[str], Traits]
    """What a target can be relied on for."""
    blocked_until: Callable[[str, str], int | None]
    """Until when (target, operation) takes nothing: its breaker is open."""
    unfit: Callable[[Action], str] = lambda action: ""
    """Why an action is not begun now; "" where it may be."""
    inadmissible: Callable[[Action], str] = lambda action: ""
    """Why an action may not change anything now; "" where it may."""
    others_acted: Callable[[str, int], bool] = lambda entity, since: False
    """Whether other actions have changed anything of an entity since an instant."""
    queues: Callable[[str, str], bool] = lambda target, operation: False
    """Whether (target, operation) has to be waited for in a queue: others change the entity, or the target is full.
    Where it has not, there is a place for what is asked next."""


@dataclass(slots=True)
class SagaMoves:
    """What moving a saga by one event needs. Changes `saga` in place.

    Args:
        saga: Its state.
        action: What was decided.
        playbook: What to do; None where there is none any more.
        around: The world.
    """

    saga: Saga
    action: Action
    playbook: Playbook | None
    around: Around
    call: Call | None = None
    """What to ask next, once the state is written down."""
    outcomes: list[Outcome] = field(default_factory=list)
    """What to tell others."""
    _values: Bound | None = None

    def _resolve(self, effect: Effect, *, back: bool) -> None:
        """Find out what became of something that was sent."""
        if not self.around.traits(effect.target).queryable:
            self._end("escalated", f"Nobody can tell whether {effect.target} has done {effect.operation}.")
        elif not self._blocked(effect.target, "query"):
            self._ask_about(effect, back=back)

    def _ask_about(self, effect: Effect, *, back: bool) -> None:
        self.call = query_call(self.saga, effect, self.around.now, back=back)

    def _ask_later(self, reply: Reply) -> None:
        saga, now = self.saga, self.around.now
        if reply.result == "expired" and saga.phase == "begin":
            saga.since = now  # nobody was asked: patience is with the target
        else:
            saga.tries += 1
        if saga.phase in ("forward", "backward") and now > saga.since + QUERY_FOR:
            effect = saga.effects[saga.about]
            self._end("escalated", f"{effect.target} does not tell what became of {effect.operation}.")
        self._wait(max(backoff(saga, ASK_AGAIN, saga.tries), min(reply.retry_after, ASK_AGAIN.most)))
        if saga.phase == "begin":
            self._not_beyond(saga.since + BASELINE_PATIENCE + 1)

    def _bound(self, book: Playbook) -> Bound:
        """Return what expressions may use.

        Raises:
            ExpressionError: the action does not fit the playbook.
        """
        if self._values is None:
            self._values = Bound(book.values(self.action) | {"now": self.around.now})
        return self._values

    def _inadmissible(self) -> str:
        action = self.action
        if self.around.now > action.valid_until:
            until, remedy = to_text(action.valid_until), action.remedy
            return (
                f"It was worth doing until {until} only; for how long, the owner of {remedy} in the policy may change."
            )
        return self.around.inadmissible(action)

    def _overdue(self) -> str:
        """Return why an action that has done nothing yet is not begun any more, "" where it may be."""
        return "" if self.saga.has_acted else self.around.unfit(self.action)

    def _unmet(self, book: Playbook, step: Step) -> str:
        """Return why a step may not be taken, "" where it may."""
        try:
            if step.precondition.holds(self._bound(book)):
                return ""
            why = f"{step.precondition.source!r} does not hold"
        except ExpressionError as error:
            why = error.message
        return f"Step {step.id} is not taken: {why}; {book.owner} may change the playbook."

    def _blocked(self, target: str, operation: str, no_later: int | None = None) -> bool:
        """Wait where a target takes nothing now, but not beyond an instant to come; return whether it is so."""
        saga, until, now = self.saga, self.around.blocked_until(target, operation), self.around.now
        if until is None:
            if not self.around.queues(target, operation):
                return False
            saga.queued, until, no_later = True, now + QUEUED_MOST, self.action.valid_until + 1
        saga.wake_at = max(until, now + 1)
        if no_later is not None:
            self._not_beyond(no_later)
        return True

    def _wait(self, span: int) -> None:
        self.saga.wake_at = self.around.now + span

    def _not_beyond(self, instant: int) -> None:
        """Wait no longer than until an instant, if that is to come."""
        saga = self.saga
        if saga.wake_at is not None and instant > self.around.now:
            saga.wake_at = min(saga.wake_at, instant)

    def _turn_back(self, reason: str, failure: State) -> None:
        """Take back whatever was done, for `reason`; end as `failure` where nothing is taken back."""
        self.saga.reason, self.saga.failure = reason, failure
        self._turn_to("backward")

    def _turn_to(self, phase: Phase) -> None:
        """Begin another phase; what targets said of effects before counts no more."""
        saga = self.saga
        saga.phase, saga.since, saga.tries = phase, self.around.now, 0
        for effect in saga.effects:
            effect.seen = ""

    def _enter(self, state: State) -> None:
        self.saga.state = state
        self.saga.times.setdefault(state, self.around.now)

    def _end(self, state: State, reason: str) -> None:
        saga = self.saga
        saga.phase, saga.reason, saga.wake_at, saga.tries = "over", reason, None, 0
        for effect in saga.effects:
            if not self.around.traits(effect.target).queryable:
                effect.seen = "untold"
        self._enter(state)
        self._tell()
        if saga.is_open:
            self._wait(backoff(saga, ASK_AGAIN, 1))

    def _tell(self) -> None:
        self.saga.seq += 1
        self.outcomes.append(outcome_of(self.saga, self.action, self.around.now))
