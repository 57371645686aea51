"""How good the findings of a run are, measured against the labels of a simulated world."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from replay.claims import COMPLAINT_LIKELY, Claim
from replay.world.kinds import FAMILY
from replay.world.labels import Issue, Labels

Row = Mapping[str, Any]

CONFIDENCE_MIN = 0.5
"""A finding that its agent holds for less likely than this is watched, not acted on: it is no alarm."""
BY_CUSTOMER = frozenset({"card", "account", "churn", "contact"})
"""Families of trouble that a finding may name by the customer it hurts, whatever entity it is about."""


@dataclass(frozen=True)
class Verdict:
    """What became of one labelled issue."""

    issue: Issue
    found_at: int | None
    """When the first finding on it was made, event time in µs; None where it was missed."""
    named: bool = False
    """Whether one of its findings claims just this kind, not only one of the same family."""

    @property
    def found(self) -> bool:
        """Whether it was found before anybody was hurt for good, or complained."""
        return self.found_at is not None and (self.issue.harm_at is None or self.found_at < self.issue.harm_at)

    @property
    def late(self) -> bool:
        """Whether it was found, but a customer complained first."""
        return self.found_at is not None and not self.found

    @property
    def lead(self) -> int | None:
        """How long before the first complaint it was found, µs; None where nobody complained, or it was not found."""
        if self.found_at is None or self.issue.harm_at is None:
            return None
        return self.issue.harm_at - self.found_at


@dataclass(frozen=True)
class Score:
    """The verdicts on all labelled issues, and the findings that are about none of them."""

    verdicts: list[Verdict]
    false: list[Row]
    """Rows on an entity that had no such trouble at that time."""
    decoyed: int
    """How many of the false ones fell for a decoy."""
    right: list[Row] = field(default_factory=list)
    """Rows about a labelled issue."""
    watched: int = 0
    """How many rows were no alarms, for their confidence was too low."""
    claims: list[Claim] = field(default_factory=list)
    """What every row claims, those too that are no alarms."""

    @property
    def found(self) -> int:
        """How many issues were found before any customer complained."""
        return sum(verdict.found for verdict in self.verdicts)

    @property
    def late(self) -> int:
        """How many were found after the first complaint."""
        return sum(verdict.late for verdict in self.verdicts)

    @property
    def missed(self) -> int:
        """How many were not found."""
        return len(self.verdicts) - self.found - self.late

    @property
    def named(self) -> int:
        """How many were found, sooner or later, under their own kind."""
        return sum(verdict.named for verdict in self.verdicts)

    @property
    def leads(self) -> list[int]:
        """The leads of those found before a complaint, µs, ascending."""
        return sorted(v.lead for v in self.verdicts if v.found and v.lead is not None)

    @property
    def median_lead(self) -> int | None:
        """The median lead of those found before a complaint, µs."""
        return int(median(self.leads)) if self.leads else None

    @property
    def alarms(self) -> tuple[int, int]:
        """Right and false alarms: an entity is one alarm of a kind, however many findings were made on it."""
        right = {(row["kind"], row["entity"]) for row in self.right}
        return len(right), len({(row["kind"], row["entity"]) for row in self.false} - right)

    @property
    def precision(self) -> float | None:
        """The share of alarms that are right; None where there was none."""
        right, false = self.alarms
        return right / (right + false) if right + false else None

    @property
    def recall(self) -> float | None:
        """The share of issues found before anybody was hurt; None where there was none."""
        return self.found / len(self.verdicts) if self.verdicts else None

    def plus(self, other: Score, place: str) -> Score:
        """Return this score and that of another world together; `place` tells its entities from all others."""
        moved: list[list[Row]] = [
            [{**row, "entity": f"{place} {row['entity']}"} for row in rows] for rows in (other.false, other.right)
        ]
        return Score(
            self.verdicts + other.verdicts, self.false + moved[0], self.decoyed + other.decoyed, self.right + moved[1],
            self.watched + other.watched, self.claims + other.claims,
        )  # fmt: skip

    def by_kind(self) -> dict[str, Score]:
        """Return the score of each kind of issue; rows go with the kind they claim."""
        kinds = {v.issue.kind for v in self.verdicts} | {str(row["kind"]) for row in (*self.false, *self.right)}
        return {
            kind: Score(
                [v for v in self.verdicts if v.issue.kind == kind],
                [r for r in self.false if r["kind"] == kind],
                0,
                [r for r in self.right if r["kind"] == kind],
            )
            for kind in sorted(kinds)
        }


def score(labels: Labels, rows: Iterable[Row], confidence_min: float = CONFIDENCE_MIN) -> Score:
    """Return how the findings or cases in `rows` compare with what was true.

    A row is about an issue if it tells of trouble of the same family (`replay.world.kinds`) on the issue's entity,
    between the onset and the end: an order found stuck and one found at risk are both found, but an account said to
    be taken over is not found charged twice. A finding on the issue's cause, its customers or what shows it too, and
    an echo of it, is neither asked for nor false.

    Args:
        labels: What was true.
        rows: Findings or cases: `kind`, `entity`, and `at` or `opened_at` in µs. Rows with `resolves` are left out.
        confidence_min: Rows that claim less are left out too.
    """
    truth = _Truth(labels)
    found_at: dict[int, int] = {}
    named: set[int] = set()
    right: list[Row] = []
    false: list[Row] = []
    claims: list[Claim] = []
    watched = 0
    for row in rows:
        if row.get("resolves"):
            continue
        hits, confidence = truth.hits(row), row.get("confidence", 1.0)
        claims.append(Claim(str(row.get("agent") or ""), row["kind"], confidence, truth.bears_out(row, hits)))
        if confidence < confidence_min:
            watched += 1
            continue
        for number in hits:
            found_at[number] = min(when(row), found_at.get(number, when(row)))
            if labels.issues[number].kind == row["kind"]:
                named.add(number)
        if hits:
            right.append(row)
        elif not truth.excuses(row):
            false.append(row)
    verdicts = [Verdict(issue, found_at.get(n), n in named) for n, issue in enumerate(labels.issues)]
    return Score(verdicts, false, sum(map(truth.decoys, false)), right, watched, claims)


def when(row: Row) -> int:
    """Return when a finding was made or a case opened, µs."""
    return int(row["at"] if "at" in row else row["opened_at"])


class _Truth:
    """The labels, by what they are about."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._about: dict[tuple[str, str], list[int]] = {}
        self._beside: dict[str, list[Issue]] = {}
        self._echoes: dict[tuple[str, str], list[tuple[int, int]]] = {}
        self._decoys: dict[str, list[tuple[int, int]]] = {}
        for number, issue in enumerate(labels.issues):
            family = family_of(issue.kind)
            people = {f"customer:{customer}" for customer in issue.customers}
            by_customer = people if family in BY_CUSTOMER else set()
            for entity in {issue.entity, *issue.aka} | by_customer:
                self._about.setdefault((family, entity), []).append(number)
            for entity in ({*issue.also, issue.cause, issue.entity} | people) - {""}:
                self._beside.setdefault(entity, []).append(issue)
        for echo in labels.echoes:
            self._echoes.setdefault((echo.kind, echo.entity), []).append((echo.since, echo.until))
        for decoy in labels.decoys:
            self._decoys.setdefault(decoy.entity, []).append((decoy.since, decoy.until))

    def hits(self, row: Row) -> list[int]:
        """Return the numbers of the issues that a row is about."""
        family = family_of(row["kind"])
        entities = [row["entity"]]
        if family in BY_CUSTOMER and row.get("customer"):
            entities.append(f"customer:{row['customer']}")
        numbers = sorted({n for entity in entities for n in self._about.get((family, entity), [])})
        return [n for n in numbers if _during(self._labels.issues[n], when(row))]

    def excuses(self, row: Row) -> bool:
        """Return whether a row about no issue is right all the same, or about what an issue brought about."""
        at, kind = when(row), row["kind"]
        family = FAMILY.get(kind)
        if any(
            _during(issue, at) and family in (None, FAMILY.get(issue.kind))
            for issue in self._beside.get(row["entity"], [])
        ):
            return True
        return self._echoed(kind, row["entity"], at)

    def bears_out(self, row: Row, hits: list[int]) -> bool:
        """Return whether it was as a row says; `hits` are the issues that it is about.

        Of a likely complaint: whether the customer complained, and not only whether the order was in trouble.
        """
        if row["kind"] != COMPLAINT_LIKELY:
            return bool(hits) or self.excuses(row)
        named = any(self._labels.issues[number].kind == COMPLAINT_LIKELY for number in hits)
        return named or self._echoed(COMPLAINT_LIKELY, row["entity"], when(row))

    def _echoed(self, kind: str, entity: str, at: int) -> bool:
        return any(since <= at <= until for since, until in self._echoes.get((kind, entity), []))

    def decoys(self, row: Row) -> bool:
        """Return whether a row fell for a decoy."""
        entities = {row["entity"], f"customer:{row.get('customer', '')}"}
        return any(since <= when(row) < until for entity in entities for since, until in self._decoys.get(entity, []))


def family_of(kind: str) -> str:
    """Return the family of trouble that a kind of finding speaks of; a kind of no family is one by itself."""
    return FAMILY.get(kind, kind)


def _during(issue: Issue, at: int) -> bool:
    return issue.onset <= at <= issue.ends_at
