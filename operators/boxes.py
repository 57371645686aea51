"""Boxes: sets of facts as products of regions, and conditions as unions of them.

A *space* has a variable for each fact, with the regions of its values that conditions cannot tell apart
(`config/policies/regions.py`); a *box* says of each variable which regions it may be in, as a bit mask. A condition is
true on one union of boxes and false on another; where it is neither, it cannot be evaluated. What could not be taken
apart is a variable of its own, which may be true, false or an error whatever the facts: what then holds of all boxes
holds all the more of all facts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, product
from operator import and_, or_
from typing import Any

from config.errors import ExpressionError
from config.expressions import Bound, compile_expression
from config.policies.conditions import Atom, Condition, Either, Every, Negation
from config.policies.regions import Region

Box = tuple[int, ...]
"""A mask per variable, none of them 0."""
Boxes = list[Box]

BOXES_MAX = 2_000
"""Boxes of one condition."""
STEPS_MAX = 200_000
"""Steps of one search."""
OPAQUE = (Region(True), Region(False), Region(None))
"""What a part that could not be taken apart may be: true, false, an error."""


TRIED = (0.0, 1.0, 10.0, 1_000.0, 1e6, -1.0)
"""Numbers that calculations are tried on."""


class TooComplex(Exception):
    """There are more boxes or steps than are looked at."""


class Space:
    """The variables, and what conditions come to in them.

    Args:
        regions: Of each fact, by name.
        opaque: Sources of the parts that could not be taken apart, each with whether it may come to an error.
    """

    def __init__(self, regions: Mapping[str, Sequence[Region]], opaque: Mapping[str, bool] | None = None) -> None:
        parts = {source: OPAQUE if may_fail else OPAQUE[:2] for source, may_fail in sorted((opaque or {}).items())}
        self.regions: dict[str, Sequence[Region]] = dict(regions) | parts
        self.opaque = frozenset(parts)
        self._place = {name: place for place, name in enumerate(self.regions)}
        self.full: Box = tuple((1 << len(its)) - 1 for its in self.regions.values())

    def where(self, name: str, mask: int) -> Boxes:
        """Return the facts of which the variable `name` is in the regions of `mask`."""
        if not mask:
            return []
        place = self._place[name]
        return [(*self.full[:place], mask, *self.full[place + 1 :])]

    def truth(self, condition: Condition) -> tuple[Boxes, Boxes]:
        """Return where a condition is true and where it is false, by the rules of CEL.

        Raises:
            TooComplex: these are too many boxes.
        """
        match condition:
            case Atom():
                return self._atom(condition)
            case Negation(part):
                true, false = self.truth(part)
                return false, true
            case Every(parts):
                return self._joined([self.truth(part) for part in parts])
            case Either(parts):
                false, true = self._joined([self.truth(part)[::-1] for part in parts])
                return true, false

    def _joined(self, parts: list[tuple[Boxes, Boxes]]) -> tuple[Boxes, Boxes]:
        """Return where all are true, and where any is false: that decides even where another is an error."""
        true: Boxes = [self.full]
        for part, _ in parts:
            true = meet(true, part)
        return true, [box for _, part in parts for box in part]

    def _atom(self, atom: Atom) -> tuple[Boxes, Boxes]:
        source = atom.expression.source
        if source in self.opaque:
            return self.where(source, 0b001), self.where(source, 0b010)
        varying = [name for name in atom.expression.names if len(self.regions[name]) > 1]
        fixed = {name: self.regions[name][0].sample for name in atom.expression.names}
        if not varying:
            said = _holds(atom, fixed)
            return [self.full] if said is True else [], [self.full] if said is False else []
        (name,) = varying
        held = [_holds(atom, fixed | {name: region.sample}) for region in self.regions[name]]
        masks = [sum(1 << place for place, one in enumerate(held) if one is wanted) for wanted in (True, False)]
        return self.where(name, masks[0]), self.where(name, masks[1])

    def having(self, name: str, test: Callable[[Any], bool]) -> Boxes:
        """Return the facts of which the variable `name` is in regions whose values pass `test`."""
        passing = (1 << place for place, region in enumerate(self.regions[name]) if test(region.sample))
        return self.where(name, sum(passing))

    def is_free(self, box: Box, name: str) -> bool:
        """Return whether the variable `name` may be anything in `box`."""
        return box[self._place[name]] == self.full[self._place[name]]

    def samples(self, box: Box, most: int) -> Iterator[dict[str, Any]]:
        """Yield facts in a box, at most so many; more than one where parts could not be taken apart."""
        chosen: dict[str, list[Any]] = {}
        calculated = {name for source in self.opaque for name in compile_expression(source).names}
        for (name, its), mask in zip(self.regions.items(), box, strict=True):
            if name not in self.opaque:
                allowed = [region for place, region in enumerate(its) if mask >> place & 1]
                chosen[name] = [allowed[0].sample]
                if name in calculated and not self.is_free(box, name):
                    chosen[name] = [region.sample for region in allowed]
                if name in calculated and any(isinstance(region.sample, float) for region in allowed):
                    chosen[name] += [each for each in TRIED if any(region.holds(each, its) for region in allowed)]
        for values in islice(product(*chosen.values()), most):
            yield dict(zip(chosen, values, strict=True))


def _holds(atom: Atom, facts: Mapping[str, Any]) -> bool | None:
    """Return whether an atom holds; None where it cannot be evaluated."""
    try:
        return atom.expression.holds(Bound(facts))
    except ExpressionError:
        return None


def meet(some: Boxes, others: Boxes) -> Boxes:
    """Return what is in both unions.

    Raises:
        TooComplex: these are too many boxes.
    """
    met: Boxes = []
    for one in some:
        for other in others:
            both = tuple(map(and_, one, other))
            if all(both):
                met.append(both)
        if len(met) > BOXES_MAX:
            raise TooComplex
    return met


def minus(some: Boxes, others: Boxes) -> Boxes:
    """Return what is in `some` and not in `others`.

    Raises:
        TooComplex: these are too many boxes.
    """
    left: Boxes = []
    for box in some:
        for piece in _pieces(box, others, [STEPS_MAX]):
            left.append(piece)
            if len(left) > BOXES_MAX:
                raise TooComplex
    return left


def find(some: Boxes, others: Boxes) -> Box | None:
    """Return a box in `some` that has nothing of `others`, None where there is none.

    Raises:
        TooComplex: the search takes too many steps.
    """
    steps = [STEPS_MAX]
    return next((piece for box in some for piece in _pieces(box, others, steps)), None)


def _pieces(box: Box, others: Sequence[Box], steps: list[int]) -> Iterator[Box]:
    """Yield disjoint boxes that make up what of `box` is in none of `others`."""
    others = [other for other in others if all(map(and_, box, other))]
    if any(tuple(map(or_, box, other)) == other for other in others):
        return  # It lies within one of them, whatever the order.
    for place, other in enumerate(others):
        if not all(map(and_, box, other)):
            continue
        steps[0] -= 1
        if steps[0] < 0:
            raise TooComplex
        rest = others[place + 1 :]
        for variable, mask in enumerate(other):
            if outside := box[variable] & ~mask:
                yield from _pieces((*box[:variable], outside, *box[variable + 1 :]), rest, steps)
                box = (*box[:variable], box[variable] & mask, *box[variable + 1 :])
        return  # What is left lies within `other`.
    yield box
