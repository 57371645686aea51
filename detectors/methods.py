"""The detectors there are, by the name that manifests call them by."""

from __future__ import annotations

from config.converter import Converter
from detectors.adwin import AdwinParameters
from detectors.bank import BankParameters
from detectors.base import Parameters, VectorParameters
from detectors.calibrated import CalibratedParameters
from detectors.coupled import CoupledParameters
from detectors.deviation import DeviationParameters
from detectors.ensemble import EnsembleParameters
from detectors.gaussian import GaussianParameters
from detectors.half_space import HalfSpaceParameters
from detectors.kswin import KswinParameters
from detectors.loda import LodaParameters
from detectors.novelty import NoveltyParameters
from detectors.page_hinkley import PageHinkleyParameters
from detectors.predictive import PredictiveParameters
from detectors.prior import PriorParameters
from detectors.seasonal import SeasonalParameters
from detectors.shift import ShiftParameters
from detectors.threshold import ThresholdParameters

METHODS: dict[str, type[Parameters]] = {
    "adwin": AdwinParameters,
    "calibrated": CalibratedParameters,
    "deviation": DeviationParameters,
    "ensemble": EnsembleParameters,
    "gaussian": GaussianParameters,
    "novelty": NoveltyParameters,
    "kswin": KswinParameters,
    "page-hinkley": PageHinkleyParameters,
    "predictive": PredictiveParameters,
    "prior": PriorParameters,
    "seasonal": SeasonalParameters,
    "shift": ShiftParameters,
    "threshold": ThresholdParameters,
}
"""Of one number."""

VECTOR_METHODS: dict[str, type[VectorParameters]] = {
    "bank": BankParameters,
    "coupled": CoupledParameters,
    "half-space": HalfSpaceParameters,
    "loda": LodaParameters,
}
"""Of several numbers that were measured together."""

CONVERTERS = {name: Converter(kind) for name, kind in METHODS.items()}
"""What reads the parameters of one number's."""


def load_learners() -> None:
    """Import what the methods learn with now, which takes a second: else the first judgement would wait for it."""
    import river.anomaly  # noqa: F401
