"""One shard of the remediation flow: moves the sagas of its actions, writes them down, then asks what they ask.

A turn takes all that has come in — answers, actions, waits that are over, wishes of people — moves the sagas
concerned, commits what became of them in one transaction, and only then hands the calls over. It never waits for a
target, and hands over no more than the target has places for. Actions on one entity take turns: while one changes it,
the others wait.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from operator import methodcaller
from queue import Empty, SimpleQueue

from config.actions import Action
from config.clock import MINUTE, SECOND
from config.effects import Reply, Result
from dataflows.remedy_breakers import Breakers
from dataflows.remedy_means import Means
from dataflows.remedy_metrics import ShardMetrics
from dataflows.remedy_queues import Turns
from dataflows.remedy_rows import opened, outcome_row, progress_of
from dataflows.remedy_running import Running, Turn
from operators.saga import SagaStep
from operators.saga_moves import Around
from sinks.ledger_rows import NewAction, Open

MOVES_MAX = 2_000
"""Sagas moved in one transaction: more would make those that wait for their commit wait for too long."""
HEED_MAX = 1_000
"""Wishes heeded in one transaction: it leaves room for other moves."""
HEAR_EVERY = SECOND
"""How often wishes and the breakers of other shards are looked for."""
UNANSWERED_MOST = 5 * MINUTE
"""So long after it expired a call is answered by whoever carries it out; after that it is taken for lost."""


class Shard:
    """The actions of one shard.

    Args:
        name: Its name.
        means: What it works with.
        now: When it is taken over, microseconds; None for the instant at which it was left, in a replay.

    Raises:
        StoreError: the ledger cannot be read or written.
    """

    def __init__(self, name: str, means: Means, now: int | None) -> None:
        self.name = name
        self._means = means
        self.writer = means.ledger.open_shard(name)
        self._breakers = Breakers(means.targets.by_name, self.writer.breakers())
        self._replies: SimpleQueue[Reply] = SimpleQueue()
        self._running: dict[str, Running] = {}
        self._waits: list[tuple[int, str]] = []
        """When to move which action, at the latest: a heap; entries that are overtaken stay and do no harm."""
        self._due: dict[str, int] = {}
        """The valid entry of each action in the heap."""
        self._turns = Turns(means.hands)
        self._metrics = ShardMetrics(name)
        now = self.writer.latest() if now is None else now
        self.began_at = self._hear_at = self._latest = now
        self._asked: dict[str, Running] = {}
        """Those whose call is under way."""
        self._restarted: deque[str] = deque()
        for row in self.writer.open_actions():
            running = self._load(row)
            if row.saga:
                self._restarted.append(row.action_id)
                if running.saga.queued:
                    running.saga.wake_at = now  # the queue it waited in is gone
            else:
                self._wake(running, means.begins(running.action, now))
        self._metrics.tell(self._breakers.states(), len(self._running))

    # -- what comes in ------------------------------------------------------------------------------------------------

    def take(self, new: Iterable[NewAction], now: int) -> None:
        """Begin with those of the shard's actions that were taken in since, unless the ledger told of them before."""
        mine = [one for one in new if one.shard == self.name and one.action_id not in self._running]
        for one in self.writer.unbegun(mine):
            running = self._load(Open(one.action_id, one.case_key, one.body, b""))
            self._wake(running, self._means.begins(running.action, now))

    def turn(self, now: int) -> int:
        """Do all that is due; return how many sagas were moved."""
        turn = Turn()
        if now < self._latest - SECOND:
            self._put_back(self._latest - now, now)
        self._latest = now
        self._hear(turn, now)
        for move in self._moves(now):
            move(turn)
            if len(turn.moved) >= MOVES_MAX:
                break
        self._commit(turn, now)
        return len(turn.moved)

    # -- what it is about ---------------------------------------------------------------------------------------------

    @property
    def next_at(self) -> int | None:
        """When something is due next, microseconds; None for nothing but answers."""
        while self._waits and self._due.get(self._waits[0][1]) != self._waits[0][0]:
            heapq.heappop(self._waits)
        return self._waits[0][0] if self._waits else None

    @property
    def waits_for_answers(self) -> bool:
        """Whether any call is under way, of this shard or of those who are before it at a full target."""
        return bool(self._asked) or self._turns.in_line > 0

    @property
    def has_open_acts(self) -> bool:
        """Whether a request may still take effect of which nothing is known."""
        return any(
            effect.do.is_open or effect.undo.is_open
            for running in self._running.values()
            for effect in running.saga.effects
        )

    @property
    def open(self) -> int:
        """How many actions have something left to do or to ask."""
        return len(self._running)

    @property
    def breakers(self) -> dict[str, str]:
        """The state of each breaker, by `target/operation`."""
        return self._breakers.states()

    # -- moving -------------------------------------------------------------------------------------------------------

    def _moves(self, now: int) -> Iterable[Callable[[Turn], None]]:
        """Yield what is to be moved: after a restart all; then answers, whose turn it is, and waits that are over."""
        while self._restarted:
            yield partial(self._move, self._restarted.popleft(), SagaStep.on_restart, now)
        while True:
            try:
                reply = self._replies.get_nowait()
            except Empty:
                break
            yield partial(self._on_reply, reply, now)
        for action_id in self._turns.freed():
            self._running[action_id].saga.wake_at = now
            yield partial(self._move, action_id, SagaStep.on_time, now)
        while (at := self.next_at) is not None and at <= now:
            _, action_id = heapq.heappop(self._waits)
            del self._due[action_id]
            yield partial(self._move, action_id, SagaStep.on_time, now)

    def _on_reply(self, reply: Reply, now: int, turn: Turn) -> None:
        running = self._running.get(reply.action_id)
        if running is None or running.call is None or running.call.turn != reply.turn:
            return
        call, running.call = running.call, None
        del self._asked[reply.action_id]
        for action_id in self._breakers.heard(call, reply, now):
            self._wake_now(action_id, now)
        self._move(reply.action_id, methodcaller("on_reply", reply), now, turn)

    def _move(self, action_id: str, how: Callable[[SagaStep], None], now: int, turn: Turn) -> None:
        running = self._running[action_id]
        self._breakers.leave(action_id)
        # Asked before the flags are: what is known of them only later does not count for what was known before.
        held = self._means.held(now)
        if how is SagaStep.on_time and held and self._may_wait(running, now):
            self._turns.leave(action_id)
            self._wake(running, now + HEAR_EVERY)
            return
        step = SagaStep(
            running.saga,
            running.action,
            self._means.playbooks.get(running.action.remedy),
            Around(
                now,
                self._means.targets.traits,
                partial(self._blocked_until, running.action, now, held),
                lambda action: self._means.unfit(action, now),
                lambda action: self._means.inadmissible(action, now),
                lambda entity, since: self._means.ledger.acted_on(entity, since, action_id),
                partial(self._turns.waits, running.action),
            ),
        )
        how(step)
        turn.moved[action_id] = running
        turn.outcomes += step.outcomes
        if step.call is not None:
            running.call = step.call
            self._asked[action_id] = running
            self._breakers.let_through(step.call, now)
            turn.calls.append(step.call)
        following = self._turns.moved(running.action, running.saga, step.call)
        if following is not None:
            self._wake_now(following, now)
        if running.saga.wake_at is not None:
            self._wake(running, running.saga.wake_at)
        else:
            self._breakers.leave(action_id)

    def _commit(self, turn: Turn, now: int) -> None:
        """Write down what became of sagas, then ask what they ask, then let go of those that are over."""
        changed = self._breakers.changed()
        if not turn.moved and not changed and not turn.heeded:
            return
        self.writer.commit(
            [progress_of(running.saga) for running in turn.moved.values()],
            [row for running in turn.moved.values() for row in running.effects()],
            [outcome_row(outcome, turn.moved[outcome.action_id].case_key) for outcome in turn.outcomes],
            changed,
            turn.heeded,
        )
        for call in turn.calls:
            self._means.hands.submit(call, self._replies.put)
        for outcome in turn.outcomes:
            self._means.told(outcome)
        for action_id, running in turn.moved.items():
            if not running.saga.is_open:
                del self._running[action_id]
                self._due.pop(action_id, None)
                self._turns.leave(action_id)
                self._breakers.leave(action_id)
        moved = ((running.action.remedy, running.saga) for running in turn.moved.values())
        self._metrics.committed(moved, self._breakers.states(), len(self._running))

    def _hear(self, turn: Turn, now: int) -> None:
        """Look for wishes, for what other shards know of targets, and for calls that nobody answers."""
        # What a wish asks for must not be taken for something asked before the restart.
        if now < self._hear_at or self._restarted:
            return
        wished, elsewhere = self.writer.hear(HEED_MAX)
        if len(wished) < HEED_MAX:
            self._hear_at = now + HEAR_EVERY
        self._breakers.hear(elsewhere)
        wishes = dict(wished)
        if ended := [action_id for action_id in wishes if action_id not in self._running]:
            for row in self.writer.actions(ended):
                self._load(row)
        for action_id, reason in wishes.items():
            turn.heeded.append(action_id)
            self._move(action_id, methodcaller("on_undo", reason), now, turn)
        for running in list(self._asked.values()):
            if (call := running.call) is not None and now > call.expires + UNANSWERED_MOST:
                result: Result = "unknown" if call.verb in ("do", "undo") else "unavailable"
                self._on_reply(Reply(call.action_id, call.turn, result, "nobody answered", failed=True), now, turn)

    # -- waiting ------------------------------------------------------------------------------------------------------

    def _load(self, row: Open) -> Running:
        action, saga = opened(row)
        running = self._running[row.action_id] = Running(action, saga, row.case_key)
        self._metrics.loaded(saga)
        self._turns.note(action, saga)
        return running

    def _wake(self, running: Running, at: int) -> None:
        """Move an action at an instant, and not at the one that was meant before."""
        action_id = running.action.action_id
        self._due[action_id] = at
        heapq.heappush(self._waits, (at, action_id))

    def _blocked_until(self, action: Action, now: int, held: bool, target: str, operation: str) -> int | None:
        asks = operation in ("query", "measure")
        if held and not asks and not self._running[action.action_id].saga.has_acted:
            return now + HEAR_EVERY
        return self._breakers.blocked_until(target, operation, now, action.action_id)

    def _may_wait(self, running: Running, now: int) -> bool:
        """Return whether nothing comes of moving an action while nothing may begin; else it were written each time."""
        saga, action = running.saga, running.action
        if saga.phase == "begin":
            return True
        over = now > action.valid_until or self._means.unfit(action, now) or self._means.inadmissible(action, now)
        return saga.has_to_begin and not over

    def _wake_now(self, action_id: str, now: int) -> None:
        running = self._running[action_id]
        running.saga.wake_at = now
        self._wake(running, now)

    def _put_back(self, span: int, now: int) -> None:
        """Wait for as long as was meant, now that the clock was put back by a span."""
        self._hear_at = now
        self._breakers.put_back(span)
        for action_id, at in list(self._due.items()):
            running = self._running[action_id]
            if running.saga.wake_at is not None:
                running.saga.wake_at -= span
            self._wake(running, at - span)
