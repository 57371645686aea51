"""Drift of what a model reads: whether each number is, among the orders of late, as it was among all before them.

An order counts once for a number: when it first has one. So many orders are a window; a window is held against all
windows before it, as `detectors.drift` does. A number has drifted when several windows in a row lie further away than
chance explains *and* than anybody would mind: of many orders, chance explains only what nobody minds. The drift ends
with the first window that lies near again, because the number has come back, or the new has become usual.

That holds where orders are independent: for the numbers of `order_progress`. Those of `fleet_history` are counts that
fade, shared by many orders: they wander while nothing changes, and chance explains any of it.

A drift decides nothing by itself. It is released, as `drift.begun` and `drift.ended`, so that it stands in the store
beside the findings it bears on: whoever answers for the model looks whether its probabilities still hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from config.events import Event
from config.identity import derived_id
from detectors.drift import Drift, Reference, Sample, psi, reference
from operators.features.order_progress import Row

BEGUN, ENDED = "drift.begun", "drift.ended"


class FeatureDriftParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a number has drifted."""

    window: Annotated[int, Meta(ge=100, le=10_000)] = 500
    """Orders that are held together against all before; the first so many are held against nothing."""
    bins: Annotated[int, Meta(ge=2, le=20)] = 10
    alpha: Annotated[float, Meta(ge=0.0001, le=0.1)] = 0.001
    """Chance that a window lies far away though nothing changed."""
    distance_min: Annotated[float, Meta(ge=0)] = 0.25
    """Population stability index below which nobody minds."""
    lasting: Annotated[int, Meta(ge=1)] = 2
    """So many windows in a row must lie far away."""


class Watched(msgspec.Struct, array_like=True):
    """What is known of one number; a few hundred bytes, but for the first window."""

    first: list[float] = []
    """Values of the first window; empty once it is full."""
    edges: list[float] = []
    """Of the bins, made of the first window,"""
    counts: list[int] = []
    """values in each, of all windows before the present one,"""
    latest: list[int] = []
    """and of the present one."""
    window_at: int = 0
    """When the present window began."""
    far: int = 0
    """Windows in a row that lay far away,"""
    far_at: int = 0
    """when the first of them began,"""
    told: bool = False
    """and whether it was told."""


class FeatureDrift:
    """Watches the numbers that one model reads.

    Args:
        parameters: When a number has drifted.
    """

    def __init__(self, parameters: FeatureDriftParameters) -> None:
        self._parameters = parameters

    def watch(self, key: str, state: dict[str, Watched], values: Mapping[str, float], now: int) -> Iterator[Event]:
        """Count an order's values; yield the drifts that begin or end with it.

        Args:
            key: The model that reads them.
            state: Of its numbers, by name; changed.
            values: Those that the order has for the first time.
            now: Event time, µs.
        """
        for name, value in values.items():
            watched = state.get(name)
            if watched is None:
                watched = state[name] = Watched()
            if not watched.counts:
                watched.first.append(value)
                if len(watched.first) == self._parameters.window:
                    made = reference(watched.first, self._parameters.bins)
                    watched.first, watched.edges, watched.counts = [], made.edges, made.counts
                continue
            known = Reference(watched.edges, watched.counts)
            if not watched.latest:
                watched.latest, watched.window_at = [0] * len(known.counts), now
            watched.latest[known.bin(value)] += 1
            if sum(watched.latest) == self._parameters.window:
                yield from self._judge(key, name, watched, known, now)

    def _judge(self, key: str, name: str, watched: Watched, known: Reference, now: int) -> Iterator[Event]:
        drift = self._far(known, watched.latest)
        if drift is None:
            if watched.told:
                yield _event(ENDED, key, name, watched, now, {})
            watched.far, watched.told = 0, False
        else:
            watched.far_at = watched.far_at if watched.far else watched.window_at
            watched.far += 1
            if watched.far >= self._parameters.lasting and not watched.told:
                watched.told = True
                yield _event(BEGUN, key, name, watched, now, _shown(drift, known))
        watched.counts = [before + new for before, new in zip(watched.counts, watched.latest, strict=True)]
        watched.latest = []

    def _far(self, known: Reference, latest: list[int]) -> Drift | None:
        """Return how far a window lies away; None where nobody minds, or chance explains it."""
        if psi(known.counts, latest) < self._parameters.distance_min:
            return None  # what chance explains takes 30 ms to draw
        sample = Sample(known)
        sample.decode(latest)
        drift = sample.drift(self._parameters.alpha)
        return drift if drift.drifted else None


def fresh(view: str, row: Row, before: Row | None) -> dict[str, float]:
    """Return the numbers of an order at a checkpoint, as `view.number`, that it has for the first time.

    Args:
        view: Name of the view.
        row: The view at the checkpoint.
        before: The view at the checkpoint before; None at the first.
    """
    return {
        f"{view}.{name}": number
        for name, number in row.items()
        if number is not None and (before is None or before[name] is None)
    }


def _shown(drift: Drift, known: Reference) -> dict[str, Any]:
    """Return how far a window lies away, and of the bin that moved most its bounds and shares, now and before."""
    edge, _, share = drift.bins[0]
    place = known.edges.index(edge) + 1 if edge in known.edges else 0
    return {
        "distance": round(drift.distance, 4),
        "threshold": drift.threshold,
        "above": known.edges[place - 1] if place else None,
        "until": known.edges[place] if place < len(known.edges) else None,
        "share": round(share, 4),
        "share_before": round(known.counts[place] / known.values, 4),
    }


def _event(kind: str, key: str, name: str, watched: Watched, now: int, shown: dict[str, Any]) -> Event:
    said = {"model": key, "feature": name, "since": watched.far_at, "at": now, "ended": kind == ENDED}
    return Event(now, derived_id(kind, key, name, watched.far_at), key, kind, said | shown)
