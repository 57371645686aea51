"""Runs detectors over machines with labelled segments and says what they come to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detectors.base import VectorDetector
from replay.benchmarks.contenders import VECTOR_CONTENDERS
from replay.benchmarks.segments import Flags, Tally, tally, total
from replay.benchmarks.smd_data import Machine


@dataclass(frozen=True)
class Outcome:
    """What one detector made of all machines."""

    detector: str
    machines: Sequence[Machine]
    detected: Sequence[Flags]
    """Of each row of each machine's test part."""

    def document(self) -> dict[str, Any]:
        """Return the figures as the command prints them: over all, by data set and by machine."""
        families = sorted({each.family for each in self.machines})
        return {
            "detector": self.detector,
            **self._tally(self.machines).document(),
            "by_data_set": {f: self._tally([m for m in self.machines if m.family == f]).document() for f in families},
            "by_machine": {each.name: self._tally([each]).document() for each in self.machines},
            "unmerged": self._tally(self.machines, gap=0).document(),
        }

    def _tally(self, chosen: Sequence[Machine], **options: int) -> Tally:
        names = {each.name for each in chosen}
        pairs = zip(self.machines, self.detected, strict=True)
        return total([tally(flags, each.labels, **options) for each, flags in pairs if each.name in names])


def detect(detector: VectorDetector, machine: Machine) -> Flags:
    """Let a detector learn the first part of a machine, and return what it flags in the second.

    That it learns too, each row after it was judged.
    """
    for row in machine.train.tolist():
        detector.learn_one(row)
    detected = np.zeros(len(machine.test), dtype=np.bool_)
    for number, row in enumerate(machine.test.tolist()):
        detected[number] = detector.score_one(row).flagged
        detector.learn_one(row)
    return detected


def outcome(name: str, machines: Sequence[Machine], advance: Callable[[], None] = lambda: None) -> Outcome:
    """Run the contender of that name over all machines.

    Args:
        name: A key of `VECTOR_CONTENDERS`.
        machines: To run it over.
        advance: Called after each machine.
    """
    detected = []
    for each in machines:
        features = tuple(f"metric {number}" for number in range(each.train.shape[1]))
        detected.append(detect(VECTOR_CONTENDERS[name](features).build(), each))
        advance()
    return Outcome(name, machines, detected)
