"""Whether an action helped, and whether it changed anything that it should not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.errors import ExpressionError
from config.expressions import Bound
from config.playbooks.model import Verify, checked
from operators.saga_state import Verdict

State = Mapping[str, Any]


def judge(verify: Verify, values: Mapping[str, Any], before: State | None, after: State) -> tuple[Verdict, str]:
    """Return the verdict, and why.

    Args:
        verify: How to see whether it helped.
        values: What expressions may use beside the two states.
        before: The state of the entity before, None where it could not be read.
        after: Its state now.
    """
    if before is None:
        return "inconclusive", "How things were before is not known."
    try:
        states = {"before": _typed(verify, before), "after": _typed(verify, after)}
        if verify.holds.holds(Bound({**values, **states})):
            return "verified", ""
    except ExpressionError as error:
        return "inconclusive", f"Whether it helped cannot be told: {error.message}."
    return "ineffective", f"It did not help: {verify.holds.source!r} does not hold."


def changed_beside(verify: Verify, before: State | None, after: State) -> frozenset[str] | None:
    """Return what changed that should not have, or None where that cannot be told.

    Args:
        verify: What must not change.
        before: The state of the entity before, None where it could not be read.
        after: Its state now.
    """
    if before is None:
        return None
    return frozenset(name for name in verify.unchanged if before.get(name) != after.get(name))


def _typed(verify: Verify, state: State) -> dict[str, Any]:
    typed = {}
    for name, type_ in verify.reads.items():
        try:
            typed[name] = checked(state.get(name), type_)
        except ExpressionError as error:
            raise ExpressionError(f"{name!r} of the state {error.message}") from None
    return typed
