"""Holds a policy against its cases: what each decides, which fail, and which rules no case reaches. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from config.policies.bundle import Bundle
from config.policies.cases import PolicyCase
from operators.policy import Verdict, decide


@dataclass(frozen=True, slots=True)
class Tested:
    """A case and what was decided."""

    case: PolicyCase
    verdict: Verdict

    @property
    def differs(self) -> dict[str, tuple[object, object]]:
        """(expected, decided) of what differs, by name; empty for a case that holds."""
        expected = msgspec.to_builtins(self.case.expect)
        return {
            name: (wanted, decided)
            for name, wanted in expected.items()
            if (decided := getattr(self.verdict, name)) != wanted
        }


def run_cases(bundle: Bundle, cases: Iterable[PolicyCase]) -> list[Tested]:
    """Decide about each case, by the same core as the job."""
    return [Tested(case, decide(bundle, case.facts)) for case in cases]


def coverage(bundle: Bundle, tested: Iterable[Tested]) -> dict[str, int]:
    """Return how many cases each rule decides, in the order in which rules are tried, the default last."""
    counts = Counter(each.verdict.rule for each in tested)
    return {rule.id: counts[rule.id] for rule in (*bundle.rules, bundle.default)}
