"""The hands of the remediation flow: an executor for each target, each in its own compartment."""

from __future__ import annotations

from config.targets import Target, Targets
from sinks.bulkhead import Bulkheads, Executor
from sinks.http_target import HttpTarget


def make_hands(targets: Targets, *, replay: bool = False) -> Bulkheads:
    """Return who carries out calls to `targets`.

    Args:
        targets: How each is reached.
        replay: Whether calls are of event time.
    """
    return Bulkheads(targets, {name: _executor(target, replay) for name, target in targets.by_name.items()})


def _executor(target: Target, replay: bool) -> Executor:
    return HttpTarget(target, replay=replay)
