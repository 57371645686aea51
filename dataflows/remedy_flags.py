"""Flags hold what was decided before they were set: what has done nothing yet is not begun, unless a flag allows it.

Live, one thread of the flow reads the control topics and writes into the ledger which flags stand, how far it has
read, and when it last knew that nothing follows. Every process looks there several times a second. So no flag is
forgotten that a topic no longer has, and while brokers are away the flags that were known still stand; after a while
nothing is begun at all, for somebody may have set another one. What has begun is finished, or taken back, either way.
A trial heeds the flags that the job noted in its store, each from its event time on.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import msgspec

from config.actions import Action
from config.clock import micros
from config.playbooks.model import Playbook
from config.policies.bundle import Bundle, Remedy
from operators.flags import Limit, Standing, restraint
from sinks.actions import noted_flags
from sinks.ledger import Ledger
from sinks.store import Store

FLAGS, HEARD = "flags", "flags-heard"
"""Facts of the ledger: which flags stand, and when it was last known that nothing follows, microseconds."""
LOOK_EVERY_S = 0.2

Limits = Callable[[int], Mapping[str, Limit]]
"""Return the flags that stand at an instant, by scope."""


class Book(msgspec.Struct):
    """What the ledger knows of flags."""

    standing: Standing
    positions: dict[str, int]
    """The offset to read next, by partition."""


_decode = msgspec.json.Decoder(Book).decode


def read_book(text: str | None) -> Book:
    """Return what the ledger knows of flags."""
    return Book(Standing(), {}) if text is None else _decode(text)


class LedgerFlags:
    """The flags that the ledger knows of, as all shards of a process look at them.

    Args:
        ledger: The ledger.
        stale_after: Nothing is begun when it is unknown for so long whether a flag was set.
        monotonic: Seconds of wall time.
    """

    def __init__(self, ledger: Ledger, stale_after: timedelta, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._ledger, self._stale_after, self._monotonic = ledger, micros(stale_after), monotonic
        self._looked_at = -LOOK_EVERY_S
        self._text: str | None = None
        self._standing, self._heard = Standing(), 0
        self._lock = threading.Lock()

    def limits(self, now: int) -> Mapping[str, Limit]:
        """Return the flags that stand at an instant, by scope."""
        with self._lock:
            self._look()
            return dict(self._standing.advance(now))

    def held(self, now: int) -> bool:
        """Return whether it is unknown for too long whether a flag was set."""
        with self._lock:
            self._look()
            # What was heard by a clock that was put back since was not heard just now.
            return abs(now - self._heard) > self._stale_after

    def _look(self) -> None:
        if self._monotonic() - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = self._monotonic()
        # In this order: that nothing follows is said of flags that were written down before.
        heard, text = self._ledger.fact(HEARD), self._ledger.fact(FLAGS)
        if text != self._text:
            self._text, self._standing = text, read_book(text).standing
        self._heard = int(heard or 0)


class StoreFlags:
    """The flags that a job noted in its store, each from its event time on, as all shards of a process look at them.

    Args:
        store: The store.
        again_s: Wall time after which it is looked again whether there are more; None for never.
    """

    def __init__(self, store: Store, again_s: float | None = None) -> None:
        self._store, self._again_s = store, again_s
        self._lock = threading.Lock()
        self._look()

    def _look(self) -> None:
        self._looked_at = time.monotonic()
        self._events = noted_flags(self._store)
        self._standing = (0, Standing())

    def limits(self, now: int) -> Mapping[str, Limit]:
        """Return the flags that stand at an instant, by scope; instants may come in any order."""
        with self._lock:
            if self._again_s is not None and time.monotonic() - self._looked_at >= self._again_s:
                self._look()
            known = bisect_right(self._events, now, key=lambda event: event.at)
            if known != self._standing[0]:
                standing = Standing()
                for event in self._events[:known]:
                    standing.take(event, event.at)
                self._standing = (known, standing)
            return self._standing[1].in_force


@dataclass(frozen=True)
class Restraint:
    """Says why a flag does not let an action change anything.

    Args:
        limits: The flags.
        remedies: What each remedy does, by name.
    """

    limits: Limits
    remedies: Mapping[str, Remedy]

    def __call__(self, action: Action, now: int) -> str:
        """Return why `action` may not change anything at `now`, "" where it may."""
        limits = self.limits(now)
        if not limits:
            return ""
        remedy = self.remedies.get(action.remedy) or UNKNOWN
        found = restraint(limits, action.agent, replace(remedy, name=action.remedy), now)
        return "" if found is None else found[1]


UNKNOWN = Remedy("", "", timedelta(0), contacts_customer=False, moves_money=True, reversible=False)
"""What is assumed of a remedy that no version of the policy knows."""


def remedies_of(bundles: Iterable[Bundle], playbooks: Mapping[str, Playbook]) -> dict[str, Remedy]:
    """Return what each remedy does: the worst that any version of the policy, or its playbook, says of it."""
    found: dict[str, Remedy] = {}
    for bundle in bundles:
        for name, one in bundle.remedies.items():
            known, book = found.get(name, one), playbooks.get(name)
            found[name] = replace(
                one,
                contacts_customer=known.contacts_customer and one.contacts_customer,
                moves_money=known.moves_money or one.moves_money,
                reversible=known.reversible and one.reversible and book is not None and book.is_reversible,
            )
    return found
