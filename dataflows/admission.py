"""What keeps an action from being begun, whatever was decided: it becomes a recommendation, and says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from config.actions import Action
from config.clock import MICROSECOND, micros, to_text
from config.duration import format_duration
from config.playbooks.model import Playbook
from config.targets import Targets

_KEEPER = "whoever keeps the settings of the remediation flow"


@dataclass(frozen=True)
class Admission:
    """Says why an action is not begun now.

    Args:
        playbooks: By remedy.
        targets: Where they act.
        act_lag_max: An action decided longer ago than that was decided on what is stale.
        warmup: So much must have been observed before anything is changed.
        since: From which event time on things are observed, microseconds.
        sandbox_only: Whether only targets that are there to be tried on may be changed: a replay.
    """

    playbooks: Mapping[str, Playbook]
    targets: Targets
    act_lag_max: timedelta
    warmup: timedelta
    since: int
    sandbox_only: bool = False

    def __call__(self, action: Action, now: int) -> str:
        """Return why `action` is not begun at `now`, "" where it may be."""
        if now - action.at > micros(self.act_lag_max):
            age = format_duration((now - action.at) // 1_000_000 * 1_000_000 * MICROSECOND)
            return (
                f"It was decided {age} ago, on what is stale by now: remediation.act_lag_max is "
                f"{format_duration(self.act_lag_max)}, which {_KEEPER} may change."
            )
        if action.at < self.since + micros(self.warmup):
            return (
                f"Too little is observed yet: since {to_text(self.since)}, and remediation.warmup is "
                f"{format_duration(self.warmup)}, which {_KEEPER} may change."
            )
        return self._of_targets(action)

    def _of_targets(self, action: Action) -> str:
        playbook = self.playbooks.get(action.remedy)
        names = sorted(playbook.targets) if playbook is not None else []
        for name in names:
            target = self.targets.by_name.get(name)
            if target is None:
                return f"There is no target {name!r} in {self.targets.file.name}; {self.targets.owner} may add it."
            if self.sandbox_only and not target.sandbox:
                return (
                    f"A replay does not act on real targets, and {name!r} is no sandbox; {self.targets.owner} may say "
                    "that it is one, and whoever runs it may give --real-targets."
                )
        return ""
