"""What must not be, reckoned up naively from the databases of a store, a ledger and a target: plain SQL and JSON.

It shares no code with what it judges: what was ordered, what people said and what may be done comes from the test.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def rows(file: Path, query: str) -> list[Row]:
    """Return what a query finds in a database; nothing before its tables are made."""
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(query)]
    return []


def outputs(store: Path, kind: str) -> list[Row]:
    """Return what a store holds of a type, what is of one case in its order."""
    found = rows(store, f"SELECT body FROM outputs WHERE type = '{kind}' ORDER BY event_at, part, seq")
    return [json.loads(row["body"]) for row in found]


@dataclass(frozen=True)
class Allowed:
    """What a test has allowed."""

    per_customer: int
    """Actions of a customer that nobody let pass the limit."""
    of_all: int
    costly: frozenset[str]
    """Orders that people have to be asked about, as `order:o1`."""
    said: Mapping[str, str]
    """What was really answered, by request."""


@dataclass(frozen=True)
class Left:
    """What is left of a round, in three files."""

    store: Path
    ledger: Path
    target: Path

    def wrong(self, allowed: Allowed) -> list[str]:
        """Return what must not be, a sentence each."""
        return [*self._carried_out(), *self._allowed(allowed)]

    def effects(self) -> list[Row]:
        """Return the effects at the target, with what was asked for."""
        return [row | json.loads(row["body"]) for row in rows(self.target, "SELECT * FROM effects")]

    def _carried_out(self) -> Iterator[str]:
        released = [each["action_id"] for each in outputs(self.store, "action")]
        withheld = [each["action_id"] for each in outputs(self.store, "guardrail.withheld")]
        known = {row["action_id"]: row for row in rows(self.ledger, "SELECT * FROM actions")}
        written = rows(self.ledger, "SELECT * FROM effects")
        effects = self.effects()
        for name, number in Counter([*released, *withheld]).items():
            if number > 1:
                yield f"action {name} was decided {number} times"
        if known.keys() != {*released, *withheld}:
            yield f"actions of the store and of the ledger differ: {known.keys() ^ {*released, *withheld}}"
        for name, row in known.items():
            ends = ("refused",) if name in withheld else ("settled", "escalated", "refused")
            if row["open"] or row["state"] not in ends:
                yield f"action {name} is {row['state']}"
        done = sorted(row["key"] for row in written if row["status"] == "done")
        if done != sorted(row["key"] for row in effects):
            yield f"{len(done)} effects in the ledger, {len(effects)} at the target"
        for row in written:
            if row["status"] in ("sent", "unknown"):
                yield f"nobody knows of effect {row['key']}"
            if row["action_id"] in withheld:
                yield f"withheld action {row['action_id']} has effect {row['key']}"
        for decision, number in Counter(each["decision"] for each in effects).items():
            if number > 1:
                yield f"decision {decision} was carried out {number} times"
        decided = {(each["decision_id"], each["entity"], each["customer"]) for each in outputs(self.store, "action")}
        for each in effects:
            if (each["decision"], each["entity"], each["customer"]) not in decided:
                yield f"the effect on {each['entity']} is of no action that was released"

    def _allowed(self, allowed: Allowed) -> Iterator[str]:
        counted = {row["request_id"] for row in outputs(self.store, "approval.counted") if row["answer"] == "approve"}
        forged = sorted(request for request in counted if allowed.said.get(request) != "approve")
        if forged:
            yield f"nobody approved {forged}"
        agreed = [
            row["action"]
            for row in outputs(self.store, "approval.requested")
            if row["request_id"] in counted and allowed.said.get(row["request_id"]) == "approve"
        ]
        consented = {action["entity"] for action in agreed}
        let_pass = {action["entity"] for action in agreed if action.get("overrules")}
        effects = self.effects()
        if len(effects) > allowed.of_all:
            yield f"{len(effects)} effects, {allowed.of_all} are allowed"
        for customer, number in Counter(e["customer"] for e in effects if e["entity"] not in let_pass).items():
            if number > allowed.per_customer:
                yield f"{number} effects for {customer}, {allowed.per_customer} are allowed"
        for each in effects:
            if each["entity"] in allowed.costly - consented:
                yield f"the effect on {each['entity']} took consent, and nobody gave it"
