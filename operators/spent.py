"""What was spent of a limit within a span of event time: windows that slide, whose sums are always at hand.

So an action costs the same however many came before it: each that is remembered is counted in once and out once.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import islice
from operator import itemgetter

import msgspec

from config.money import MONEY_SCALE
from config.policies.guardrails import MOST_MAX

SPENT_MAX = 4_096
"""Actions of one limit and cause that are remembered one by one."""
CUSTOMERS_MAX = 50_000
"""Customers of one limit and cause that are remembered, and so the most that a limit can count."""

MONEY_MAX = (MOST_MAX + 1) * MONEY_SCALE
"""More than any limit bears. What is beyond it is taken for it, or the sum would be none that a snapshot holds."""

_at = itemgetter(0)


class Spent(msgspec.Struct):
    """Actions, and the money that they moved at the most. Both are kept, whichever a limit counts today."""

    acts: list[tuple[int, int, int]] = []
    """(when, actions, money in millionths), oldest first."""
    within: int = 0
    """The span that the next three are of, microseconds."""
    first: int = 0
    """Position of the first that counts."""
    actions: int = 0
    money: int = 0

    def slide(self, within: int, memory: int, now: int) -> None:
        """Let time go on: count what is within the span, forget what is past remembering.

        Args:
            within: The span of the limit, microseconds.
            memory: The longest span by which any version of the policy looks back, at least `within`.
            now: Event time, not before that of earlier calls.
        """
        acts = self.acts
        if within != self.within:
            self.within, self.first = within, 0
            self.actions, self.money = (sum(act[part] for act in acts) for part in (1, 2))
        while self.first < len(acts) and acts[self.first][0] + within <= now:
            _, actions, money = acts[self.first]
            self.first, self.actions, self.money = self.first + 1, self.actions - actions, self.money - money
        past = bisect_right(acts, now - memory, key=_at)
        del acts[:past]
        self.first -= past

    def add(self, money: int, now: int) -> None:
        """Count one action more."""
        money = min(money, MONEY_MAX)
        self.acts.append((now, 1, money))
        self.actions, self.money = self.actions + 1, self.money + money
        if len(self.acts) > SPENT_MAX:
            self.acts = merged(self.acts)
            self.within = 0  # What was put together counts for longer: it is counted anew.

    @property
    def oldest(self) -> int | None:
        """When the first that is remembered was done, None where nothing is."""
        return self.acts[0][0] if self.acts else None

    def free_at(self, most: int, asked: int, *, of_money: bool) -> int | None:
        """Return when so much will have room, None for never."""
        part, left = (2, self.money) if of_money else (1, self.actions)
        for position in range(self.first, len(self.acts)) if asked <= most else ():
            left -= self.acts[position][part]
            if left + asked <= most:
                return self.acts[position][0] + self.within
        return None


class Touched(msgspec.Struct):
    """Customers, by a hash of each: when it was touched last, longest ago first."""

    recent: dict[int, int] = {}
    """Within the span;"""
    earlier: dict[int, int] = {}
    """and before it, as far as any version of the policy looks back."""
    within: int = 0

    def slide(self, within: int, memory: int, now: int) -> None:
        """Let time go on: see `Spent.slide`."""
        if within != self.within:
            self.within, self.recent, self.earlier = within, self.earlier | self.recent, {}
        for customer in _before(self.recent, now - within):
            self.earlier[customer] = self.recent.pop(customer)
        for customer in _before(self.earlier, now - memory):
            del self.earlier[customer]
        # However far a limit looks back, these would be more than any bears.
        for customer in list(islice(self.earlier, max(len(self.earlier) + len(self.recent) - CUSTOMERS_MAX, 0))):
            del self.earlier[customer]

    def add(self, customer: int, now: int) -> None:
        """Touch a customer, perhaps once more."""
        self.recent.pop(customer, None)  # The order is that of time.
        self.earlier.pop(customer, None)
        self.recent[customer] = now

    @property
    def oldest(self) -> int | None:
        """When the customer that is remembered longest was touched, None where none is."""
        return next(iter((self.earlier or self.recent).values()), None)

    def free_at(self, most: int) -> int | None:
        """Return when one more customer will have room, None for never."""
        if most < 1:
            return None
        at = next(islice(self.recent.values(), max(len(self.recent) - most, 0), None), None)
        return None if at is None else at + self.within


def _before(touched: dict[int, int], until: int) -> list[int]:
    """Return those touched by then."""
    found = []
    for customer, at in touched.items():
        if at > until:
            break
        found.append(customer)
    return found


def merged(acts: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Return actions with neighbours put together, which then count as long as the later one."""
    pairs = zip(acts[::2], acts[1::2], strict=False)
    together = [(later[0], first[1] + later[1], min(first[2] + later[2], MONEY_MAX)) for first, later in pairs]
    return together + acts[len(acts) // 2 * 2 :]
