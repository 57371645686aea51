"""The outbox under every crash a seed can think of, and controls that show the test would notice."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import FencedError, SequenceError
from sinks.audit import verify_chain
from sinks.outbox import Outbox
from sinks.store import Store
from tests.support.engine_model import (
    PARTITIONS,
    Crash,
    Engine,
    Execution,
    Faults,
    effects,
    emptied,
    expected,
    memory_store,
)

LENGTHS = dict(zip(PARTITIONS, (29, 17, 23), strict=True))
LIVES_MAX = 12


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with memory_store() as made:
        yield made


def crash_through(
    store: Store, seed: int, *, crash_rate: float, purge: bool = True, outbox_type: type[Outbox] = Outbox
) -> int:
    """Run the job through up to `LIVES_MAX` deaths, then to its end; return the number of deaths."""
    engine, faults, deaths = Engine(), Faults(seed, crash_rate), 0
    for number in range(LIVES_MAX + 1):
        if number == LIVES_MAX:
            faults.crash_rate = 0.0
        if purge:
            engine.purge()
        try:
            Execution(number, engine, emptied(store) if number == 0 else store, faults, LENGTHS, outbox_type).run()
        except Crash:
            deaths += 1
        else:
            break
    return deaths


def is_exact(store: Store) -> bool:
    return effects(store) == expected(LENGTHS)


@pytest.mark.slow
@given(seed=st.integers(0, 2**32), crash_rate=st.sampled_from([0.0, 0.02, 0.05, 0.1, 0.2]))
def test_every_effect_exists_once_wherever_the_job_dies(store: Store, seed: int, crash_rate: float) -> None:
    crash_through(store, seed, crash_rate=crash_rate)
    assert is_exact(store)
    assert sum(verify_chain(store).values()) == expected(LENGTHS).total()


def test_the_seeds_do_kill_the_job(store: Store) -> None:
    assert sum(crash_through(store, seed, crash_rate=0.05) for seed in range(20)) > 40


class HastyOutbox(Outbox):
    """Releases when the snapshot is taken, not when it is durable."""

    def snapshot(self) -> tuple[bytes, Callable[[], None]]:
        state, durable = super().snapshot()
        durable()
        return state, lambda: None


def test_control_release_at_the_snapshot_is_noticed(store: Store) -> None:
    assert any(not survives(store, seed, outbox_type=HastyOutbox) for seed in range(40))


def test_control_without_purge_is_noticed(store: Store) -> None:
    assert any(not survives(store, seed, purge=False) for seed in range(60))


class ForgetfulOutbox(Outbox):
    """Leaves out of the snapshot what waits to be released."""

    def snapshot(self) -> tuple[bytes, Callable[[], None]]:
        held, self._entries = self._entries, []
        self._encoded = None
        base = self._base_seq, self._base_head
        if held:
            self._base_seq, self._base_head = held[-1].seq, held[-1].chain
        state, _ = super().snapshot()
        self._entries, (self._base_seq, self._base_head), self._encoded = held, base, None
        return state, super().snapshot()[1]


def test_control_snapshot_without_the_waiting_entries_is_noticed(store: Store) -> None:
    assert any(not survives(store, seed, outbox_type=ForgetfulOutbox) for seed in range(40))


def survives(store: Store, seed: int, *, purge: bool = True, outbox_type: type[Outbox] = Outbox) -> bool:
    try:
        crash_through(store, seed, crash_rate=0.08, purge=purge, outbox_type=outbox_type)
    except SequenceError:
        return False
    return is_exact(store)


@pytest.mark.slow
@given(seed=st.integers(0, 2**32))
def test_an_execution_that_was_overtaken_cannot_write(store: Store, seed: int) -> None:
    engine, faults = Engine(), Faults(seed, 0.05)
    old = Execution(0, engine, emptied(store), faults, LENGTHS)
    with contextlib.suppress(Crash):
        old.run()
    waiting = list(old.waiting)
    faults.crash_rate = 0.0
    engine.purge()
    Execution(1, engine, store, faults, LENGTHS).run()
    digest = store.digest()
    for callback in waiting:  # the zombie wakes up and finds its epoch durable
        with contextlib.suppress(FencedError):  # nothing to say is nothing to refuse
            callback()
    assert store.digest() == digest
    assert is_exact(store)


@pytest.mark.slow
@given(seed=st.integers(0, 2**32))
def test_a_rewound_recovery_halts_or_does_no_harm(store: Store, seed: int) -> None:
    engine, faults = Engine(), Faults(seed, 0.1)
    emptied(store)
    copies = [copy.deepcopy(engine)]
    for number in range(5):
        engine.purge()
        try:
            Execution(number, engine, store, faults, LENGTHS).run()
        except Crash:
            copies.append(copy.deepcopy(engine))
    faults.crash_rate = 0.0
    rewound = faults.random.choice(copies)
    rewound.purge()
    before = effects(store)
    try:
        Execution(9, rewound, store, faults, LENGTHS).run()
    except SequenceError:
        # One sink part may have gone on before the other was found to be ahead: nothing twice, nothing invented.
        assert effects(store) >= before
        assert effects(store) <= expected(LENGTHS)
    else:
        assert is_exact(store)
