"""Half-space trees: how few of the latest values fell where this one falls, in random cuts of the space of features.

River's `HalfSpaceTrees` (Tan, Ting and Liu 2011), small: 5 trees of height 5 are 315 nodes, two counts each. The cuts
are made once, in the unit cube, from the seed alone; features are brought there by their scale, so that all detectors
of the same parameters have the same trees and only counts are state.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Any

from detectors.vector import Panel, PanelParameters


class HalfSpaceParameters(PanelParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a `HalfSpace`; `build` makes it."""

    trees: int = 5
    height: int = 5
    window: int = 60
    """Values in each of the two windows: that of the latest complete one is the reference."""
    reach: float = 6.0
    """Deviations from the median that lie within the cube; beyond, its border counts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trees < 1 or not 1 <= self.height <= 10:
            raise ValueError(f"trees {self.trees} must be at least 1, height {self.height} from 1 to 10")
        if not 2 <= self.window <= self.grace:
            # The trees must know a whole window before scores mean anything.
            raise ValueError(f"2 ≤ window {self.window} ≤ grace {self.grace} must hold")
        self._check_above(0, "reach")

    def build(self) -> HalfSpace:
        """Return a detector that knows nothing yet."""
        return HalfSpace(self)


class HalfSpace(Panel):
    """See the module; its model is [counts of the reference, counts of the window under way, values in it, first]."""

    def __init__(self, parameters: HalfSpaceParameters) -> None:
        from river import anomaly

        nodes = parameters.trees * (2 ** (parameters.height + 1) - 1)
        super().__init__(parameters, model_size=32 + 2 * (5 + 5 * nodes))
        self._reach = parameters.reach
        self._trees: Any = anomaly.HalfSpaceTrees(
            n_trees=parameters.trees, height=parameters.height, window_size=parameters.window, seed=parameters.seed
        )
        self._names = [f"{number:04}" for number in range(len(self.features))]
        trees: Any = self._trees
        trees.learn_one(dict.fromkeys(self._names, 0.5))  # makes the cuts
        self._nodes = [node for tree in self._trees._tree_nodes for node in tree]
        self._clear()

    def _raw(self, x: Sequence[float]) -> float:
        # The logarithm tells apart what the score crowds together just below 1: cells that are nearly empty.
        return -log(max(1e-9, 1 - self._trees.score_one(self._cube(x))))

    def _teach(self, x: Sequence[float]) -> None:
        self._trees.learn_one(self._cube(x))

    def _clear(self) -> None:
        for node in self._nodes:
            node.r_mass = node.l_mass = 0
        self._trees.counter, self._trees._first_window = 0, True

    def _model(self) -> list[Any]:
        reference, latest = [node.r_mass for node in self._nodes], [node.l_mass for node in self._nodes]
        return [reference, latest, self._trees.counter, self._trees._first_window]

    def _restore(self, state: Sequence[Any]) -> None:
        reference, latest, self._trees.counter, self._trees._first_window = state
        for node, r_mass, l_mass in zip(self._nodes, reference, latest, strict=True):
            node.r_mass, node.l_mass = r_mass, l_mass

    def _cube(self, x: Sequence[float]) -> dict[str, float]:
        scale, edge = 2 * self._reach, self._reach
        return {name: (max(-edge, min(edge, y)) + edge) / scale for name, y in zip(self._names, x, strict=True)}
