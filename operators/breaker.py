"""A circuit breaker: stops asking a target that fails, and finds out when it is back. A pure state machine.

Closed, it lets everything through. So many failures within a window open it: nothing is let through for a while, which
doubles each time it opens again in vain. Then it is half-open: a few probes are let through. One that fails opens it
again; enough that do well close it.

The state is a value: it is written down with the effects, goes on after a restart, and is the same in a simulation.
"""

from __future__ import annotations

from random import Random
from typing import Literal

import msgspec

from config.targets import BreakerSettings

State = Literal["closed", "open", "half-open"]

DOUBLINGS_MAX = 20
"""Beyond this the wait is at its longest, whatever it began with."""


class Breaker(msgspec.Struct, array_like=True):
    """The state of one breaker. All instants are microseconds."""

    name: str
    """What it guards: `target/operation`; also the seed of its jitter."""
    state: State = "closed"
    failures: list[int] = []
    """When it failed, within the window."""
    until: int = 0
    """Until when it is open."""
    openings: int = 0
    """How often it opened since it was last closed."""
    probes: list[int] = []
    """When the probes under way were let through."""
    proved: int = 0
    """Probes that did well since it is half-open."""

    def blocked_until(self, now: int, settings: BreakerSettings) -> int | None:
        """Return until when nothing is let through, or None when something is. Changes nothing."""
        if self.state == "open":
            return self.until if now < self.until else None
        if self.state == "half-open":
            under_way = [at for at in self.probes if now < at + settings.probe_timeout]
            if len(under_way) >= settings.probes:
                return min(under_way) + settings.probe_timeout
        return None

    def let_through(self, now: int, settings: BreakerSettings) -> None:
        """Note that something is let through; only where nothing blocks it."""
        if self.state == "open":
            self.state, self.proved, self.probes = "half-open", 0, []
        if self.state == "half-open":
            self.probes = [*(at for at in self.probes if now < at + settings.probe_timeout), now]

    def succeeded(self, now: int, settings: BreakerSettings) -> None:
        """Note that the target did what it was asked."""
        match self.state:
            case "closed":
                self.failures = []
            case "half-open":
                self.probes = self.probes[1:]
                self.proved += 1
                if self.proved >= settings.probes:
                    self.state, self.failures, self.openings, self.probes = "closed", [], 0, []
            case "open":
                pass  # A late answer to something that was sent before it opened.

    def failed(self, now: int, settings: BreakerSettings) -> None:
        """Note that the target failed, or did not answer in time."""
        match self.state:
            case "closed":
                recent = [at for at in self.failures if at > now - settings.window]
                self.failures = [*recent, now][-settings.failures_max :]
                if len(self.failures) >= settings.failures_max:
                    self._open(now, settings)
            case "half-open":
                self._open(now, settings)
            case "open":
                pass

    def not_tried(self) -> None:
        """Note that what was let through never reached the target: it says nothing of it."""
        if self.state == "half-open":
            self.probes = self.probes[1:]

    def put_back(self, span: int) -> None:
        """Reckon by a clock that was put back by a span."""
        self.until -= span
        self.failures, self.probes = [at - span for at in self.failures], [at - span for at in self.probes]

    def recover(self) -> None:
        """Give up the probes under way: whoever waited for them is gone."""
        self.probes = []

    def _open(self, now: int, settings: BreakerSettings) -> None:
        span = min(settings.open_first * 2 ** min(self.openings, DOUBLINGS_MAX), settings.open_most)
        self.openings += 1
        chance = Random(f"{self.name}|{now}|{self.openings}").uniform(-settings.jitter, settings.jitter)
        self.state, self.failures, self.probes = "open", [], []
        self.until = now + round(span * (1 + chance))
