"""Windows of what was spent: their sums, against adding up all that was done."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from config.money import AMOUNT_MAX, MONEY_SCALE
from config.policies.guardrails import MOST_MAX
from operators import spent as module
from operators.spent import SPENT_MAX, Spent, Touched, merged
from tests.support.examples import examples

STEPS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(1, 9), st.booleans()),
    max_size=60,
)
"""(time since the step before, money or customer, span looked back at, whether anything is done)"""
MEMORY = 9


@given(STEPS)
@examples(200)
def test_what_was_spent_is_what_one_would_add_up(steps: list[tuple[int, int, int, bool]]) -> None:
    spent, done, now = Spent(), list[tuple[int, int]](), 0
    for passed, money, within, acts in steps:
        now += passed
        spent.slide(within, MEMORY, now)
        counts = [(at, amount) for at, amount in done if at + within > now]
        assert (spent.actions, spent.money) == (len(counts), sum(amount for _, amount in counts))
        assert spent.oldest == next((at for at, _ in done if at + MEMORY > now), None)
        for most in range(spent.actions):
            # So many have to go, the oldest first, until one more has room.
            expected = counts[len(counts) - most][0] + within if most else None
            assert spent.free_at(most, 1, of_money=False) == expected
        if acts:
            spent.add(money, now)
            done.append((now, money))


@given(STEPS)
@examples(200)
def test_who_was_touched_is_what_one_would_count(steps: list[tuple[int, int, int, bool]]) -> None:
    touched, done, now = Touched(), dict[int, int](), 0
    for passed, customer, within, acts in steps:
        now += passed
        touched.slide(within, MEMORY, now)
        recent = {who: at for who, at in done.items() if at + within > now}
        assert touched.recent == recent
        times = sorted(recent.values())
        assert list(touched.recent.values()) == times
        for most in range(len(times) + 1):
            assert touched.free_at(most) == (times[len(times) - most] + within if most and times else None)
        if acts:
            touched.add(customer, now)
            done[customer] = now


def test_what_cannot_be_remembered_one_by_one_counts_as_long_as_the_later_one() -> None:
    spent = Spent()
    for number in range(SPENT_MAX + 1):
        spent.add(2, number)
    assert len(spent.acts) == SPENT_MAX // 2 + 1
    assert (spent.acts[:2], spent.acts[-1]) == ([(1, 2, 4), (3, 2, 4)], (SPENT_MAX, 1, 2))
    spent.slide(SPENT_MAX, SPENT_MAX, SPENT_MAX)
    assert (spent.actions, spent.money) == (SPENT_MAX + 1, 2 * SPENT_MAX + 2)
    assert merged([(1, 1, 5)]) == [(1, 1, 5)]


def test_money_beyond_all_measure_is_still_a_number_that_a_snapshot_holds() -> None:
    spent = Spent()
    for number in range(3 * SPENT_MAX):
        spent.slide(1_000_000, 1_000_000, number)
        spent.add(AMOUNT_MAX * MONEY_SCALE, number)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(spent), type=Spent) == spent
    assert spent.free_at(MOST_MAX * MONEY_SCALE, 1, of_money=True) == spent.acts[-1][0] + spent.within


def test_no_more_customers_are_remembered_than_any_limit_bears() -> None:
    touched, bound = Touched(), module.CUSTOMERS_MAX
    touched.earlier = {number: number for number in range(bound)}
    touched.recent = {-1: bound}
    touched.within = 1
    touched.slide(1, bound * 2, bound)
    assert len(touched.earlier) + len(touched.recent) == bound
    assert 0 not in touched.earlier
