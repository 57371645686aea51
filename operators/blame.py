"""Which service is at fault, when several look sick at once.

Each service that was measured is a hypothesis, scored by how well it explains the last panes: the sum of logarithms of
likelihood ratios (`detectors/shift.py`) of

- its own signs: its processor is busy, it is slow itself although what it calls is not, it fails, it writes more;
- slowness and errors of its direct callers, as the service map names them: a service that answers late makes them
  late, and callers that are as well as ever speak against it;
- silence of what it calls, while it is called as ever: it fails before it gets there.

This is naive Bayes over a dependency graph, of one fault at a time, as in Sherlock (Bahl et al., SIGCOMM 2007) and
Shrink (Kandula et al., MineNet 2005). The share of a suspect is its posterior with equal priors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp

from config.services.load import ServiceMap

LATENCY, ERRORS, CALLS, PROCESSOR, WRITES, QUIET = "latency", "errors", "calls", "processor", "writes", "quiet"
SIGNS = frozenset({LATENCY, ERRORS, CALLS, PROCESSOR, WRITES, QUIET})
"""Signs that detectors of the manifest may tell of: slow; fails; what it calls answers late; processor busy; writes
more than ever; is called less than ever."""
FLAGGED = 2.0
"""What it adds to a service's score, per unit of weight, that its own detectors flagged it."""
FLAGGED_MAX = 4.0
SHARED = 0.5
"""What a service is slow by counts half where it calls others: it may be their fault, and half where others call it."""
SEEN = 0.25
"""What a caller sees of all those it calls together counts a quarter, and only where it speaks for a fault."""
WELL = -1.0
"""A caller that is as well as ever speaks against a service no more than this …"""
AGAINST = -2.0
"""… and all callers together no more than this."""
SILENCE = 1.5
"""Silence of a callee counts as far as it exceeds so many times the caller's own."""
BUSY = 4.0
"""Evidence of a busy processor or of errors that makes a suspect even of a service without any latency."""
SHARE_SPAN = 30.0

Signs = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A service that may be at fault."""

    service: str
    score: float
    share: float
    """Its share of the probability, 0…1, that of all suspects adding up to 1."""


def rank(panes: Mapping[str, Sequence[Signs]], calls: ServiceMap, flagged: Mapping[str, float]) -> list[Suspect]:
    """Return the suspects, the likeliest first, ties by name.

    Args:
        panes: By service: the evidence of each sign in each of the last panes, the same panes for all services.
        calls: Who calls whom.
        flagged: By service: how much its own detectors flagged it.
    """
    total = {service: summed(of) for service, of in panes.items()}
    # A service that served nobody in these panes can have hurt nobody, unless it was flagged itself.
    served = {service for service in total if _serves(total, service) or _busy(total[service])}
    services = sorted(served | flagged.keys())
    scores = {service: _score(service, total, calls, flagged.get(service, 0.0)) for service in services}
    if not scores:
        return []
    best = max(scores.values())
    mass = {service: exp(max(score - best, -SHARE_SPAN)) for service, score in scores.items()}
    whole = sum(mass[service] for service in services)
    suspects = [Suspect(service, scores[service], mass[service] / whole) for service in services]
    return sorted(suspects, key=lambda suspect: (-suspect.score, suspect.service))


def summed(panes: Iterable[Signs]) -> dict[str, float]:
    """Return the evidence of each sign over all panes; a service that serves nobody sees nothing of those it calls."""
    total: dict[str, float] = {}
    for signs in panes:
        for sign, value in signs.items():
            if sign != CALLS or signs.get(LATENCY):
                total[sign] = total.get(sign, 0.0) + value
    return total


def _score(service: str, total: Mapping[str, Signs], calls: ServiceMap, flagged: float) -> float:
    own = total.get(service, {})
    callees = [total[callee] for callee in calls.callees(service) if _serves(total, callee)]
    callers = [total[caller] for caller in calls.callers(service) if _serves(total, caller)]
    slow = own.get(LATENCY, 0.0)
    if callees:
        slow = SHARED * slow - max(own.get(CALLS, 0.0), 0.0)
    score = max(slow, 0.0) + sum(max(own.get(sign, 0.0), 0.0) for sign in (PROCESSOR, ERRORS))
    score += SHARED * max(own.get(WRITES, 0.0), 0.0)
    # Where nobody is known to call it, nobody speaks for it either.
    score += max(sum(map(_felt, callers)), AGAINST) if callers else AGAINST
    usual = SILENCE * max(own.get(QUIET, 0.0), 0.0) + 1
    score += sum(max(signs.get(QUIET, 0.0) - usual, 0.0) for signs in callees)
    return score + min(FLAGGED * flagged, FLAGGED_MAX)


def _busy(signs: Signs) -> bool:
    return max(signs.get(PROCESSOR, 0.0), signs.get(ERRORS, 0.0)) > BUSY


def _serves(total: Mapping[str, Signs], service: str) -> bool:
    """Tell whether the service served anybody: of one that did not, no latency was measured."""
    return bool(total.get(service, {}).get(LATENCY))


def _felt(caller: Signs) -> float:
    """Return how much a caller speaks for a fault of what it calls."""
    seen = SEEN * max(caller.get(CALLS, 0.0), 0.0)
    return max(SHARED * (caller.get(LATENCY, 0.0) + caller.get(ERRORS, 0.0)) + seen, WELL)
