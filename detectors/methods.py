"""The detectors there are, by the name that manifests call them by."""

from __future__ import annotations

from detectors.gaussian import GaussianParameters
from detectors.threshold import ThresholdParameters

METHODS: dict[str, type[GaussianParameters] | type[ThresholdParameters]] = {
    "gaussian": GaussianParameters,
    "threshold": ThresholdParameters,
}


def load_learners() -> None:
    """Import what the methods learn with now, which takes a second: else the first judgement would wait for it."""
    import river.anomaly  # noqa: F401
