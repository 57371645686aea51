"""The detectors that are put to the benchmarks, each in one configuration for all series."""

from __future__ import annotations

from detectors.base import Parameters
from detectors.deviation import DeviationParameters
from detectors.gaussian import GaussianParameters
from detectors.novelty import NoveltyParameters

CONTENDERS: dict[str, Parameters] = {
    "novelty": NoveltyParameters(),
    "gaussian": GaussianParameters(direction="both"),
    "deviation": DeviationParameters(direction="both"),
}

USUAL = "novelty"
"""What is benchmarked when no detector is named."""
