"""How unusual a count is, by what its own past and that of its peers let expect.

Both distributions are those of a count whose rate is itself uncertain: a prior of peers, updated by the entity's own
past. So an entity of which little is known is judged by its peers, and one of long standing by itself (Gelman et al.,
Bayesian Data Analysis, 3rd edition, sections 2.4 and 2.6).
"""

from __future__ import annotations

from math import exp, lgamma, log, log1p

TERMS_MAX = 10_000
"""Terms summed of a tail; those beyond are far smaller than what is left of a double's digits."""


def poisson_tail(count: int, shape: float, exposure: float, span: float = 1.0) -> float:
    """Return the probability of `count` or more events within `span`, their rate being Gamma(`shape`, `exposure`).

    1 where `count` is not above the mean: then nothing is unusual about it.

    That of a negative binomial. A prior of mean m per unit of time, worth e units of watching, is (m * e, e); n events
    seen within t units make it (m * e + n, e + t).

    Args:
        count: Events seen.
        shape: Events expected and seen before, above 0.
        exposure: Time watched before, above 0, in the unit of `span`.
        span: Time within which `count` was seen.
    """
    if count <= span * shape / exposure:
        return 1.0
    log_q, log_p = log(span) - log(exposure + span), -log1p(span / exposure)
    term = exp(lgamma(shape + count) - lgamma(shape) - lgamma(count + 1) + shape * log_p + count * log_q)
    ratio, total, x = exp(log_q), 0.0, count
    for _ in range(TERMS_MAX):
        total += term
        term *= ratio * (shape + x) / (x + 1)
        x += 1
        if term < total * 1e-16:
            break
    return min(total, 1.0)


def share_tail(hits: int, trials: int, shape_hits: float, shape_misses: float) -> float:
    """Return the probability of `hits` or more among `trials`, the share being Beta(`shape_hits`, `shape_misses`).

    1 where `hits` is not above the mean.

    That of a beta-binomial. A prior share s, worth n trials, is (s * n, (1 - s) * n); hits and misses seen add to it.

    Args:
        hits: Trials with the trait.
        trials: All.
        shape_hits: Expected and seen before with it, above 0,
        shape_misses: and without it, above 0.
    """
    whole = shape_hits + shape_misses
    if hits <= trials * shape_hits / whole:
        return 1.0
    base = lgamma(whole) - lgamma(shape_hits) - lgamma(shape_misses) + lgamma(trials + 1) - lgamma(whole + trials)
    total = 0.0
    for x in range(hits, min(trials, hits + TERMS_MAX) + 1):
        misses = trials - x
        total += exp(base - lgamma(x + 1) - lgamma(misses + 1) + lgamma(shape_hits + x) + lgamma(shape_misses + misses))
    return min(total, 1.0)


def share_odds(hits: float, misses: float, shape: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the log of how much likelier a share of Beta(`shape`) makes what was seen than one of Beta(`other`).

    The logarithm of a Bayes factor; counts may have faded to fractions.

    Args:
        hits: Trials with the trait,
        misses: and without it.
        shape: As of `share_tail`, hits first.
        other: Likewise.
    """
    return (
        _log_beta(shape[0] + hits, shape[1] + misses)
        - _log_beta(*shape)
        - _log_beta(other[0] + hits, other[1] + misses)
        + _log_beta(*other)
    )


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
