"""Flags and actions that were decided before: what is not begun, what is finished, what is not known."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import pytest

from config.clock import HOUR, MINUTE, SECOND
from config.events import Event
from config.policies.bundle import Remedy
from config.policies.load import DEFAULT_FOLDER, load_bundle
from dataflows import remedy_flags
from dataflows.remedy_flags import FLAGS, HEARD, Book, LedgerFlags, Restraint, StoreFlags, remedies_of
from operators.flags import FLAG, FLAGS_MAX, Limit, Standing, noted
from sinks.ledger import Ledger
from sinks.store import Store
from tests.support.playbooks import AT, action, playbook, step
from tests.support.shards import HELPED, Stage
from tests.support.stores import filled

TELL = Remedy("tell", "crm", timedelta(hours=1), contacts_customer=True, moves_money=False, reversible=True)
PAY = Remedy("pay", "billing", timedelta(hours=1), contacts_customer=False, moves_money=True, reversible=False)


def flag(mode: str, scope: str = "*", at: int = AT, until: int | None = None) -> Event:
    data = {"scope": scope, "mode": mode, "until": until, "set_by": "on-call", "reason": "drill"}
    return Event(at, f"ops|{mode}-{scope}-{at}", "\0", FLAG, data)


class Flags:
    """Flags that a test sets."""

    def __init__(self) -> None:
        self.standing, self.stale = Standing(), False

    def limits(self, now: int) -> Mapping[str, Limit]:
        return self.standing.advance(now)

    def held(self, now: int) -> bool:
        return self.stale


@pytest.fixture
def flags() -> Flags:
    return Flags()


@pytest.fixture
def stage(tmp_path: Path, flags: Flags) -> Iterator[Stage]:
    books = {"tell": playbook(tmp_path, step("message"), step("note", operation="add_note"))}
    means: dict[str, Any] = {"inadmissible": Restraint(flags.limits, {"tell": TELL}), "held": flags.held}
    made = Stage(tmp_path, books, **means)
    yield made
    made.ledger.close()


def reason(stage: Stage, action_id: str = "a1") -> str:
    return next(outcome.reason for outcome in reversed(stage.told) if outcome.action_id == action_id)


def test_what_was_decided_before_a_flag_is_not_begun(stage: Stage, flags: Flags) -> None:
    flags.standing.take(flag("observe-only"), AT)
    stage.take(action())
    stage.turn()
    assert (stage.states(), stage.hands.asked) == ({"a1": "refused"}, [])
    words = "The flag observe-only for everything was set by on-call, who can take it back with mode normal."
    assert reason(stage) == words
    flags.standing.take(flag("normal", at=AT + 1), AT + 1)
    stage.take(action("a2", entity="order:2"))
    stage.turn(1)
    assert stage.hands.asked == ["a2 measure measure"]


def test_a_flag_that_comes_while_it_waits_keeps_it_from_beginning(stage: Stage, flags: Flags) -> None:
    stage.take(action())
    stage.turn()
    flags.standing.take(flag("observe-only", "agent:fulfilment"), AT)
    stage.begins("a1")
    assert (stage.states(), stage.hands.asked) == ({"a1": "refused"}, [])
    assert "for agent fulfilment" in reason(stage)


def test_what_has_begun_is_taken_back_where_more_was_to_be_done(stage: Stage, flags: Flags) -> None:
    stage.take(action())
    stage.turn()
    stage.begins("a1")
    flags.standing.take(flag("observe-only", "remedy:tell"), AT)
    stage.answers("a1", "done")
    stage.answers("a1", "done")
    assert stage.hands.asked == ["a1 undo withdraw_message"]
    stage.answers("a1", "done")
    stage.answers("a1", "undone")
    assert (stage.states(), stage.effects()) == ({"a1": "compensated"}, {"a1": ["undone"]})


def test_what_is_done_is_looked_at_under_a_flag_too(stage: Stage, flags: Flags) -> None:
    stage.take(action())
    stage.turn()
    stage.begins("a1")
    stage.answers("a1", "done")
    stage.answers("a1", "done")
    flags.standing.take(flag("observe-only"), AT)
    stage.turn(30 * 60)
    for _ in range(2):
        stage.answers("a1", "done")
    stage.answers("a1", "measured", state=HELPED)
    assert stage.states() == {"a1": "settled"}


def test_while_nobody_knows_of_flags_nothing_is_begun_and_what_has_begun_goes_on(stage: Stage, flags: Flags) -> None:
    stage.take(action())
    stage.turn()
    stage.begins("a1")
    stage.take(action("a2", entity="order:2"))
    stage.turn()
    flags.stale = True
    stage.begins("a2")
    stage.take(action("a3", entity="order:3"))
    stage.turn(10)
    assert stage.hands.asked == ["a1 do send_message"]
    stage.answers("a1", "done")
    stage.turn(10)
    assert stage.hands.asked == ["a1 do add_note"]
    assert stage.states() == {"a1": "dispatched", "a2": "approved", "a3": "intended"}
    flags.stale = False
    stage.turn(2)
    assert stage.hands.asked == ["a1 do add_note", "a2 do send_message", "a3 measure measure"]


def test_what_was_held_for_too_long_is_not_begun_any_more(stage: Stage, flags: Flags) -> None:
    stage.take(action(valid_until=AT + HOUR))
    stage.turn()
    flags.stale = True
    stage.begins("a1")
    stage.turn(3601)
    assert (stage.states(), stage.hands.asked) == ({"a1": "refused"}, [])


def test_modes_leave_what_they_say() -> None:
    def said(mode: str, remedy: str) -> str:
        standing = Standing()
        standing.take(flag(mode), AT)
        return Restraint(standing.advance, {"tell": TELL, "pay": PAY})(action(remedy=remedy), AT)

    assert [bool(said("reversible-only", name)) for name in ("tell", "pay", "unknown")] == [False, True, True]
    assert [bool(said("notify-only", name)) for name in ("tell", "pay", "unknown")] == [False, True, True]
    assert [bool(said("observe-only", name)) for name in ("tell", "pay", "unknown")] == [True, True, True]


def test_a_remedy_is_what_the_worst_of_policy_and_playbook_says(tmp_path: Path) -> None:
    bundle = load_bundle(DEFAULT_FOLDER)
    one_way = step("message", inverse=None, irreversible="what is said is said")
    name = next(name for name, one in bundle.remedies.items() if one.reversible and one.contacts_customer)
    books = {name: playbook(tmp_path, one_way, name=name)}
    found = remedies_of([bundle], books)[name]
    assert (found.reversible, found.contacts_customer) == (False, True)
    assert remedies_of([bundle], {name: playbook(tmp_path, name=name)})[name].reversible


@pytest.mark.parametrize("trait", ["contacts_customer", "moves_money", "reversible"])
def test_of_a_remedy_the_worst_is_assumed_that_any_version_says(tmp_path: Path, trait: str) -> None:
    bundle = load_bundle(DEFAULT_FOLDER)
    books, worst = {"tell": playbook(tmp_path)}, trait == "moves_money"
    said: list[dict[str, Any]] = [{trait: True}, {trait: False}]
    versions = [replace(bundle, remedies={"tell": replace(TELL, **traits)}) for traits in said]
    for order in (versions, versions[::-1]):
        assert getattr(remedies_of(order, books)["tell"], trait) == worst


def test_a_flag_takes_effect_when_it_is_heard_or_at_its_time() -> None:
    standing = Standing()
    standing.take(flag("observe-only", at=AT), AT + MINUTE)
    standing.take(flag("normal", at=AT - HOUR), AT + 2 * MINUTE)
    assert standing.advance(AT + 2 * MINUTE) == {}
    standing.take(flag("observe-only", at=AT + HOUR), AT)
    assert standing.advance(AT + HOUR - 1) == {}
    assert standing.advance(AT + HOUR)["*"].since == AT + HOUR


def test_too_many_flags_to_come_are_none_forgotten() -> None:
    standing = Standing()
    for number in range(FLAGS_MAX + 1):
        standing.take(flag("observe-only", f"remedy:r{number}", at=AT + HOUR + number), AT)
    assert list(standing.advance(AT)) == ["remedy:r0"]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path}/flags.db", create=True) as made:
        yield made


def test_flags_of_the_ledger_are_stale_after_a_while(ledger: Ledger) -> None:
    clock = [0.0]
    known = LedgerFlags(ledger, timedelta(seconds=30), lambda: clock[0])
    assert (known.limits(AT), known.held(AT)) == ({}, True)
    standing = Standing()
    standing.take(flag("observe-only"), AT)
    ledger.change_fact(FLAGS, None, msgspec.json.encode(Book(standing, {"flags/0": 1})).decode())
    ledger.change_fact(HEARD, None, str(AT))
    assert known.limits(AT) == {}
    clock[0] += 1
    assert (known.limits(AT)["*"].mode, known.held(AT), known.held(AT + 30 * SECOND)) == ("observe-only", False, False)
    assert known.held(AT + 30 * SECOND + 1)
    # Of a clock that was put back since, nobody knows how long ago that was.
    assert known.held(AT - 30 * SECOND - 1)


def test_a_trial_heeds_the_flags_of_its_store_from_their_time_on(tmp_path: Path) -> None:
    given = [noted(flag("observe-only", at=AT)), noted(flag("normal", at=AT + HOUR))]
    with Store.open(filled(f"sqlite:///{tmp_path}/store.db", given=given)) as store:
        known = StoreFlags(store)
        assert [list(known.limits(at)) for at in (AT - 1, AT, AT + HOUR, AT + 1)] == [[], ["*"], [], ["*"]]


def test_flags_that_were_heard_last_are_not_believed_to_be_all_before_they_are_seen() -> None:
    """While brokers were away somebody set a flag: it is written down, then that nothing follows it."""
    standing = Standing()
    standing.take(flag("observe-only"), AT)
    later = msgspec.json.encode(Book(standing, {})).decode()

    class Changing:
        """A ledger that is written to between any two looks at it."""

        def __init__(self) -> None:
            self.facts = {HEARD: str(AT - HOUR)}

        def fact(self, key: str) -> str | None:
            found = self.facts.get(key)
            self.facts |= {FLAGS: later, HEARD: str(AT)}
            return found

    flags = LedgerFlags(Changing(), timedelta(minutes=1), lambda: 0.0)  # type: ignore[arg-type]
    assert flags.held(AT) or flags.limits(AT)


def test_a_flag_that_becomes_known_between_two_looks_is_not_missed(tmp_path: Path) -> None:
    """It was unknown whether one was set; while an action is looked at it becomes known, and that it is the last."""
    looks = 0

    def inadmissible(_: Any, now: int) -> str:
        nonlocal looks
        looks += 1
        return "there is a flag" if looks > 3 else ""

    stage = Stage(tmp_path, {"tell": playbook(tmp_path)}, inadmissible=inadmissible, held=lambda now: 0 < looks < 3)
    stage.take(action("a1"))
    stage.turn()
    assert stage.hands.asked == ["a1 measure measure"]
    stage.begins("a1")
    assert stage.hands.asked == []
    stage.turn(2)
    assert stage.states() == {"a1": "refused"}
    stage.ledger.close()


def test_threads_that_look_for_noted_flags_at_once_do_not_miss_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one has counted the flags that stand, another one finds that there are more, an older one among them."""
    halt, gone = flag("observe-only", at=AT), flag("normal", "agent:billing", at=AT - HOUR)
    there, others = [halt], list[Thread]()
    monkeypatch.setattr(remedy_flags, "noted_flags", lambda store: list(there))
    flags = StoreFlags(None, 0.0)  # type: ignore[arg-type]

    def counted(events: list[Event], now: int, key: Any) -> int:
        found = bisect_right(events, now, key=key)
        if not others:
            there.insert(0, gone)
            others.append(Thread(target=flags.limits, args=(AT,)))
            others[0].start()
            others[0].join(0.5)  # where it is kept from it, it looks later
        return found

    monkeypatch.setattr(remedy_flags, "bisect_right", counted)
    assert list(flags.limits(AT)) == ["*"]
    others[0].join()
