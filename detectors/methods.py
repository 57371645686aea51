"""The detectors there are, by the name that manifests call them by."""

from __future__ import annotations

from detectors.base import Parameters
from detectors.deviation import DeviationParameters
from detectors.gaussian import GaussianParameters
from detectors.threshold import ThresholdParameters

METHODS: dict[str, type[Parameters]] = {
    "deviation": DeviationParameters,
    "gaussian": GaussianParameters,
    "threshold": ThresholdParameters,
}
"""Of one number."""


def load_learners() -> None:
    """Import what the methods learn with now, which takes a second: else the first judgement would wait for it."""
    import river.anomaly  # noqa: F401
