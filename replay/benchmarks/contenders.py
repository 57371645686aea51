"""The detectors that are put to the benchmarks, each in one configuration for all series."""

from __future__ import annotations

from detectors.base import Parameters
from detectors.gaussian import GaussianParameters

CONTENDERS: dict[str, Parameters] = {
    "gaussian": GaussianParameters(direction="both"),
}

USUAL = "gaussian"
"""What is benchmarked when no detector is named."""
