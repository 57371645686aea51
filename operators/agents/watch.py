"""Detectors at work: what a manifest's detectors say of the windows that have just closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from config.agents.load import DetectorEntry, Manifest, Reads
from config.clock import micros
from config.duration import parse_duration
from config.errors import SettingsError
from detectors.base import Detector, Parameters, Score, Usual
from detectors.methods import METHODS
from detectors.shift import Shift, ShiftParameters
from operators.blame import SIGNS
from operators.pane import Feature, feature_of, is_feature
from operators.window import Closed

NOTHING = Usual()

Series = tuple[str, str]
"""Event type and metric."""


@dataclass(frozen=True)
class Watch:
    """One detector of the manifest. It is built when it first judges: checking a manifest needs no learner."""

    entry: DetectorEntry
    reads: Reads
    over: int
    """Length of the window it reads, µs; 0 for the pane."""
    parameters: Parameters

    @cached_property
    def feature(self) -> Feature:
        """What it reads of a window."""
        return feature_of(self.reads.feature)

    @cached_property
    def detector(self) -> Detector:
        """One for all services: it takes on the state of the one it judges, for building costs more than judging."""
        return self.parameters.build()

    @cached_property
    def fresh(self) -> list[Any]:
        """Its state before it has learned anything."""
        return self.parameters.build().encode()

    @property
    def sustained(self) -> bool:
        """Whether it flags only what has gone on for several panes, so that one flag is enough."""
        return isinstance(self.parameters, ShiftParameters)


class Judged(NamedTuple):
    """What one detector said of one window."""

    watch: Watch
    closed: Closed
    x: float
    score: Score
    usual: Usual
    """What it took for normal; nothing unless it flagged `x`."""
    says: str
    """How `x` compares with that; empty unless flagged."""
    evidence: float
    """How much `x` speaks for the sign that the detector tells of; 0 where it tells of none."""


def judge(
    watches: Mapping[Series, Sequence[Watch]], states: Mapping[str, list[Any]], closed: Mapping[Series, Closed]
) -> list[Judged]:
    """Let each watch judge its feature of what closed; a window with too few records is not judged.

    Each watch's detector is left with the state it judged from, ready to learn.

    Args:
        watches: By series.
        states: Encoded detectors by name; one that is missing begins anew.
        closed: By series; their order is the order of the result.
    """
    judged = []
    for name, series in closed.items():
        end = series.end
        for watch in watches.get(name, ()):
            window = series.over(watch.over)
            if window.count - window.shed < watch.reads.records_min:
                continue
            entry, detector = watch.entry, watch.detector
            x = watch.feature(window, series.unit)
            detector.decode(states.get(entry.name) or watch.fresh)
            score = detector.score_one(x, at=end)
            usual, says = (detector.usual(x, at=end), detector.explain(x, at=end)) if score.flagged else (NOTHING, "")
            evidence = detector.evidence(x) if entry.sign and isinstance(detector, Shift) else 0.0
            judged.append(Judged(watch, series, x, score, usual, says, evidence))
    return judged


def watch_of(manifest: Manifest, entry: DetectorEntry, reads: Reads) -> Watch:
    """Return the watch that `entry` describes.

    Raises:
        SettingsError: its method, window, feature or a parameter is unknown, or it points to no kind of finding.
    """
    field = f"{manifest.agent}.yaml: detectors: {entry.name}"
    if entry.method not in METHODS:
        raise SettingsError(f"{field}: method is {entry.method!r}.", remedy=f"Use one of {', '.join(sorted(METHODS))}.")
    if not entry.finds and entry.weight:
        raise SettingsError(f"{field}: finds is missing.", remedy="Name the kind of finding it points to.")
    if not is_feature(reads.feature):
        raise SettingsError(
            f"{field}: reads.feature is {reads.feature!r}.", remedy="Use mean, p95, failure_rate, or the like."
        )
    try:
        over = micros(parse_duration(reads.over)) if reads.over else 0
    except ValueError as error:
        raise SettingsError(f"{field}: reads.over: {error}.", remedy="Write a span such as 5m.") from error
    parameters: Parameters = manifest.parameters(entry.name, METHODS[entry.method])
    if entry.sign and not (entry.sign in SIGNS and isinstance(parameters, ShiftParameters)):
        raise SettingsError(
            f"{field}: sign is {entry.sign!r}, of method {entry.method}.",
            remedy=f"Let a detector of method shift tell of one of {', '.join(sorted(SIGNS))}.",
        )
    return Watch(entry, reads, over, parameters)
