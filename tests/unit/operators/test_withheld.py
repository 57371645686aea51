"""An action that the guard stage withholds, from its decision until its case knows: through all that it passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from config.actions import decode_action
from config.clock import DAY, HOUR
from config.effects import Traits
from config.events import RELEASE, Event
from config.policies.versions import Versions
from operators.guard import GUARD, WITHHELD, GuardLogic
from operators.outcomes import OUTCOME
from operators.saga import SagaStep
from operators.saga_moves import Around
from operators.saga_state import Saga
from tests.support.approvals import Desk, event_of, signed
from tests.support.findings import Stage, finding
from tests.support.playbooks import playbook
from tests.support.policies import bundle_of, rule

LIMIT: dict[str, Any] = {"description": "d", "per": "all", "most": 1, "within": "10h", "owner": "team-g"}


class Loop:
    """Case stage, guard stage, and the saga of each action that is withheld; what it tells comes back at once."""

    def __init__(self, folder: Path, outcome: str = "act", **limit: Any) -> None:
        made = bundle_of(folder, rule("any", "true", outcome, "ticket"), guardrails={"limits": {"few": LIMIT | limit}})
        self.desk = Desk(made, mode="act")
        self.guard = Stage(GuardLogic(Versions((made,))))
        self.book = playbook(folder, name="ticket")
        self.told: list[dict[str, Any]] = []

    def feed(self, *events: Event, until: int = 0) -> None:
        """Have all of it happen; `until` is where time goes on to."""
        until = until or max(event.at for event in events) + 1
        emitted = self.desk.stage.feed(events, until)
        leaving = self.guard.feed([event for to, event in emitted if to == GUARD], until)
        self.desk.out += [event for to, event in [*emitted, *leaving] if to == RELEASE]
        heard = [self.refused(event, until) for _, event in leaving if event.type == WITHHELD]
        if heard:
            self.feed(*heard)

    def refused(self, event: Event, now: int) -> Event:
        """Return the outcome that the remediation flow tells of what is withheld; it does nothing else."""
        action = decode_action(orjson.dumps(event.data))
        around = Around(now, lambda target: Traits(), lambda target, operation: None)
        step = SagaStep(Saga(action.action_id), action, self.book, around)
        step.on_time()
        assert (step.call, step.saga.is_open, list(step.saga.times)) == (None, False, ["intended", "refused"])
        (outcome,) = step.outcomes
        self.told.append(msgspec.to_builtins(outcome))
        number = len(self.told)
        return Event(now, f"o{number}", event.key, OUTCOME, self.told[-1], "outcomes/0", number)

    @property
    def done(self) -> list[tuple[int, str]]:
        return [(each["at"], each["entity"]) for each in self.desk.of("action")]

    def decided(self, order: int) -> list[dict[str, Any]]:
        entity = f"order:{order}"
        case = next(each["case_id"] for each in self.desk.of("case.opened") if each["change"]["entity"] == entity)
        return [each for each in self.desk.of("decision") if each["case_id"] == case]


def on(order: int, at: int, **given: Any) -> Event:
    return finding(kind="order.late", entity=f"order:{order}", customer=f"c{order}", at=at, **given).event(f"c{order}")


def test_the_case_of_a_withheld_action_knows_that_nothing_was_done_and_until_when(tmp_path: Path) -> None:
    loop = Loop(tmp_path)
    loop.feed(on(1, HOUR), on(2, 2 * HOUR))
    loop.feed(on(2, 3 * HOUR, occurrence="again"))
    assert loop.done == [(HOUR, "order:1")]
    (told,) = loop.told
    assert (told["state"], told["guardrails"], told["again_at"], told["effects"]) == ("refused", ["few"], 11 * HOUR, [])
    act, *later = loop.decided(2)
    assert act["outcome"] == "act"
    assert [each["outcome"] for each in later] == ["recommend", "recommend"]
    assert later[0]["reason"] == (
        "any. It was decided before, and not done: Withheld by guardrail few: what may be done for all is spent. "
        "It is decided anew at 1970-01-01T11:00:00Z."
    )
    assert later[1]["facts"]["last_outcome"] == "refused"
    assert later[1]["facts"]["open_remedy"] == ""


def test_it_is_done_once_there_is_room_as_another_action(tmp_path: Path) -> None:
    loop = Loop(tmp_path)
    loop.feed(on(1, HOUR), on(2, 2 * HOUR))
    loop.desk.stage.restart()
    loop.guard.restart()
    loop.feed(until=2 * DAY)
    assert loop.done == [(HOUR, "order:1"), (11 * HOUR, "order:2")]
    second = loop.desk.of("action")[1]
    assert second["action_id"] != loop.desk.of(WITHHELD)[0]["action_id"]
    assert second["decision_id"] == loop.decided(2)[-1]["decision_id"]
    loop.feed(on(2, 2 * DAY, occurrence="again"))
    assert "to be done before" in loop.decided(2)[-1]["reason"]


def test_whoever_finds_the_limit_full_twice_is_left_to_a_person(tmp_path: Path) -> None:
    loop = Loop(tmp_path)
    loop.feed(*(on(number, HOUR + number) for number in range(8)))
    loop.feed(until=20 * DAY)
    assert [at for at, _ in loop.done] == [HOUR, 11 * HOUR]
    given_up = [number for number in range(1, 8) if f"order:{number}" not in {entity for _, entity in loop.done}]
    assert len(given_up) == 6
    for number in given_up:
        decisions = loop.decided(number)
        assert [each["outcome"] for each in decisions] == ["act", "recommend", "act", "recommend"]
        assert decisions[-1]["reason"].endswith("is spent. A person may do it.")
    assert len(loop.told) == 7 + 6


def test_what_a_limit_never_bears_is_not_tried_again(tmp_path: Path) -> None:
    loop = Loop(tmp_path, most=0)
    loop.feed(on(1, HOUR), until=3 * HOUR)
    loop.feed(until=20 * DAY)
    assert loop.told[0]["again_at"] is None
    assert [each["outcome"] for each in loop.decided(1)] == ["act", "recommend"]


def test_what_people_consented_to_and_was_withheld_is_asked_anew_when_there_is_room(tmp_path: Path) -> None:
    loop = Loop(tmp_path, outcome="approve")
    loop.feed(on(1, HOUR), on(2, HOUR + 1))
    for number, request in enumerate(loop.desk.of("approval.requested")):
        loop.feed(event_of(signed(request, "maria", 2 * HOUR), 2 * HOUR + number))
    assert loop.done == [(2 * HOUR, "order:1")]
    assert [each["outcome"] for each in loop.decided(2)] == ["approve", "act", "recommend"]
    loop.feed(until=12 * HOUR + 1)
    assert [each["at"] for each in loop.desk.of("approval.requested")] == [HOUR, HOUR + 1, 12 * HOUR]
    loop.feed(event_of(signed(loop.desk.of("approval.requested")[-1], "maria", 12 * HOUR + 1), 12 * HOUR + 1))
    assert loop.done[1:] == [(12 * HOUR + 1, "order:2")]


@pytest.mark.parametrize("at", [12 * HOUR, 13 * HOUR])
def test_room_that_is_there_when_the_outcome_comes_is_used_at_once(tmp_path: Path, at: int) -> None:
    loop = Loop(tmp_path)
    loop.feed(on(1, HOUR))
    emitted = loop.desk.stage.feed([on(2, 2 * HOUR)], 2 * HOUR + 1)
    ((_, withheld),) = loop.guard.feed([event for to, event in emitted if to == GUARD], 2 * HOUR + 1)
    loop.feed(loop.refused(withheld, at), until=at + 1)
    assert loop.done[1:] == [(at, "order:2")]


@pytest.mark.parametrize("causes", [8, 9])
def test_nobody_slips_past_the_limit_of_a_cause_by_naming_many(tmp_path: Path, causes: int) -> None:
    loop = Loop(tmp_path, per="cause", most=1)
    loop.feed(on(1, HOUR, causes=["lane:z"]))
    many = [f"lane:{number}" for number in range(causes - 1)]
    # The one that is full comes last by name, and with a finding of its own.
    loop.feed(on(2, 2 * HOUR, causes=many))
    loop.feed(on(3, 3 * HOUR, causes=many[:1], occurrence="a", confidence=0.1))
    loop.feed(on(2, 4 * HOUR, causes=["lane:z"], occurrence="b"))
    loop.feed(on(4, 5 * HOUR, causes=[*many, "lane:z"]))
    assert [entity for _, entity in loop.done] == ["order:1", "order:2"]
    reasons = [each["reason"] for each in loop.desk.of(WITHHELD) if each["action"]["entity"] == "order:4"]
    assert ("more causes than are counted" in reasons[0]) == (causes == 9)
