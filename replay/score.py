"""How good the findings of a run are, measured against the labels of a simulated world."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from replay.world.labels import Issue, Labels


@dataclass(frozen=True)
class Verdict:
    """What became of one labelled issue."""

    issue: Issue
    found_at: int | None
    """When the first finding on it was made, event time in µs; None where it was missed."""

    @property
    def found(self) -> bool:
        """Whether it was found before any customer complained."""
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
    false: list[Mapping[str, Any]]
    """Rows on an entity that had no trouble at that time."""
    decoyed: int
    """How many of the false ones fell for a decoy."""

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
    def median_lead(self) -> int | None:
        """The median lead of those found before a complaint, µs."""
        leads = [v.lead for v in self.verdicts if v.found and v.lead is not None]
        return int(median(leads)) if leads else None

    def by_kind(self) -> dict[str, Score]:
        """Return the score of each kind of issue; false rows go with the kind they claim."""
        kinds = sorted({v.issue.kind for v in self.verdicts} | {str(row["kind"]) for row in self.false})
        return {
            kind: Score(
                [v for v in self.verdicts if v.issue.kind == kind], [r for r in self.false if r["kind"] == kind], 0
            )
            for kind in kinds
        }


def score(labels: Labels, rows: Iterable[Mapping[str, Any]]) -> Score:
    """Return how the findings or cases in `rows` compare with what was true.

    A row is about an issue if it names the issue's entity between the onset and the end. Which kind it claims does not
    matter: an order found stuck and one found at risk are both found. A row on the issue's cause, on its customers or
    on what shows it too is neither asked for nor false.

    Args:
        labels: What was true.
        rows: Findings or cases: `kind`, `entity`, and `at` or `opened_at` in µs. Rows with `resolves` are left out.
    """
    about: dict[str, list[int]] = {}
    beside: dict[str, list[Issue]] = {}
    for number, issue in enumerate(labels.issues):
        about.setdefault(issue.entity, []).append(number)
        customers = (f"customer:{customer}" for customer in issue.customers)
        for entity in {*issue.also, issue.cause, *customers} - {"", issue.entity}:
            beside.setdefault(entity, []).append(issue)
    found_at: dict[int, int] = {}
    false: list[Mapping[str, Any]] = []
    for row in rows:
        if row.get("resolves"):
            continue
        at = int(row["at"] if "at" in row else row["opened_at"])
        hits = [n for n in about.get(row["entity"], []) if _during(labels.issues[n], at)]
        for number in hits:
            found_at[number] = min(at, found_at.get(number, at))
        if not hits and not any(_during(issue, at) for issue in beside.get(row["entity"], [])):
            false.append(row)
    decoyed = sum(
        any(
            d.entity == row["entity"] and d.since <= int(row.get("at", row.get("opened_at"))) < d.until
            for d in labels.decoys
        )
        for row in false
    )
    return Score([Verdict(issue, found_at.get(n)) for n, issue in enumerate(labels.issues)], false, decoyed)


def _during(issue: Issue, at: int) -> bool:
    return issue.onset <= at <= issue.ends_at
