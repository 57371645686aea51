"""Detectors made of detectors: ensemble, bank, calibration."""

from __future__ import annotations

import random
from math import sqrt
from typing import Any

import pytest

from detectors.bank import BankParameters
from detectors.calibrated import CalibratedParameters
from detectors.combine import combined, surprise
from detectors.ensemble import EnsembleParameters
from detectors.gaussian import GaussianParameters
from detectors.part import Part
from detectors.seasonal import SeasonalParameters
from detectors.tail import TailParameters

GAUSSIAN = Part("gaussian", {"direction": "up"})
LIMIT = Part("threshold", {"direction": "up", "limit": 110.0}, name="limit")


def trained(parameters: Any, count: int = 300, seed: int = 1) -> Any:
    rng, detector = random.Random(seed), parameters.build()
    for _ in range(count):
        detector.learn_one(rng.gauss(100, 5))
    return detector


def test_an_ensemble_flags_what_one_of_its_members_finds_and_names_it() -> None:
    detector = trained(EnsembleParameters(of=(GAUSSIAN, LIMIT)))
    assert not detector.score_one(109).flagged
    assert detector.score_one(111).flagged
    assert detector.contributions(111)[0][0] == "limit"
    assert detector.explain(111).startswith("limit: 111, above the limit of 110; also gaussian (")
    assert detector.usual(111).limit == 110


def test_members_that_agree_are_believed_sooner() -> None:
    parts = (GAUSSIAN, Part("deviation", {"direction": "up"}), Part("prior", {"direction": "up"}))
    alone = trained(EnsembleParameters(of=(GAUSSIAN,))).score_one(118)
    agreed = trained(EnsembleParameters(of=parts, rule="cauchy")).score_one(118)
    bound = trained(EnsembleParameters(of=parts)).score_one(118)
    assert bound.p_value == pytest.approx(3 * alone.p_value, rel=0.1)
    assert agreed.p_value < 1.3 * alone.p_value


@pytest.mark.parametrize("rule", ["bonferroni", "cauchy"])
@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_combined_p_values_hold_under_dependence(rule: Any, rho: float) -> None:
    rng, hits = random.Random(2), 0
    from math import erfc

    for _ in range(20_000):
        common = rng.gauss(0, 1)
        scores = [sqrt(rho) * common + sqrt(1 - rho) * rng.gauss(0, 1) for _ in range(4)]
        hits += combined([0.5 * erfc(score / sqrt(2)) for score in scores], rule) <= 0.01
    assert hits / 20_000 <= 0.012


def test_combining_keeps_what_is_next_to_impossible() -> None:
    assert combined([1e-200, 1.0], "cauchy") == pytest.approx(2e-200)
    assert combined([0.0, 1.0], "bonferroni") == 0
    assert 0 < combined([0.0, 1.0], "cauchy") < 1e-290
    assert combined([1.0, 1.0], "cauchy") >= 0.5
    assert surprise(0.5) == 0


def test_a_bank_sees_the_one_number_that_is_off() -> None:
    names = tuple(f"metric {number}" for number in range(20))
    rng, detector = random.Random(3), BankParameters(features=names, of=GAUSSIAN).build()
    for _ in range(200):
        detector.learn_one([rng.gauss(100, 5) for _ in names])
    row = [100.0] * 20
    assert not detector.score_one(row).flagged
    row[7] = 150.0
    assert detector.score_one(row).flagged
    assert detector.contributions(row)[0][0] == "metric 7"
    assert detector.explain(row).startswith("metric 7 (99%); metric 7 is 150, usually about 99.45")
    with pytest.raises(ValueError, match="20 features"):
        detector.score_one([1.0])


def test_calibration_takes_wild_series_for_what_they_are() -> None:
    """Student's t with 3 degrees of freedom: to a Gaussian one value in 100 is beyond its 1 in 1000."""
    rng = random.Random(4)
    plain = GaussianParameters(direction="up").build()
    calibrated = CalibratedParameters(of=GAUSSIAN, tail=TailParameters(window=300)).build()
    low = {"plain": 0, "calibrated": 0}
    for number in range(8000):
        x = rng.gauss(0, 1) / sqrt(rng.gammavariate(1.5, 2) / 3)
        if number >= 500:
            low["plain"] += plain.score_one(x).p_value <= 0.001
            low["calibrated"] += calibrated.score_one(x).p_value <= 0.001
        plain.learn_one(x)
        calibrated.learn_one(x)
    assert low["plain"] > 3 * 7.5
    assert low["calibrated"] <= 2 * 7.5


def test_the_limit_of_a_calibrated_detector_is_where_it_flags() -> None:
    detector = trained(CalibratedParameters(of=GAUSSIAN, p_max=0.01), count=500)
    limit = detector.usual(130).limit
    assert not detector.score_one(limit - 0.01).flagged
    assert detector.score_one(limit + 0.01).flagged
    assert detector.score_one(limit + 0.01).p_value <= 0.0101
    assert "once in" in detector.explain(limit)


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (Part("gausian", {}), "method"),
        (Part("gaussian", {}), "direction"),
        (Part("gaussian", {"direction": "up", "thresh": 3}), "thresh"),
    ],
)
@pytest.mark.parametrize("whole", [CalibratedParameters, SeasonalParameters])
def test_a_part_that_cannot_be_is_refused(whole: Any, part: Part, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        whole(of=part)


def test_members_of_the_same_name_are_refused() -> None:
    with pytest.raises(ValueError, match="another name"):
        EnsembleParameters(of=(GAUSSIAN, GAUSSIAN))
