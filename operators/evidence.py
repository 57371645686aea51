"""Weighs what several findings say together: evidence of one source counts once, that of others adds up.

A finding's confidence is *discounted* by how reliable its source is (Shafer, A Mathematical Theory of Evidence, 1976,
chapter 11). Findings of one *family* of sources stand on the same records; of them the strongest counts, which is the
cautious rule for bodies of evidence that are not distinct (Denœux, Artificial Intelligence 172, 2008). Families are
taken for independent and combined by Dempster's rule, which for evidence that speaks for one and the same thing is the
noisy-or `1 - Π (1 - p)` (Pearl, Probabilistic Reasoning in Intelligent Systems, 1988, section 4.3.2).

All of it is a function of the set of findings: maxima, and a product in the order of the families' names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from config.agents.load import Manifest, Source

STANDS_ON = "counted_kind"
"""Evidence feature of a finding that was counted from other findings: their commonest kind. Its source is theirs."""

SPEAKS = 0.5
"""From this on a family speaks for a case: what is more likely wrong than right supports nobody."""


class Sources:
    """The source of each kind of finding.

    Args:
        manifests: By agent; an agent without one is a family of its own, and reliable.
    """

    def __init__(self, manifests: Mapping[str, Manifest] | None = None) -> None:
        self._by_agent: dict[str, Source] = {}
        self._by_kind: dict[tuple[str, str], Source] = {}
        self._agent_of: dict[str, str] = {}
        for agent, manifest in (manifests or {}).items():
            source = manifest.source
            self._by_agent[agent] = Source(source.family or agent, source.reliability)
            for kind in manifest.findings:
                self._agent_of.setdefault(kind, agent)
            for kind, special in source.kinds.items():
                self._by_kind[agent, kind] = Source(special.family or source.family or agent, special.reliability)

    def of(self, agent: str, kind: str, stands_on: object = None) -> Source:
        """Return the source of a finding.

        Args:
            agent: Who found it.
            kind: What.
            stands_on: Its feature `STANDS_ON`, if it has one.
        """
        if isinstance(stands_on, str) and stands_on in self._agent_of:
            agent, kind = self._agent_of[stands_on], stands_on
        return self._by_kind.get((agent, kind)) or self._by_agent.get(agent) or Source(agent)


def strongest(evidence: Iterable[tuple[Source, float]]) -> dict[str, float]:
    """Return by family of sources, in the order of their names, the strongest that it says.

    Args:
        evidence: The source and the confidence of each finding.
    """
    found: dict[str, float] = {}
    for source, confidence in evidence:
        found[source.family] = max(source.reliability * confidence, found.get(source.family, 0.0))
    return dict(sorted(found.items()))


def speaking(families: Mapping[str, float]) -> int:
    """Return how many families speak for the case."""
    return sum(confidence >= SPEAKS for confidence in families.values())


def combined(families: Mapping[str, float]) -> float:
    """Return how likely it is that at least one family is right, to a millionth: the families are independent."""
    doubt = 1.0
    for confidence in families.values():
        doubt *= 1.0 - confidence
    return round(1.0 - doubt, 6)
