"""What must hold after all is over: a naive reckoning of target, ledger and decisions, which shares no code with the
flow but the names of tables.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

FIELDS = {
    "send_message": "messages",
    "open_ticket": "tickets",
    "credit": "credits",
    "refund": "refunds",
    "expedite": "expedited",
    "page": "pages",
}
AMOUNTS = {"credit": 500, "refund": 500}
ENDS = {"settled", "compensated", "refused", "escalated"}
MARGIN_S = 3
"""Beyond the end of its validity: the time limit of a request, made whole seconds."""
IN_ERROR = (
    "there is no effect to undo",
    "the effect is undone already",
    "this idempotency key was used for another request",
)
"""Reasons of the target for which nobody should have asked."""


def key_of(action_id: str, step: str, what: str = "effect") -> str:
    """Return the idempotency key of a step: H("effect", action, step); of taking it back, H("undo", action, step)."""
    digest = blake2b(digest_size=16)
    for part in (what, action_id, step):
        digest.update(b"s%d:%b" % (len(part), part.encode()))
    return digest.hexdigest()


def violations(
    ledger: Path,
    there: list[dict[str, Any]],
    numbers: dict[str, dict[str, int]],
    refusals: Iterable[tuple[str, str, str]],
    decided: dict[str, dict[str, Any]],
    steps: dict[str, list[tuple[str, int]]],
    tries: Mapping[str, int],
    spilled: Collection[str],
    deaths: int,
) -> list[str]:
    """Return what must not be.

    Args:
        ledger: File of the ledger.
        there: The effects at the target.
        numbers: What the target knows of each entity.
        refusals: (key, path, why) of what the target did not obey.
        decided: Of each action: remedy, whether it was consented to, whether it has to be, until when it was valid.
        steps: (id, rung) of the steps of each remedy.
        tries: How often the network was given a request, by its key.
        spilled: Keys of the effects with which the target changed something else as well.
        deaths: How often the flow was killed.
    """
    database = sqlite3.connect(ledger)
    database.row_factory = sqlite3.Row
    actions = {row["action_id"]: dict(row) for row in database.execute("SELECT * FROM actions")}
    effects = [dict(row) for row in database.execute("SELECT * FROM effects")]
    outcomes = list(database.execute("SELECT action_id, seq, body FROM outcomes ORDER BY action_id, seq"))
    database.close()
    return [
        *_of_actions(actions, decided),
        *_of_effects(effects, there, decided, steps),
        *_of_ends(actions, effects, steps),
        *_of_numbers(there, numbers),
        *_of_undoing(there, refusals),
        *_of_outcomes(outcomes, actions),
        *_of_tries(effects, tries, deaths),
        *_of_collateral(actions, effects, spilled),
    ]


def _of_actions(actions: dict[str, Any], decided: dict[str, Any]) -> Iterable[str]:
    if set(actions) != set(decided):
        yield f"actions in the ledger: {sorted(actions)}, decided: {sorted(decided)}"
    for name, row in actions.items():
        if row["state"] not in ENDS or row["open"]:
            yield f"{name} has not come to its end: {row['state']}, open {row['open']}"


def _of_effects(
    effects: list[Any], there: list[Any], decided: dict[str, Any], steps: dict[str, list[tuple[str, int]]]
) -> Iterable[str]:
    known = {key_of(name, step): (name, step) for name, one in decided.items() for step, _ in steps[str(one["remedy"])]}
    at_target = {one["key"]: one for one in there if one["undoes"] is None}
    for key, one in at_target.items():
        if key not in known:
            yield f"an effect that nobody decided on, or one that was done twice: {key} {one['operation']}"
            continue
        decision = decided[known[key][0]]
        if decision["needs_consent"] and not decision["consent"]:
            yield f"{known[key]} was done without consent"
        if one["at"] > decision["valid_until"] / 1e6 + MARGIN_S:
            yield f"{known[key]} was done {one['at'] - decision['valid_until'] / 1e6:.0f} s too late"
    for row in effects:
        name, really = (row["action_id"], row["step"]), at_target.get(row["key"])
        if known.get(row["key"]) != name:
            yield f"{name} has a key that is not its own"
        status = "gone" if really is None else really["status"]
        said = {"absent": "gone", "refused": "gone", "impossible": "gone"}.get(row["status"], row["status"])
        if said == "unknown" and row["target"] == "pager":
            continue  # nobody can tell, and a person was asked
        if said != status:
            yield f"{name} is {row['status']} in the ledger, and {status} at the target"
    written = {row["key"] for row in effects}
    for key in set(at_target) - written:
        yield f"{known.get(key, key)} is at the target, and not in the ledger"


def _of_ends(actions: dict[str, Any], effects: list[Any], steps: dict[str, list[tuple[str, int]]]) -> Iterable[str]:
    for name, row in actions.items():
        mine = {one["step"]: one["status"] for one in effects if one["action_id"] == name}
        first = [step for step, rung in steps[row["remedy"]] if rung == 1]
        stands = [step for step, status in mine.items() if status == "done"]
        if row["state"] == "settled" and not set(first) <= set(stands):
            yield f"{name} is settled, but of {first} only {stands} are done"
        if row["state"] in ("refused", "compensated") and stands:
            yield f"{name} is {row['state']}, but {stands} are there"
        if row["state"] == "compensated" and "undone" not in mine.values():
            yield f"{name} is compensated, but nothing was taken back"


def _of_numbers(there: list[Any], numbers: dict[str, dict[str, int]]) -> Iterable[str]:
    expected: dict[str, Counter[str]] = {entity: Counter() for entity in numbers}
    for one in there:
        if one["undoes"] is None and one["status"] == "done":
            name = one["operation"]
            expected[one["entity"]][FIELDS[name]] += AMOUNTS.get(name, 1)
    for entity, known in numbers.items():
        for name, number in known.items():
            if name != "trouble" and number != expected[entity][name]:
                yield f"{entity}: {name} is {number}, its effects add up to {expected[entity][name]}"


def _of_undoing(there: list[Any], refusals: Iterable[tuple[str, str, str]]) -> Iterable[str]:
    effects = {one["key"]: one for one in there if one["undoes"] is None}
    undone = Counter(one["undoes"] for one in there if one["undoes"] is not None)
    for key, times in undone.items():
        if key not in effects:
            yield f"something was taken back that never was: {key}"
        elif times != 1 or effects[key]["status"] != "undone":
            yield f"{key} was taken back {times} times and is {effects[key]['status']}"
    for key, path, why in refusals:
        if why in (
            "there is no effect to undo",
            "the effect is undone already",
            "this idempotency key was used for another request",
        ):
            yield f"{path} was asked for in error: {why} ({key})"


def _of_outcomes(outcomes: list[Any], actions: dict[str, Any]) -> Iterable[str]:
    told: dict[str, list[Any]] = {}
    for row in outcomes:
        told.setdefault(row["action_id"], []).append((row["seq"], orjson.loads(row["body"])))
    for name, row in actions.items():
        mine = told.get(name, [])
        if [seq for seq, _ in mine] != list(range(1, len(mine) + 1)) or not mine:
            yield f"outcomes of {name} are {[seq for seq, _ in mine]}"
        elif mine[-1][1]["state"] != row["state"]:
            yield f"the last outcome of {name} says {mine[-1][1]['state']}, it is {row['state']}"


def _of_collateral(actions: dict[str, Any], effects: list[Any], spilled: Collection[str]) -> Iterable[str]:
    for name in sorted({row["action_id"] for row in effects if row["key"] in spilled}):
        row = actions[name]
        # None: somebody else acted on the entity, and it cannot be told whose doing it is.
        if row["collateral"] == 0 or (
            row["collateral"] is None and row["verdict"] == "verified" and _alone(row, actions)
        ):
            yield f"{name} is {row['state']}, and what it changed beside was not seen"


def _alone(row: dict[str, Any], actions: dict[str, Any]) -> bool:
    return all(other["entity"] != row["entity"] for other in actions.values() if other is not row)


def _of_tries(effects: list[Any], tries: Mapping[str, int], deaths: int) -> Iterable[str]:
    for row in effects:
        undo = key_of(row["action_id"], row["step"], "undo")
        for key, counted in ((row["key"], row["attempts"]), (undo, row["undo_attempts"])):
            # What was about to be asked when the flow died counts: nobody knows whether it was sent.
            if counted > tries[key] + deaths:
                yield f"{row['action_id']} {row['step']} was tried {tries[key]} times, {counted} are counted"
