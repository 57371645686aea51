"""The circuit breaker as a state machine, against a plain account of what happened."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from config.clock import SECOND
from config.targets import BreakerSettings
from operators.breaker import Breaker
from tests.support.examples import examples

SETTINGS = BreakerSettings(
    failures_max=3,
    window=60 * SECOND,
    open_first=10 * SECOND,
    open_most=40 * SECOND,
    probes=2,
    probe_timeout=30 * SECOND,
)


class BreakerMachine(RuleBasedStateMachine):
    """Calls go out and come back, in any order, time passes, the process dies."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker("crm/send_message")
        self.now = 0
        self.under_way: list[int] = []
        """When what is under way was let through."""
        self.failed_at: list[int] = []
        """Since it was last closed or did well."""

    @rule(seconds=st.integers(0, 50))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule()
    def ask(self) -> None:
        before = msgspec.msgpack.encode(self.breaker)
        blocked = self.breaker.blocked_until(self.now, SETTINGS)
        assert msgspec.msgpack.encode(self.breaker) == before
        if blocked is not None:
            assert blocked > self.now
            return
        self.breaker.let_through(self.now, SETTINGS)
        self.under_way.append(self.now)
        if before != msgspec.msgpack.encode(self.breaker):
            assert self.breaker.state == "half-open"

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), well=st.booleans())
    def hear(self, data: st.DataObject, well: bool) -> None:
        self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        state, openings, until = self.breaker.state, self.breaker.openings, self.breaker.until
        if well:
            self.breaker.succeeded(self.now, SETTINGS)
            if self.breaker.state == "closed":
                self.failed_at = []
            if state == "open":
                assert (self.breaker.state, self.breaker.until) == (state, until)
            return
        self.breaker.failed(self.now, SETTINGS)
        if state == "closed":
            self.failed_at = [*(at for at in self.failed_at if at > self.now - SETTINGS.window), self.now]
            assert (self.breaker.state == "open") == (len(self.failed_at) >= SETTINGS.failures_max)
        if state == "half-open":
            assert self.breaker.state == "open"
        if self.breaker.state == "open" and state != "open":
            assert self.breaker.openings == openings + 1
            span = min(SETTINGS.open_first * 2**openings, SETTINGS.open_most)
            assert 0.8 * span <= self.breaker.until - self.now <= 1.2 * span
            self.failed_at = []

    @rule()
    def die_and_recover(self) -> None:
        self.breaker = msgspec.msgpack.decode(msgspec.msgpack.encode(self.breaker), type=Breaker)
        self.breaker.recover()
        self.under_way = []

    @invariant()
    def is_blocked_only_for_a_while(self) -> None:
        blocked = self.breaker.blocked_until(self.now, SETTINGS)
        if blocked is not None:
            assert blocked - self.now <= max(1.2 * SETTINGS.open_most, SETTINGS.probe_timeout)
            assert self.breaker.blocked_until(blocked, SETTINGS) is None

    @invariant()
    def closed_blocks_nothing(self) -> None:
        if self.breaker.state == "closed":
            assert self.breaker.blocked_until(self.now, SETTINGS) is None
            assert len(self.breaker.failures) < SETTINGS.failures_max
        assert len(self.breaker.probes) <= SETTINGS.probes


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = examples(100)


def opened() -> Breaker:
    breaker = Breaker("crm/send_message")
    for _ in range(SETTINGS.failures_max):
        assert breaker.blocked_until(0, SETTINGS) is None
        breaker.let_through(0, SETTINGS)
        breaker.failed(0, SETTINGS)
    return breaker


def test_a_target_that_is_back_is_noticed_by_probes() -> None:
    breaker = opened()
    assert breaker.blocked_until(SECOND, SETTINGS) == breaker.until
    now = breaker.until
    for _ in range(SETTINGS.probes):
        assert breaker.blocked_until(now, SETTINGS) is None
        breaker.let_through(now, SETTINGS)
    assert breaker.blocked_until(now, SETTINGS) == now + SETTINGS.probe_timeout
    states = []
    for _ in range(SETTINGS.probes):
        states.append(str(breaker.state))
        breaker.succeeded(now + SECOND, SETTINGS)
    assert [*states, breaker.state] == ["half-open", "half-open", "closed"]
    assert breaker.openings == 0


def test_failures_far_apart_do_not_open_it() -> None:
    breaker = Breaker("a")
    for number in range(20):
        breaker.failed(number * SETTINGS.window // 2, SETTINGS)
    assert breaker.state == "closed"


def test_probes_that_are_lost_do_not_block_for_ever() -> None:
    breaker = opened()
    now = breaker.until
    for _ in range(SETTINGS.probes):
        breaker.let_through(now, SETTINGS)
    assert breaker.blocked_until(now + SETTINGS.probe_timeout, SETTINGS) is None
    breaker.recover()
    assert breaker.blocked_until(now, SETTINGS) is None


def test_jitter_differs_between_breakers_and_is_the_same_again() -> None:
    one, again = opened(), opened()
    other = Breaker("crm/open_ticket")
    for _ in range(SETTINGS.failures_max):
        other.failed(0, SETTINGS)
    assert one.until == again.until != other.until
