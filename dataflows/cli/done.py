"""The part of a report that says what was done: actions and what came of them, and what is not done and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from config.clock import to_text
from config.errors import UsageError
from dataflows.cli.console import out, print_line, print_rows
from operators.saga_state import ENDED
from replay.target_shop import Shop
from sinks.ledger import Ledger
from sinks.ledger_queries import actions_by_remedy, effects_by_key, find_action, find_actions
from sinks.queries import bodies
from sinks.requests import requests
from sinks.store import Store

Row = dict[str, Any]

ENDS = {"settled": "done", "compensated": "taken_back", "escalated": "to_a_person", "refused": "not_begun"}
"""How the ends of actions are called in a report."""
TOLD_MAX = 3
"""Actions that are told as stories; requests, and effects that differ, that are shown by name."""
ID_SHOWN = 12
THERE = ("done", "undone")


def done(store: Store, ledger: Ledger, database: Path | None) -> Row:
    """Return what was done of what a store holds.

    Args:
        store: What was decided, and what people were asked.
        ledger: What became of it.
        database: That of a target system, to be held against the ledger.
    """
    taken_back = find_actions(ledger, state="compensated", limit=TOLD_MAX)
    found: Row = {
        "actions": _by_remedy(actions_by_remedy(ledger)),
        "not_begun": _refused(actions_by_remedy(ledger)),
        "taken_back": [find_action(ledger, action["action_id"]) for action in taken_back],
        "withheld": sorted(bodies(store, "guardrail"), key=lambda body: (body["at"], body["action_id"])),
        "waiting": [row for row in requests(store) if row["end"] is None],
    }
    ours = effects_by_key(ledger)
    found["effects"] = dict(sorted(Counter(ours.values()).items()))
    if database is not None:
        found["target"] = _held_against(ours, _at(database))
    return found


def _by_remedy(counts: list[Row]) -> list[Row]:
    rows: dict[str, Row] = {}
    for row in counts:
        of = rows.setdefault(
            row["remedy"], {"remedy": row["remedy"], "actions": 0} | dict.fromkeys((*ENDS.values(), "under_way"), 0)
        )
        of["actions"] += row["actions"]
        of[ENDS[row["state"]] if row["state"] in ENDED else "under_way"] += row["actions"]
    return list(rows.values())


def _refused(counts: list[Row]) -> list[Row]:
    return [
        {name: row[name] for name in ("remedy", "reason", "actions")} for row in counts if row["state"] == "refused"
    ]


def _at(database: Path) -> dict[str, str]:
    """Return the status of each effect at a target system, by its idempotency key."""
    if not database.is_file():
        raise UsageError(f"--target-db {database}: there is none.", remedy="Name what `forestall target --db` named.")
    with closing(Shop(database)) as shop:
        return {one["key"]: one["status"] for one in shop.effects() if one["undoes"] is None}


def _held_against(ours: Mapping[str, str], theirs: Mapping[str, str]) -> Row:
    """Return the effects at a target by status, and those that are not what the ledger says."""
    different = [
        {"key": key, "ledger": ours.get(key, ""), "target": theirs.get(key, "")}
        for key in sorted(ours.keys() | theirs.keys())
        if theirs.get(key, "") != (ours[key] if ours.get(key) in THERE else "")
    ]
    return {"effects": dict(sorted(Counter(theirs.values()).items())), "different": different}


def print_done(document: Row) -> None:
    """Print what `done` returns for people."""
    print_rows("What was done", ("remedy", "actions", *ENDS.values(), "under_way"), document["actions"])
    for told, action in zip(("Taken back, for example", "and", "and"), document["taken_back"], strict=False):
        for line in _story(told, action):
            print_line(line)
    for told, body in zip(("Withheld, for example", "and", "and"), document["withheld"], strict=False):
        print_line(f"{told}: {body['action']['remedy']} for {body['action']['entity']}, at {to_text(body['at'])}")
        print_line(f"  {body['reason']}")
    print_rows("Not begun", ("actions", "remedy", "reason"), document["not_begun"])
    waiting = document["waiting"]
    title = f"Waiting for people: {len(waiting)} requests"
    print_rows(title, ("request", "asks", "of", "until"), [_waiting(row) for row in waiting[:TOLD_MAX]])
    effects = ", ".join(f"{count:,} {status}" for status, count in document["effects"].items()) or "none"
    out.print(f"Effects in the ledger: {effects}.")
    if (target := document.get("target")) is not None:
        different = target["different"]
        there = f"{sum(target['effects'].values()):,} effects, {target['effects'].get('undone', 0):,} of them undone"
        out.print(f"The target holds {there}: " + ("just what the ledger says." if not different else "it differs."))
        print_rows("Effects that differ", ("key", "ledger", "target"), different[:TOLD_MAX])


def _story(told: str, action: Row) -> Iterator[str]:
    """Yield what became of an action that was taken back, as lines."""
    yield f"{told}: {action['remedy']} for {action['entity']}, action {action['action_id'][:ID_SHOWN]}"
    # Why it was taken back, which is not the verdict's where people ordered it.
    yield f"  {action['reason']}"
    for at, said in (
        (action["at"], f"decided, {action['decided']['kind']} found by {action['decided']['agent']}"),
        *((one["done_at"], f"{one['target']}: {one['operation']} is done") for one in action["effects"]),
        (action["judged_at"], action["verdict"]),
        *((one["undone_at"], f"{one['target']}: {one['operation']} is taken back") for one in action["effects"]),
    ):
        if at is not None:
            yield f"  {to_text(at)}  {said}"


def _waiting(row: Row) -> Row:
    asks = f"{row['remedy']} for {row['action']['entity']}" if row["remedy"] else "what to do"
    need = f"{row['people'] - len(row['approvers'])} of {' or '.join(row['roles'])}"
    return {"request": row["request_id"][:ID_SHOWN], "asks": asks, "of": need, "until": to_text(row["expires_at"])}
