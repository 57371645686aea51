"""Modes: how far a bundle lets an agent, a rule or a segment of cases go. The tightest of those that match holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import get_args

from config.agents.load import Lifecycle
from config.errors import ExpressionError
from config.expressions import Bound, Expression
from config.policies.documents import Mode

MODES: tuple[Mode, ...] = get_args(Mode)
"""From the tightest to the loosest."""
ANY = "*"
LIFECYCLES: Mapping[Lifecycle, Mode] = {"shadow": "shadow", "draining": "recommend", "retired": "off"}
"""What an agent's own lifecycle leaves of it, whatever the bundle says."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the section `modes`, or the lifecycle of an agent."""

    mode: Mode
    agent: str
    """A pattern, and so the next two."""
    kind: str
    rule: str
    when: Expression | None
    """The segment: a condition on the facts; None for all."""
    reason: str
    owner: str
    """Who may change it."""

    @property
    def rank(self) -> int:
        """Position in `MODES`: the lowest is the tightest."""
        return MODES.index(self.mode)

    @property
    def is_live(self) -> bool:
        """Whether what is decided in it has any effect."""
        return self.mode not in ("off", "shadow")

    def covers(self, agent: str | None, rule: str) -> bool:
        """Return whether it speaks of a rule for findings of an agent; one that is not known may be any."""
        return (agent is None or _matches(agent, self.agent)) and _matches(rule, self.rule)

    def is_met(self, bound: Bound) -> bool:
        """Return whether the facts are in its segment; those of which it cannot be told may be."""
        try:
            return self.when is None or self.when.holds(bound)
        except ExpressionError:
            return True

    def say(self) -> str:
        """Return why it is less than the rule wants, and who may change that, as a sentence."""
        return f"It is in mode {self.mode} ({self.reason.rstrip('.')}), which {self.owner} may change."


def tightest(modes: tuple[Entry, ...], agent: str | None, rule: str, bound: Bound) -> Entry | None:
    """Return the mode of a rule for these facts, None for one that nothing holds back.

    Args:
        modes: In ascending order of rank.
        agent: Whose finding it is; None where that is not known.
        rule: `table/rule`.
        bound: The facts.
    """
    for entry in modes:
        if entry.covers(agent, rule) and entry.is_met(bound):
            return entry
    return None


def standing(modes: tuple[Entry, ...], agent: str, kind: str) -> Entry | None:
    """Return the mode of all that is decided about findings of a kind, whatever the facts; None where none is set."""
    for entry in modes:
        if entry.rule == ANY and entry.when is None and entry.covers(agent, ANY) and _matches(kind, entry.kind):
            return entry
    return None


def is_off(modes: tuple[Entry, ...], rule: str) -> bool:
    """Return whether a rule is off whatever the finding."""
    return any(
        entry.mode == "off" and entry.when is None and entry.agent == entry.kind == ANY and _matches(rule, entry.rule)
        for entry in modes
    )


@lru_cache(maxsize=10_000)
def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern)
