"""The circuit breakers of a shard: one for each target and operation, written down with its actions; and what other
shards know of the same targets, heard within a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from config.effects import Call, Reply, operation_of
from config.targets import BreakerSettings, Target
from dataflows.remedy_queues import Queues
from dataflows.remedy_rows import breaker_of, breaker_row
from operators.breaker import Breaker
from sinks.ledger_rows import BreakerRow

USUAL = BreakerSettings()


class Breakers:
    """The breakers of a shard.

    Args:
        targets: What opens each, by name of the target.
        rows: As they were written.
    """

    def __init__(self, targets: Mapping[str, Target], rows: Iterable[BreakerRow] = ()) -> None:
        self._targets = targets
        self._breakers = {row.name: breaker_of(row) for row in rows}
        self._elsewhere: dict[str, int] = {}
        self._changed: set[str] = set()
        self._waiting = Queues()
        """Who waits for which of them to close."""

    def hear(self, rows: Iterable[BreakerRow]) -> None:
        """Take over what the other shards know."""
        self._elsewhere = {}
        for row in rows:
            self._elsewhere[row.name] = max(row.until, self._elsewhere.get(row.name, 0))

    def blocked_until(self, target: str, operation: str, now: int, action_id: str) -> int | None:
        """Return until when nothing is let through to `target/operation` for an action, None where something is."""
        name = f"{target}/{operation}"
        elsewhere = self._elsewhere.get(name, 0)
        breaker = self._breakers.get(name)
        own = None if breaker is None else breaker.blocked_until(now, self._settings(target))
        if own is None and elsewhere <= now:
            return None
        self._waiting.wait(name, action_id)
        return max(own or 0, elsewhere)

    def leave(self, action_id: str) -> None:
        """Have an action wait for no breaker."""
        self._waiting.leave(action_id)

    def let_through(self, call: Call, now: int) -> None:
        """Note that a call is let through."""
        breaker = self._breaker(call)
        before = breaker.state
        breaker.let_through(now, self._settings(call.target))
        if breaker.state != before:
            self._changed.add(breaker.name)

    def heard(self, call: Call, reply: Reply, now: int) -> list[str]:
        """Take in how a target answered; return the actions that need not wait any more: the breaker was closed."""
        breaker, settings = self._breaker(call), self._settings(call.target)
        if breaker.state == "half-open" and call.at < breaker.until:
            return []  # what was sent before it opened is no probe
        before, failures = breaker.state, bool(breaker.failures)
        if reply.result == "expired":
            breaker.not_tried()
        elif reply.failed:
            breaker.failed(now, settings)
        else:
            breaker.succeeded(now, settings)
        if reply.failed or failures or breaker.state != before:
            self._changed.add(breaker.name)
        return self._waiting.all(breaker.name) if breaker.state == "closed" else []

    def put_back(self, span: int) -> None:
        """Stay open for as long as was meant, now that the clock was put back by a span."""
        for breaker in self._breakers.values():
            breaker.put_back(span)
            self._changed.add(breaker.name)

    def changed(self) -> list[BreakerRow]:
        """Return those that changed since they were last asked for, as they are to be written."""
        rows = [breaker_row(self._breakers[name]) for name in sorted(self._changed)]
        self._changed.clear()
        return rows

    def states(self) -> dict[str, str]:
        """Return the state of each, by name."""
        return {name: breaker.state for name, breaker in sorted(self._breakers.items())}

    def _breaker(self, call: Call) -> Breaker:
        name = f"{call.target}/{operation_of(call)}"
        return self._breakers.setdefault(name, Breaker(name))

    def _settings(self, target: str) -> BreakerSettings:
        known = self._targets.get(target)
        return USUAL if known is None else known.breaker
