"""Holds a policy against its cases: what each decides, which fail, and which rules no case reaches. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from config.policies.bundle import Bundle
from config.policies.cases import PolicyCase
from config.policies.modes import is_off
from operators.policy import Verdict, decide


@dataclass(frozen=True, slots=True)
class Tested:
    """A case and what was decided."""

    case: PolicyCase
    verdict: Verdict

    @property
    def differs(self) -> dict[str, tuple[object, object]]:
        """(expected, decided) of what differs, by name; empty for a case that holds."""
        expected, verdict = msgspec.to_builtins(self.case.expect), self.verdict
        decided = {
            "outcome": verdict.outcome,
            "remedy": verdict.remedy,
            "rule": verdict.rule,
            "parameters": dict(verdict.parameters),
            "shadow": verdict.shadow.rule if verdict.shadow else "",
        }
        return {name: (wanted, decided[name]) for name, wanted in expected.items() if decided[name] != wanted}


def run_cases(bundle: Bundle, cases: Iterable[PolicyCase]) -> list[Tested]:
    """Decide about each case, by the same core as the job."""
    return [Tested(case, decide(bundle, case.facts)) for case in cases]


def coverage(bundle: Bundle, tested: Iterable[Tested]) -> dict[str, int]:
    """Return how many cases each rule decides, live or in shadow, in the order in which they are tried, the default
    last; without rules that are off.
    """
    verdicts = [each.verdict for each in tested]
    counts = Counter(said.rule for verdict in verdicts for said in (verdict, verdict.shadow) if said is not None)
    return {rule.id: counts[rule.id] for rule in (*bundle.rules, bundle.default) if not is_off(bundle.modes, rule.id)}
