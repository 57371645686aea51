"""What customers say of one seller: of whom many complain, whether of all it sells or of one product.

A rate of few is drawn towards the rate of all, which draws the one seller of whom everybody complains towards the many
others. So a small part of the prior is for those who are bad (a mixture of conjugate priors: Gelman et al., Bayesian
Data Analysis): ten complaints of ten say 0.9 then, not 0.6, and one of one nearly what it did.

A product may be bad, too, of a seller who is not. How likely it is, follows from the same mixture, against what the
seller's other products let expect; so much of its complaints is set aside when the seller is judged, and counts for
the orders of that product alone. And one customer is one voice, however often they complain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp
from typing import NamedTuple

import msgspec

from config.identity import short_hash
from detectors.rates import share_odds

BAD_SHARE = 0.02
"""So many sellers, and products of a seller, are bad:"""
BAD = (2.0, 1.0)
"""of two customers in three who complain, give or take (Beta)."""
SHARES = 2
"""The shares that are counted by product: complaints, and complaints of orders delivered in time."""
PRODUCTS_MAX = 8
"""Products of one seller that are remembered: those most complained of,"""
CUSTOMERS_MAX = 16
"""and customers who complained, the last."""


class Voices(msgspec.Struct, array_like=True, gc=False):
    """Who complained of a seller, and of what."""

    products: dict[int, list[float]] = {}
    """Of each product since its first complaint, by hash: hits and trials in turn, of each share."""
    customers: list[int] = []
    """Hashes of those who complained."""

    def hear(self, customer: str, products: Iterable[str], shares: Iterable[int], complaint: bool) -> bool:
        """Take note of an answer; return whether it counts: not if the customer has complained before."""
        if complaint:
            voice = short_hash(customer)
            if voice in self.customers:
                return False
            self.customers = [*self.customers, voice][-CUSTOMERS_MAX:]
        for product in sorted({short_hash(product) for product in products}):
            if complaint or product in self.products:
                counts = self.products.setdefault(product, [0.0] * (2 * SHARES))
                for share in shares:
                    counts[2 * share] += complaint
                    counts[2 * share + 1] += 1.0
        while len(self.products) > PRODUCTS_MAX:
            del self.products[min(self.products, key=lambda product: (self.products[product][0], product))]
        return True

    def fade(self, factor: float) -> None:
        """Let all counts become so much of what they were."""
        self.products = {name: [count * factor for count in counts] for name, counts in self.products.items()}


class Told(NamedTuple):
    """What is known of a seller by now."""

    hits: float
    """Complaints"""
    trials: float
    """among so many answers."""
    voices: Voices | None
    """Who they are of, and of what;"""
    left: float
    """what is left by now of the counts in it."""


def rate_of_seller(
    told: Told, share: int, products: Sequence[str], usual: float, strength: float
) -> tuple[float, float]:
    """Return the rate of complaints to expect of an order, and how likely its seller or product is of the bad ones.

    Args:
        told: Of the order's seller.
        share: Which of the shares is meant.
        products: Those of the order.
        usual: Rate of all sellers,
        strength: which counts for so many answers.
    """
    hits, trials, voices, left = told
    rest_hits, rest, own = hits, trials, set(map(short_hash, products))
    its_own: list[tuple[float, float]] = []
    for product, counts in voices.products.items() if voices is not None else ():
        its_hits, its = left * counts[2 * share], left * counts[2 * share + 1]
        others, _ = _mixed(hits - its_hits, trials - its, usual, strength)
        bad = _bad(its_hits, its, others, strength)
        rest_hits, rest = rest_hits - bad * its_hits, rest - bad * its
        if product in own:
            its_own.append(((its_hits + BAD[0]) / (its + sum(BAD)), bad))
    rate, bad = _mixed(rest_hits, rest, usual, strength)
    return max([(rate, bad), *((rate + its_bad * (its - rate), bad + its_bad * (1 - bad)) for its, its_bad in its_own)])


def _mixed(hits: float, trials: float, usual: float, strength: float) -> tuple[float, float]:
    """Return the rate by the mixture, and how likely it is one of the bad ones."""
    hits, trials = max(hits, 0.0), max(trials, 0.0)
    rate, bad = (hits + usual * strength) / (trials + strength), _bad(hits, trials, usual, strength)
    return rate + bad * ((hits + BAD[0]) / (trials + sum(BAD)) - rate), bad


def _bad(hits: float, trials: float, usual: float, strength: float) -> float:
    """Return how likely it is one of the bad ones: the posterior of that part of the mixture."""
    misses = max(trials - hits, 0.0)
    odds = BAD_SHARE / (1 - BAD_SHARE) * exp(share_odds(hits, misses, BAD, (usual * strength, (1 - usual) * strength)))
    return odds / (1 + odds)
