from __future__ import annotations

import random
from math import erfc, sqrt

import pytest

from detectors.discovery import DiscoveryParameters

LORD = DiscoveryParameters(budget=0.1)
SAFFRON = DiscoveryParameters(budget=0.1, candidate=0.5)
both = pytest.mark.parametrize("parameters", [LORD, SAFFRON], ids=["lord", "saffron"])


def shares(
    parameters: DiscoveryParameters, days: int, tests: int, *, true: float = 0.0, effect: float = 0.0, rho: float = 0.0
) -> tuple[float, float]:
    """Return the mean over days of the share of false discoveries, and the share of true ones that were found."""
    rng, discovery = random.Random(1), parameters.build()
    noise, false_share, hits, effects = 0.0, 0.0, 0, 0
    for day in range(days):
        wrong = right = 0
        for _ in range(tests):
            noise = rho * noise + sqrt(1 - rho**2) * rng.gauss(0, 1)
            real = rng.random() < true
            found = discovery.test(day, 0.5 * erfc((noise + real * effect) / sqrt(2))).discovered
            effects, hits = effects + real, hits + (real and found)
            wrong, right = wrong + (found and not real), right + (found and real)
        false_share += wrong / max(1, wrong + right)
    return false_share / days, hits / max(1, effects)


@both
def test_on_days_without_trouble_a_discovery_is_as_rare_as_the_budget_says(parameters: DiscoveryParameters) -> None:
    days = 400
    assert shares(parameters, days, 100)[0] <= 0.1 + 3 * sqrt(0.1 * 0.9 / days)


@both
@pytest.mark.parametrize(("true", "effect"), [(0.02, 5.0), (0.1, 3.0), (0.3, 2.5)])
def test_the_share_of_false_discoveries_is_within_the_budget(
    parameters: DiscoveryParameters, true: float, effect: float
) -> None:
    false_share, _ = shares(parameters, 60, 300, true=true, effect=effect)
    assert false_share <= 0.12


def test_saffron_uses_most_of_its_budget_and_so_finds_more() -> None:
    lord, saffron = (shares(each, 40, 500, true=0.2, effect=3.0) for each in (LORD, SAFFRON))
    assert saffron[0] > 0.08
    assert saffron[1] > lord[1] + 0.1


def test_lord_stands_p_values_that_follow_each_other() -> None:
    assert shares(LORD, 60, 300, true=0.1, effect=3.0, rho=0.8)[0] <= 0.1


def test_a_fixed_threshold_would_break_the_budget() -> None:
    """What the budget is for: of 300 looks a day at nothing, 5 % are found by a threshold of 0.05."""
    rng = random.Random(3)
    alarmed = [any(rng.random() <= 0.05 for _ in range(300)) for _ in range(100)]
    assert sum(alarmed) == 100
    assert shares(SAFFRON, 100, 300)[0] <= 0.19


@both
def test_a_discovery_refills_the_purse(parameters: DiscoveryParameters) -> None:
    discovery = parameters.build()
    for _ in range(50):
        discovery.test(1, 0.9)
    before = discovery.level()
    assert discovery.test(1, 0.0).discovered
    assert discovery.found == 1
    assert discovery.level() > 5 * before


@both
def test_a_new_day_begins_anew_and_a_late_value_is_charged_to_the_day_at_hand(parameters: DiscoveryParameters) -> None:
    discovery, fresh = parameters.build(), parameters.build()
    for _ in range(50):
        discovery.test(1, 0.9)
    assert discovery.test(2, 0.9) == fresh.test(2, 0.9)
    discovery.test(1, 0.9)
    fresh.test(2, 0.9)
    assert discovery.level() == fresh.level()


def test_a_candidate_costs_nothing() -> None:
    discovery = SAFFRON.build()
    before = discovery.level()
    discovery.test(1, 0.4)
    assert discovery.level() == before
    discovery.test(1, 0.6)
    assert discovery.level() < before


@pytest.mark.parametrize("p_value", [float("nan"), -0.1, 1.1])
def test_what_is_no_p_value_is_refused(p_value: float) -> None:
    with pytest.raises(ValueError, match="p-value"):
        LORD.build().test(1, p_value)


@pytest.mark.parametrize("wrong", [{"budget": 0}, {"budget": 1}, {"candidate": 1}, {"initial": 0}, {"keep": 0}])
def test_parameters_out_of_bounds_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DiscoveryParameters(**wrong)  # type: ignore[arg-type]
