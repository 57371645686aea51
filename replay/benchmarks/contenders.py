"""The detectors that are put to the benchmarks, each in one configuration for all series or all machines."""

from __future__ import annotations

from collections.abc import Callable

from detectors.base import Parameters, VectorParameters
from detectors.coupled import CoupledParameters
from detectors.deviation import DeviationParameters
from detectors.gaussian import GaussianParameters
from detectors.half_space import HalfSpaceParameters
from detectors.loda import LodaParameters
from detectors.novelty import NoveltyParameters

CONTENDERS: dict[str, Parameters] = {
    "novelty": NoveltyParameters(),
    "gaussian": GaussianParameters(direction="both"),
    "deviation": DeviationParameters(direction="both"),
}
"""Of one number."""

VECTOR_CONTENDERS: dict[str, Callable[[tuple[str, ...]], VectorParameters]] = {
    # The floor is in the unit of the benchmark's metrics, which are scaled to lie between 0 and 1.
    "coupled": lambda features: CoupledParameters(features=features, floor=0.02),
    "half-space": lambda features: HalfSpaceParameters(features=features),
    "loda": lambda features: LodaParameters(features=features),
}
"""Of several numbers, by the names of those."""

USUAL = {"nab": "novelty", "smd": "coupled"}
"""What is put to each benchmark when no detector is named."""
