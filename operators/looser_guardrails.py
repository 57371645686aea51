"""Whether a policy holds back less than another: each guardrail of the one has to be kept by one of the other."""

from __future__ import annotations

from collections.abc import Iterator

from config.policies.bundle import Bundle
from config.policies.guardrails import Freeze, Guardrail, Limit, Sequence


def differences(old: Bundle, new: Bundle) -> Iterator[tuple[int, str]]:
    """Yield in what the sections `guardrails` differ, each with whether it makes `new` looser (1) or tighter (-1).

    A guardrail is kept where another one holds back all that it does. Which name that bears means nothing, but for a
    limit of a cause or of all: what was spent is known by its name, and under another one it starts anew. It is a
    remedy at a time that is looked at: what held back two may be two guardrails now.

    Args:
        old: The policy of today.
        new: The one to come.
    """
    remedies = frozenset(old.remedies) & frozenset(new.remedies)
    for sign, before, after in ((1, old, new), (-1, new, old)):
        for guardrail in before.guardrails:
            lost = [
                remedy
                for remedy in sorted(guardrail.remedies & remedies)
                if not any(
                    remedy in other.remedies and _keeps(other, guardrail, remedies) for other in after.guardrails
                )
            ]
            if lost:
                how = "holds back less than it did" if sign == 1 else "holds back more than was"
                yield sign, f"guardrail {guardrail.name} {how}, of {', '.join(lost)}"


def _keeps(other: Guardrail, guardrail: Guardrail, remedies: frozenset[str]) -> bool:
    """Return whether `other` holds back whatever `guardrail` does of a remedy that both speak of.

    Args:
        other: Of the other policy.
        guardrail: Of the one.
        remedies: That both policies have.
    """
    consents = other.then == guardrail.then == "approve" and other.owner == guardrail.owner
    if type(other) is not type(guardrail) or not (other.then == "recommend" or consents):
        return False
    if isinstance(guardrail, Freeze) and isinstance(other, Freeze):
        always = not other.weekly or set(guardrail.weekly) <= set(other.weekly) != set()
        weekly = always if guardrail.weekly else not other.weekly
        return weekly and other.begins <= guardrail.begins and guardrail.ends <= other.ends
    if isinstance(guardrail, Sequence) and isinstance(other, Sequence):
        return guardrail.after & remedies <= other.after and guardrail.within <= other.within
    counts = guardrail.remedies & remedies <= other.remedies
    if isinstance(guardrail, Limit) and isinstance(other, Limit):
        same = (guardrail.per, guardrail.counts) == (other.per, other.counts)
        less = other.most <= guardrail.most and other.share <= guardrail.share
        knows = guardrail.per == "customer" or other.name == guardrail.name
        return counts and same and less and knows and guardrail.within <= other.within
    return counts
