"""The stages that decide in a world: what was earned, cases, and what is withheld from all. For `procedure_world`."""

from __future__ import annotations

from collections.abc import Iterable

from config.events import RELEASE, Event
from config.keys import Keys
from config.policies.documents import Outcome
from config.policies.versions import Versions
from operators.autonomy_stage import AutonomyLogic, routed
from operators.cases import CaseLogic, CaseSettings
from operators.decide import Decider
from operators.guard import GUARD, GuardLogic
from operators.outcomes import OUTCOME
from tests.support.findings import Stage
from tests.support.procedure_policy import AGENTS, MODELS


class Stages:
    """Key groups of the stages, one each.

    Args:
        policy: The policy.
        mode: How far the job may go.
        keys: Of those who may answer.
    """

    def __init__(self, policy: Versions, mode: Outcome, keys: Keys) -> None:
        self._autonomy = Stage(AutonomyLogic(policy, frozenset(AGENTS), MODELS))
        self._case = Stage(CaseLogic(Decider(policy, mode), CaseSettings(), keys=keys))
        self._guard = Stage(GuardLogic(policy))
        self.all = (self._autonomy, self._case, self._guard)

    def feed(self, events: Iterable[Event], until: int) -> list[Event]:
        """Return what leaves when all events come and time goes on, in the order of event time.

        Of one instant what was earned comes first, then what the case stage says.
        """
        sent = [to for event in events for to in _receivers(event)]
        earned = self._autonomy.feed([event for stage, event in sent if stage == "autonomy"], until)
        due = [event for stage, event in (*sent, *earned) if stage == "case"]
        made = self._case.feed(due, until)
        guarded = self._guard.feed([event for stage, event in made if stage == GUARD], until)
        assert {stage for stage, _ in (*earned, *made, *guarded)} <= {RELEASE, GUARD, "case"}
        leaving = [event for stage, event in (*earned, *made, *guarded) if stage == RELEASE]
        return sorted(leaving, key=lambda event: event.at)


def _receivers(event: Event) -> Iterable[tuple[str, Event]]:
    if event.type == OUTCOME:
        return routed(event)
    return [("autonomy" if event.type.startswith("drift.") else "case", event)]
