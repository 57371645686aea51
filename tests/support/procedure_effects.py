"""What may be at the target of a world. For `procedure_oracle`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from tests.support.procedure_known import Known
from tests.support.procedure_policy import SECOND, STEPS
from tests.support.procedure_rules import Row
from tests.support.remedy_oracle import FIELDS, MARGIN_S, key_of


def at_target(
    known: Known, effects: list[Row], numbers: Callable[[str], Mapping[str, int]], asked: Mapping[str, int]
) -> Iterator[str]:
    """Yield what is at the target, and may not be.

    Args:
        known: The world.
        effects: All effects there.
        numbers: Tells what is known there of an entity.
        asked: When each was first asked for, as seen on the network, by idempotency key.
    """
    steps = {key_of(name, step): (name, step) for name, one in known.actions.items() for step in STEPS[one["remedy"]]}
    sums: dict[str, Counter[str]] = {}
    forward = [one for one in effects if one["undoes"] is None]
    for one in forward:
        body = json.loads(one["body"])
        if one["key"] not in steps:
            yield f"collateral: {one['operation']} on {one['entity']} is of no action, or done twice"
        else:
            name, step = steps[one["key"]]
            action = known.actions[name]
            yield from _allowed_there(one, body, action, STEPS[action["remedy"]][step])
            traits = known.version(action["at"])[2]["remedies"][action["remedy"]]
            if one["key"] not in asked:
                yield f"collateral: {one['operation']} on {one['entity']} was asked for by nobody"
            elif known.flagged(asked[one["key"]], action["agent"], action["remedy"], traits):
                yield f"{one['operation']} on {one['entity']} was asked for although a flag held it"
        amount = round(body["amount"] * 100) if "amount" in body else 1
        sums.setdefault(one["entity"], Counter())[FIELDS[one["operation"]]] += amount * (one["status"] == "done")
    for one in effects:
        if one["undoes"] is not None and one["undoes"] not in {each["key"] for each in forward}:
            yield f"collateral: {one['operation']} took back what never was"
    for entity, expected in sums.items():
        for name, number in numbers(entity).items():
            if name != "trouble" and number != expected[name]:
                yield f"collateral: {name} of {entity} is {number}, its effects add up to {expected[name]}"
    known.seen["effects"] += len(forward)
    known.seen["effects taken back"] += sum(one["status"] == "undone" for one in forward)


def _allowed_there(one: Row, body: Row, action: Row, operation: str) -> Iterator[str]:
    name = f"{one['operation']} on {one['entity']}"
    if (one["operation"], one["entity"]) != (operation, action["customer"]):
        yield f"{name} is not what action {action['action_id']} is about"
    if "amount" in body and body["amount"] != action["parameters"]["amount"]:
        yield f"{name}: {body['amount']} where {action['parameters']['amount']} was decided"
    if not action["at"] / SECOND - 1 <= one["at"] <= action["valid_until"] / SECOND + MARGIN_S:
        yield f"{name} was done before it was decided, or too late"
    if action["remedy"] == "refund" and not action["approval"]:
        yield f"{name} always takes consent"
