"""Which values of a fact the conditions of a policy cannot tell from each other: a region, and one value of it.

Where a condition only compares a fact with constants, it is the same on the whole of a region; trying one value of
each region is then trying all values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from config.clock import to_text
from config.policies.conditions import Atom
from config.policies.documents import FactDocument, FactType, Value

OTHER = "anything else"
"""Text that no condition names."""


@dataclass(frozen=True, slots=True)
class Region:
    """Values of a fact that are all the same to a policy."""

    sample: Value
    """One of them."""
    low: float | int | None = None
    """Numbers and instants: the greatest constant at or below, None for none."""
    high: float | int | None = None
    """…, the least at or above; `low == high` for a constant itself."""
    is_rest: bool = False
    """All text that no condition names."""

    @property
    def is_point(self) -> bool:
        """Whether it is one constant alone."""
        return self.low is not None and self.low == self.high

    def holds(self, value: Value, among: Sequence[Region]) -> bool:
        """Return whether a value of the fact is in this one of its regions `among`."""
        if self.is_rest:
            return value is not None and all(value != other.sample for other in among if other is not self)
        if value is None or self.sample is None or self.is_point or not isinstance(value, int | float):
            return value == self.sample
        if isinstance(value, bool):
            return value is self.sample
        return (self.low is None or self.low < value) and (self.high is None or value < self.high)


def regions(fact: FactDocument, atoms: Iterable[Atom]) -> tuple[Region, ...]:
    """Return the regions of a fact, numbers in ascending order, null last.

    Args:
        fact: Its type.
        atoms: Those that name it; of one that could not be taken apart nothing is known.
    """
    constants = {constant for atom in atoms for constant in atom.constants or () if constant is not None}
    found = _regions(fact.type, constants)
    return (*found, Region(None)) if fact.nullable else found


def regions_by_fact(facts: Mapping[str, FactDocument], atoms: Sequence[Atom]) -> dict[str, tuple[Region, ...]]:
    """Return the regions of each fact that any of `atoms` names."""
    names = sorted(frozenset[str]().union(*(atom.expression.names for atom in atoms)))
    return {name: regions(facts[name], [atom for atom in atoms if name in atom.expression.names]) for name in names}


def _regions(fact_type: FactType, constants: set[str | float | int | bool]) -> tuple[Region, ...]:
    if fact_type == "bool":
        return (Region(False), Region(True))
    if fact_type == "string":
        named = sorted(constant for constant in constants if isinstance(constant, str))
        other = OTHER
        while other in named:
            other += "…"
        return (*(Region(text) for text in named), Region(other, is_rest=True))
    whole = fact_type == "instant"
    given = {constant for constant in constants if isinstance(constant, int | float)}
    numbers = sorted(given if whole else map(float, given))
    found: list[Region] = []
    low: float | int | None = None
    for high in numbers:
        if low is None:
            between = high / 2 if high > 0 and not whole else high - 1
        else:
            between = low + (high - low) // 2 if whole else low + (high - low) / 2
        if low is None or low < between < high:
            found.append(Region(between, low, high))
        found.append(Region(high, high, high))
        low = high
    least: float | int = 0 if whole else 0.0
    found.append(Region(least if low is None else low + 1, low, None))
    return tuple(found)


def describe(run: Sequence[Region], fact_type: FactType) -> str:
    """Return adjacent regions of one fact as a person reads it: `>= 0.9`, `> 2 and < 5`, `= medium`, `unknown`."""
    if fact_type not in ("number", "instant") or run[0].sample is None:
        return " or ".join(_say(region.sample, fact_type) for region in run)
    first, last = run[0], run[-1]
    if first.is_point and first == last:
        return f"= {_say(first.low, fact_type)}"
    ends = []
    if first.low is not None:
        ends.append(f"{'>=' if first.is_point else '>'} {_say(first.low, fact_type)}")
    if last.high is not None:
        ends.append(f"{'<=' if last.is_point else '<'} {_say(last.high, fact_type)}")
    return " and ".join(ends) or "known"


def _say(value: Value, fact_type: FactType) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if fact_type == "instant" and isinstance(value, int):
        return to_text(value)
    return f"{value:g}" if isinstance(value, int | float) else value or "empty"
