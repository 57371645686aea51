"""Flags: how far people let the job go, whatever its policy says; a kill switch among them.

A flag comes by a control topic (`operators/control.py`) and holds from its effective time on, so a replay comes to the
same decisions. It only takes away: between policy and flags the stricter one holds. Decisions made before it stand;
whether they are still carried out is up to the remediation flow, which heeds flags too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from config.events import Event
from config.policies.bundle import Remedy

FLAG = "flag.set"
"""Type of the record."""
NOTED = "flag.noted"
"""Type of the output that says that a flag was set, and from when on."""
ALL = "*"
FLAGS_MAX = 256
"""Flags remembered one by one."""
MODES = NORMAL, OBSERVE, NOTIFY, REVERSIBLE = "normal", "observe-only", "notify-only", "reversible-only"


def noted(event: Event) -> Event:
    """Return the output that tells of a flag: whoever carries out what was decided before heeds it too."""
    return msgspec.structs.replace(event, key=event.data["scope"], type=NOTED)


class Limit(msgspec.Struct, frozen=True, array_like=True):
    """How far the job may go within a scope."""

    mode: str
    since: int
    """Its effective time, microseconds."""
    until: int | None
    set_by: str
    reason: str


def scopes_of(agent: str, remedy: str) -> tuple[str, ...]:
    """Return the scopes that a decision falls in, widest first."""
    return (ALL, f"agent:{agent}", *([f"remedy:{remedy}"] if remedy else []))


def note(flags: dict[str, Limit], event: Event) -> None:
    """Take note of a flag in `flags`, by scope; forget those that have ended."""
    data = event.data
    scope = data["scope"]
    flags.pop(scope, None)
    for ended in [name for name, flag in flags.items() if not _in_force(flag, event.at)]:
        del flags[ended]
    if data["mode"] == NORMAL:
        return
    flag = Limit(data["mode"], event.at, data.get("until"), data["set_by"], data["reason"])
    if len(flags) < FLAGS_MAX:
        flags[scope] = flag
    else:
        # Too many to remember must not mean that one is forgotten.
        flags[ALL] = msgspec.structs.replace(flag, mode=OBSERVE, until=None)


class Standing(msgspec.Struct):
    """The flags that were set, and those that are still to come, for who looks at them by another clock."""

    in_force: dict[str, Limit] = {}
    """By scope."""
    coming: list[Event] = []
    """In the order in which they take effect."""

    def take(self, event: Event, now: int) -> None:
        """Take in a flag that is heard at an instant: it takes effect then, or at its own time where that is later."""
        self.advance(now)
        self.coming.append(msgspec.structs.replace(event, at=max(event.at, now)))
        self.coming.sort(key=lambda each: each.at)
        while len(self.coming) > FLAGS_MAX:
            # Too many to remember: what takes away does so at once, what would give back is not heeded.
            early = self.coming.pop(0)
            if early.data["mode"] != NORMAL:
                note(self.in_force, early)
        self.advance(now)

    def advance(self, now: int) -> Mapping[str, Limit]:
        """Let what has come by an instant take effect; return the flags by scope."""
        while self.coming and self.coming[0].at <= now:
            note(self.in_force, self.coming.pop(0))
        return self.in_force


def restraint(
    flags: Mapping[str, Limit], agent: str, remedy: Remedy | None, now: int
) -> tuple[Literal["observe", "recommend"], str] | None:
    """Return what remains of acting now, and why; None where no flag is in the way.

    Args:
        flags: By scope.
        agent: Whose finding leads the case.
        remedy: What the policy wants to do, if anything.
        now: Event time, microseconds.
    """
    scopes = scopes_of(agent, "" if remedy is None else remedy.name)
    found = [(scope, flags[scope]) for scope in scopes if scope in flags and _in_force(flags[scope], now)]
    for scope, flag in found:
        if flag.mode == OBSERVE:
            return "observe", _said(scope, flag)
    for scope, flag in found:
        if remedy is not None and not _allows(flag.mode, remedy):
            return "recommend", _said(scope, flag)
    return None


def _in_force(flag: Limit, now: int) -> bool:
    return flag.until is None or now < flag.until


def _allows(mode: str, remedy: Remedy) -> bool:
    if mode == NOTIFY:
        return remedy.contacts_customer and not remedy.moves_money
    return remedy.reversible


def _said(scope: str, flag: Limit) -> str:
    where = "everything" if scope == ALL else scope.replace(":", " ", 1)
    return f"The flag {flag.mode} for {where} was set by {flag.set_by}, who can take it back with mode {NORMAL}."
