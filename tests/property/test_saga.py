"""The saga as a state machine against a world in which requests are lost, late, refused and lied about, and the
process dies: in the end it knows exactly what is there.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from config.clock import SECOND
from config.effects import Call, Reply, Result, Traits, undo_key
from config.playbooks.model import Playbook
from operators.saga import SagaStep
from operators.saga_moves import Around
from operators.saga_state import ENDED, Saga, decode, encode
from tests.support.examples import examples
from tests.support.playbooks import AT, action, playbook, step

FOLDER = Path(tempfile.mkdtemp(prefix="forestall-saga-"))
CREDIT = {"target": "billing", "operation": "credit", "inverse": {"operation": "reverse_credit", "within": "24h"}}
BOOKS = [
    playbook(FOLDER, name="one"),
    playbook(FOLDER, step(), step("credit", **CREDIT), step("ticket", rung=2), name="three"),
    playbook(FOLDER, step(), step("refund", inverse=None, irreversible="it is gone"), step("last"), name="firm"),
]


@dataclass
class World:
    """What is really there, by key; and what is still under way."""

    there: dict[str, bool]
    """True: there; False: undone."""
    under_way: list[Call]

    def obey(self, call: Call) -> bool:
        """Bring the call's effect about; return whether the target could."""
        if call.verb == "undo" and self.there.get(call.key) is None:
            assert self.there.get(call.undoes) is True, "taken back what is not there"
            self.there[call.undoes] = False
        self.there.setdefault(call.key, True)
        return True


class SagaMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = AT
        self.world = World({}, [])
        self.call: Call | None = None
        self.blocked: int | None = None
        self.full = False
        self.tries: Counter[str] = Counter()
        """Requests that may have left, by key."""
        self.seqs: list[int] = []

    @initialize(
        book=st.sampled_from(BOOKS),
        keyed=st.booleans(),
        valid=st.sampled_from([1, 10, 4 * 3600]),
        before=st.sampled_from([1, 1, None]),
    )
    def begin(self, book: Playbook, keyed: bool, valid: int, before: int | None) -> None:
        self.book, self.traits, self.before = book, Traits(keyed=keyed, settle=5 * SECOND), before
        self.action = action(remedy=book.name, valid_until=AT + valid * SECOND)
        self.saga = Saga(self.action.action_id)
        self.moved(lambda saga: saga.on_time())

    def around(self) -> Around:
        return Around(
            self.now,
            lambda target: self.traits,
            lambda target, operation: self.blocked,
            queues=lambda target, operation: self.full,
        )

    def moved(self, move: Any) -> None:
        """Move the saga; what it says next is as if it were read from where it was written."""
        made = SagaStep(self.saga, self.action, self.book, self.around())
        move(made)
        self.saga = decode(encode(made.saga))
        if made.call is not None:
            assert self.call is None, "two calls at a time"
            self.sent(made.call)
        self.seqs += [outcome.seq for outcome in made.outcomes]
        if self.call is None and self.saga.is_open:
            assert self.saga.wake_at is not None, "it waits for nothing"

    def sent(self, call: Call) -> None:
        self.call = call
        assert self.blocked is None
        assert not self.full
        if call.verb == "do":
            assert self.now <= self.action.valid_until
            assert call.expires >= self.now
            # Never again without having asked what became of it, and never again without a key.
            if any(other.key == call.key and self.may_land(other) for other in self.world.under_way):
                assert self.traits.keyed
        if call.verb == "undo":
            assert self.saga.phase == "backward"
            later = self.saga.effects[self.saga.about + 1 :]
            assert all(not effect.stands or effect.undo.status in ("refused", "impossible") for effect in later)

    def answer(self, result: Result, **more: Any) -> None:
        call, self.call = self.call, None
        assert call is not None
        self.moved(lambda saga: saga.on_reply(Reply(call.action_id, call.turn, result, **more)))

    @precondition(lambda self: self.call is not None and self.call.verb in ("do", "undo"))
    @rule(
        how=st.sampled_from(
            ["well", "lost reply", "under way", "lost", "refused", "not sent", "lie", "refused late", "never left"]
        )
    )
    def answer_request(self, how: str) -> None:
        call = self.call
        assert call is not None
        self.tries[call.key] += how != "never left"
        match how:
            case "well":
                self.world.obey(call)
                self.answer("done")
            case "lost reply":
                self.world.obey(call)
                self.answer("unknown", failed=True)
            case "under way":
                self.world.under_way.append(call)
                self.answer("unknown", failed=True)
            case "lost":
                self.answer("unknown", failed=True)
            case "refused" | "refused late":
                self.answer("refused", detail="no")
            case "not sent":
                self.answer("not-sent")
            case "never left":
                self.answer("expired")
            case "lie":
                self.answer("done")

    def may_land(self, call: Call) -> bool:
        """Whether a request may still take effect: a target obeys until it expires, and takes `settle` to do so."""
        return self.now <= call.expires + self.traits.settle

    @precondition(lambda self: self.world.under_way)
    @rule(data=st.data())
    def land(self, data: st.DataObject) -> None:
        call = self.world.under_way.pop(data.draw(st.integers(0, len(self.world.under_way) - 1)))
        if self.may_land(call):
            self.world.obey(call)

    def truth(self, call: Call) -> Result:
        there = self.world.there.get(call.key)
        return "absent" if there is None else "done" if there else "undone"

    @precondition(lambda self: self.call is not None and self.call.verb == "query")
    @rule(how=st.sampled_from(["honest", "honest", "unavailable", "pending", "expired"]))
    def answer_query(self, how: str) -> None:
        assert self.call is not None
        if how == "honest":
            self.answer(self.truth(self.call))
        else:
            self.answer(how)  # type: ignore[arg-type]

    @precondition(lambda self: self.call is not None and self.call.verb == "measure")
    @rule(how=st.sampled_from(["helped", "helped", "useless", "spilled", "unavailable", "odd", "expired"]))
    def answer_measure(self, how: str) -> None:
        trouble: Any = 0 if how in ("helped", "spilled") else "much" if how == "odd" else 1
        if self.saga.phase == "begin":
            trouble = self.before
        if how in ("unavailable", "expired"):
            self.answer(how, failed=how == "unavailable")  # type: ignore[arg-type]
        else:
            self.answer("measured", state={"trouble": trouble, "credits": int(how == "spilled")})

    @rule(seconds=st.sampled_from([0, 1, 7, 61, 3600]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND
        if self.call is None:
            self.moved(lambda saga: saga.on_time())

    @precondition(lambda self: self.call is None and self.saga.wake_at is not None)
    @rule()
    def wake(self) -> None:
        assert self.saga.wake_at is not None
        self.now = max(self.now, self.saga.wake_at)
        self.moved(lambda saga: saga.on_time())

    @precondition(lambda self: self.call is None)
    @rule(seconds=st.sampled_from([0, 30, 600]))
    def target_is_blocked(self, seconds: int) -> None:
        self.blocked = self.now + seconds * SECOND if seconds else None

    @precondition(lambda self: self.call is None)
    @rule()
    def target_is_full(self) -> None:
        self.full = True

    @precondition(lambda self: self.call is None and self.full)
    @rule()
    def it_is_its_turn(self) -> None:
        self.full = False
        if self.saga.queued:
            self.saga.wake_at = self.now
            self.moved(lambda saga: saga.on_time())

    @rule()
    def crash(self) -> None:
        if self.call is not None:
            self.tries[self.call.key] += 1
        if self.call is not None and self.call.verb in ("do", "undo"):
            self.world.under_way.append(self.call)  # sent or not: nobody knows
        self.call, self.blocked, self.full = None, None, False
        self.moved(lambda saga: saga.on_restart())

    @precondition(lambda self: self.saga.phase != "begin")
    @rule()
    def person_wants_it_undone(self) -> None:
        if self.call is None:
            self.blocked = None
        self.moved(lambda saga: saga.on_undo("rolled back"))

    @precondition(lambda self: self.call is not None and self.saga.turn > 2)
    @rule()
    def late_answer(self) -> None:
        self.moved(lambda saga: saga.on_reply(Reply("a1", self.saga.turn - 1, "done")))

    @invariant()
    def outcomes_are_contiguous(self) -> None:
        assert self.seqs == list(range(1, len(self.seqs) + 1))

    @invariant()
    def what_never_left_is_not_counted(self) -> None:
        for effect in getattr(self, "saga", Saga("")).effects:
            under_way = self.call is not None and self.saga.effects[self.saga.about] is effect
            keys = effect.key, undo_key("a1", effect.step)
            for act, key in zip((effect.do, effect.undo), keys, strict=True):
                late = act is effect.undo  # beyond the deadline of the inverse each time counts
                assert late or act.attempts <= self.tries[key] + under_way

    def teardown(self) -> None:
        if not hasattr(self, "saga"):
            return
        self.blocked, self.full = None, False
        for _ in range(300):
            if self.call is not None:
                self.tries[self.call.key] += 1
                if self.call.verb in ("do", "undo"):
                    self.world.obey(self.call)
                    self.answer("done")
                elif self.call.verb == "query":
                    self.answer(self.truth(self.call))
                else:
                    self.answer("measured", state={"trouble": 0, "credits": 0})
            elif self.saga.is_open:
                assert self.saga.wake_at is not None
                self.now = max(self.now, self.saga.wake_at)
                for call in filter(self.may_land, self.world.under_way):
                    self.world.obey(call)
                self.world.under_way.clear()
                self.moved(lambda saga: saga.on_time())
            else:
                break
        else:
            raise AssertionError(f"it never ends: {self.saga}")
        for call in filter(self.may_land, self.world.under_way):
            self.world.obey(call)
        self.check_the_end()

    def check_the_end(self) -> None:
        saga, there = self.saga, self.world.there
        assert saga.state in ENDED
        known = {effect.key for effect in saga.effects}
        for effect in saga.effects:
            really = {None: ("absent", "refused", ""), True: ("done",), False: ("undone",)}[there.get(effect.key)]
            assert effect.status in really, (effect, there)
        undone = {effect.key for effect in saga.effects if effect.status == "undone"}
        assert {key for key, is_there in there.items() if not is_there} == undone
        effects = {key for key in there if key in known}
        assert len(there) == len(effects) + len(undone), "effects that nobody wrote down"
        stands = [effect for effect in saga.effects if effect.stands]
        match saga.state:
            case "settled":
                assert saga.verdict == "verified"
                assert {e.step for e in stands} >= {s.id for s in self.book.steps if s.rung == saga.rung}
            case "compensated":
                assert not stands
                assert undone
            case "refused":
                assert not stands


TestSaga = SagaMachine.TestCase
TestSaga.settings = examples(200)
