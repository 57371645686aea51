"""The detectors there are, by the name that manifests call them by."""

from __future__ import annotations

from detectors.gaussian import GaussianParameters
from detectors.threshold import ThresholdParameters

METHODS: dict[str, type[GaussianParameters] | type[ThresholdParameters]] = {
    "gaussian": GaussianParameters,
    "threshold": ThresholdParameters,
}
