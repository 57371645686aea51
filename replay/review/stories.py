"""Tells the story of a wrong: what was known when, what the agents thought, what was decided, what was true.

Nothing personal is told: customers, accounts and cards are named by a short digest, free text of customers is not there
to begin with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from config.clock import to_text
from config.findings import DATA_QUALITY
from config.identity import derived_id
from operators.case import OPENING
from replay.review.groups import Group
from replay.review.histories import History
from replay.review.wrong import Row, Wrong

OTHERS_MAX = 6
"""Findings on other services that the story of a service tells."""
MOMENTS_MAX = 60
PERSONAL_KINDS = ("customer", "account", "instrument", "card", "device", "ip", "email")
"""Kinds of entity whose id is personal."""
UNTOLD = frozenset({OPENING, "fleet_finding"})
"""Features that are ids of the job's own."""
_PERSONAL = re.compile(rf"\b({'|'.join(PERSONAL_KINDS)}):([^\s,;)]+)")
ID_MIN = 4
"""A shorter id is not looked for in sentences: it may be a number that means something else."""


class Run:
    """What a run put out, by entity."""

    def __init__(self, findings: Iterable[Row], cases: Iterable[Row], decisions: Iterable[Row]) -> None:
        self.findings = sorted(findings, key=lambda row: (row["at"], row["finding_id"]))
        self._entity_of: dict[str, str] = {}
        for case in cases:
            if "entity" in case["change"]:
                self._entity_of[case["case_id"]] = case["change"]["entity"]
        self.decisions: dict[str, list[Row]] = {}
        for decision in decisions:
            entity = self._entity_of.get(decision["case_id"])
            if entity is not None:
                self.decisions.setdefault(entity, []).append(decision)
        self._on: dict[str, list[Row]] = {}
        for row in self.findings:
            self._on.setdefault(row["entity"], []).append(row)

    def on(self, entity: str) -> list[Row]:
        """Return the findings on an entity, by time."""
        return self._on.get(entity, [])

    def outcomes(self) -> dict[str, str]:
        """Return how far the decisions about each entity went, at most."""
        order = ("observe", "recommend", "approve", "act")
        return {
            entity: max((decision["outcome"] for decision in decisions), key=order.index)
            for entity, decisions in self.decisions.items()
        }


def told(group: Group, run: Run, orders: Mapping[str, History]) -> Row:
    """Return the group and the story that stands for it, as built-in values; instants as text."""
    wrong = group.first
    return {
        "verdict": wrong.verdict,
        "kind": wrong.kind,
        "like": wrong.like,
        "count": len(group.wrongs),
        "weight": round(group.weight, 3),
        "common": [
            {"name": each.name, "value": each.value, "count": each.count, "elsewhere": each.elsewhere}
            for each in group.common
        ],
        "story": story(wrong, run, orders.get(wrong.entity)),
        "others": [_masked(each.entity, each) for each in group.wrongs[1:10]],
    }


def story(wrong: Wrong, run: Run, history: History | None) -> Row:
    """Return the story of one wrong."""
    moments = [*_records(wrong, history), *_found(wrong, run), *_decided(wrong, run)]
    moments += [(at, 4, "truth", says) for at, says in (*wrong.notes, (wrong.at, wrong.what))]
    moments.sort(key=lambda moment: moment[:3])
    finding = wrong.finding
    return {
        "entity": _masked(wrong.entity, wrong),
        "at": to_text(wrong.at),
        "truth": _masked(wrong.what, wrong),
        "weight": round(wrong.weight, 3),
        "traits": dict(wrong.traits),
        "thought": None if finding is None else _thought(finding, wrong),
        "timeline": [
            {"at": to_text(at), "who": who, "says": _masked(says, wrong)} for at, _, who, says in moments[:MOMENTS_MAX]
        ],
    }


Moment = tuple[int, int, str, str]
"""When, place among moments of one instant, who speaks, what it says."""


def _records(wrong: Wrong, history: History | None) -> list[Moment]:
    if history is None:
        return []
    return [(at, 0, "record", says) for at, _, says in history.records if wrong.since <= at <= wrong.until]


def _found(wrong: Wrong, run: Run) -> list[Moment]:
    kind = wrong.entity.partition(":")[0]
    own = [row for row in run.on(wrong.entity) if wrong.since <= row["at"] <= wrong.until]
    moments = [(row["at"], 1, "agent", _says(row)) for row in own]
    if kind == "service":
        others = [
            row
            for row in run.findings
            if row["entity"].startswith("service:")
            and row["entity"] != wrong.entity
            and not row.get("resolves")
            and wrong.since <= row["at"] <= wrong.until
        ]
        moments += [(row["at"], 2, "agent", _says(row)) for row in others[:OTHERS_MAX]]
    return moments


def _says(row: Row) -> str:
    if row.get("resolves"):
        return f"{row['agent']}: over. {row['reason']}"
    return f"{row['agent']}: {row['kind']}, {row['severity']}, confidence {row['confidence']:.2f}. {row['reason']}"


def _decided(wrong: Wrong, run: Run) -> list[Moment]:
    return [
        (row["at"], 3, "decision", f"{row['outcome']} {row['remedy']} by {row['rule']}. {row['reason']}")
        for row in run.decisions.get(wrong.entity, [])
        if wrong.since <= row["at"] <= wrong.until
    ]


def _thought(finding: Row, wrong: Wrong) -> Row:
    """Return what an agent thought: the values it looked at, and how sure it was."""
    features = finding["evidence"]["features"]
    return {
        "agent": finding["agent"],
        "kind": finding["kind"],
        "at": to_text(finding["at"]),
        "severity": finding["severity"],
        "confidence": round(finding["confidence"], 4),
        "reason": _masked(finding["reason"], wrong),
        "features": {
            name: _value(name, value, wrong)
            for name, value in sorted(features.items(), key=lambda item: (item[0] == DATA_QUALITY, item[0]))
            if name not in UNTOLD
        },
        "records": len(finding["evidence"]["records"]),
    }


def _value(name: str, value: Any, wrong: Wrong) -> Any:
    """Return the value of a feature for a person: instants as text, numbers to six digits, nobody named."""
    if isinstance(value, str):
        return _masked(value, wrong)
    if name.endswith("_at") and isinstance(value, int):
        return to_text(value)
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _masked(text: str, wrong: Wrong) -> str:
    """Return `text` with a digest in the place of whatever names a person."""
    text = _PERSONAL.sub(lambda found: f"{found[1]}:{_digest(found[2])}", text)
    for customer in sorted(wrong.customers, key=lambda name: (-len(name), name)):
        if len(customer) >= ID_MIN:
            text = re.sub(rf"(?<!\w){re.escape(customer)}(?!\w)", _digest(customer), text)
    return text


def _digest(identity: str) -> str:
    return f"~{derived_id('review', identity)[:8]}"
