"""The detectors there are, by the name that manifests call them by."""

from __future__ import annotations

from detectors.base import Parameters, VectorParameters
from detectors.deviation import DeviationParameters
from detectors.gaussian import GaussianParameters
from detectors.half_space import HalfSpaceParameters
from detectors.loda import LodaParameters
from detectors.predictive import PredictiveParameters
from detectors.threshold import ThresholdParameters

METHODS: dict[str, type[Parameters]] = {
    "deviation": DeviationParameters,
    "gaussian": GaussianParameters,
    "predictive": PredictiveParameters,
    "threshold": ThresholdParameters,
}
"""Of one number."""

VECTOR_METHODS: dict[str, type[VectorParameters]] = {
    "half-space": HalfSpaceParameters,
    "loda": LodaParameters,
}
"""Of several numbers that were measured together."""


def load_learners() -> None:
    """Import what the methods learn with now, which takes a second: else the first judgement would wait for it."""
    import river.anomaly  # noqa: F401
