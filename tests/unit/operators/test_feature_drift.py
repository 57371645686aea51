from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import msgspec
import pytest
from msgspec.structs import replace

from config.clock import DAY, HOUR
from config.events import RELEASE, Event
from config.features.load import load_views
from operators.agents.experience import ComplaintRiskParameters
from operators.feature_drift import BEGUN, ENDED, FeatureDrift, FeatureDriftParameters, Watched, fresh
from operators.features.checkpoints import MODEL
from operators.features.order_progress import Row
from operators.frame import Frame
from operators.journey import JourneyLogic, JourneySettings
from operators.journey_state import Journey
from operators.keyed import KeyedGroup
from operators.risk import RiskLogic
from operators.risk_state import RiskState
from tests.support.journeys import START, approved, placed

PARAMETERS = FeatureDriftParameters(window=200)
Law = Callable[[random.Random], float]
NORMAL: Law = lambda rng: rng.gauss(0, 1)  # noqa: E731
MOVED: Law = lambda rng: rng.gauss(1, 1)  # noqa: E731


def values(*laws: Law, seed: int = 1) -> list[float]:
    """Return one window of each law."""
    rng = random.Random(seed)
    return [law(rng) for law in laws for _ in range(PARAMETERS.window)]


def told(numbers: Iterable[float], state: dict[str, Watched] | None = None, first: int = 0) -> list[Event]:
    state = {} if state is None else state
    drift = FeatureDrift(PARAMETERS)
    return [
        event
        for hour, number in enumerate(numbers, first)
        for event in drift.watch("complaint", state, {"view.number": number}, hour * HOUR)
    ]


def test_a_lasting_change_is_told_once_with_its_beginning_and_its_end() -> None:
    begun, ended = told(values(*[NORMAL] * 10, *[MOVED] * 4, NORMAL))
    assert (begun.type, ended.type) == (BEGUN, ENDED)
    assert begun.at == (12 * 200 - 1) * HOUR
    assert ended.at == (15 * 200 - 1) * HOUR
    assert begun.data["since"] == ended.data["since"] == 10 * 200 * HOUR
    assert begun.data["distance"] > 0.25 > begun.data["threshold"] > 0
    assert (begun.data["model"], begun.data["feature"], begun.data["ended"]) == ("complaint", "view.number", False)


def test_it_says_which_values_are_more_frequent_than_before() -> None:
    begun = told(values(NORMAL, NORMAL, MOVED, MOVED))[0].data
    assert begun["above"] > 1.0
    assert begun["until"] is None
    assert begun["share_before"] < 0.3 < 0.35 < begun["share"]
    falling = told([-number for number in values(NORMAL, NORMAL, MOVED, MOVED)])[0].data
    assert (falling["above"], falling["until"] < -1.0) == (None, True)


def test_a_change_that_passes_within_a_window_is_not_told() -> None:
    assert told(values(*[NORMAL] * 4, MOVED, NORMAL, MOVED, NORMAL)) == []


def test_what_has_become_usual_is_no_drift_any_more() -> None:
    events = told(values(*[NORMAL] * 3, *[MOVED] * 12))
    assert [event.type for event in events] == [BEGUN, ENDED]


@pytest.mark.parametrize(
    "law",
    [NORMAL, lambda rng: float(rng.random() < 0.1), lambda rng: rng.expovariate(1) ** 3, lambda rng: 7.0],
    ids=["normal", "mostly 0", "heavy", "constant"],
)
def test_nothing_is_told_while_nothing_changes(law: Law) -> None:
    for seed in range(10):
        assert told(values(*[law] * 20, seed=seed)) == []


def test_a_change_that_nobody_minds_is_not_told_however_sure_it_is() -> None:
    slightly: Law = lambda rng: rng.gauss(0.25, 1)  # noqa: E731
    assert told(values(*[NORMAL] * 30, *[slightly] * 20)) == []


@pytest.mark.parametrize("cut", [1, 150, 200, 399, 400, 2_350, 2_600])
def test_state_resumes_to_the_same_drifts(cut: int) -> None:
    numbers, state = values(*[NORMAL] * 10, *[MOVED] * 4, NORMAL), dict[str, Watched]()
    before = told(numbers[:cut], state)
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=dict[str, Watched])
    assert before + told(numbers[cut:], kept, cut) == told(numbers)


def test_what_is_kept_of_a_number_is_bounded() -> None:
    state: dict[str, Watched] = {}
    numbers = values(*[NORMAL] * 10)
    sizes = []
    for number in range(0, len(numbers), 50):
        told(numbers[number : number + 50], state)
        sizes.append(len(msgspec.msgpack.encode(state)))
    assert max(sizes) < 200 * 9 + 50
    assert max(sizes[4:]) < 250


def test_an_order_counts_once_for_a_number_when_it_first_has_one() -> None:
    first: Row = {"stage": 0.0, "transit": None}
    assert fresh("progress", first, None) == {"progress.stage": 0.0}
    later: Row = {"stage": 1.0, "transit": 2.0}
    assert fresh("progress", later, first) == {"progress.transit": 2.0}
    assert fresh("progress", later, later) == {}


def orders(count: int, promised_days: Law, since: int) -> list[Event]:
    """Return orders of as many customers, one an hour, that are placed and approved."""
    rng, made = random.Random(since), list[Event]()
    for number in range(count):
        at, name = since + number * HOUR, f"{since}-{number}"
        promised_at = at + int(promised_days(rng) * DAY)
        life = placed(at, order=name, promised_at=promised_at), approved(at + 1, order=name, ship_by=at + 4 * DAY)
        made += [replace(event, key=f"customer-{name}") for event in life]
    return made


def test_the_risk_stage_tells_that_promises_have_become_longer() -> None:
    journey: KeyedGroup[Journey] = KeyedGroup(JourneyLogic([], JourneySettings(), judged=True), ["all"])
    logic = RiskLogic(load_views(), ComplaintRiskParameters(), FeatureDriftParameters(window=100))
    risk: KeyedGroup[RiskState] = KeyedGroup(logic, ["journey"])
    then = START + 400 * HOUR
    events = orders(400, lambda rng: rng.uniform(10, 20), START) + orders(250, lambda rng: rng.uniform(15, 25), then)
    journey.receive(Frame(0, "all", then + 300 * HOUR, events))
    told = [event for to, event in journey.advance() if to == "risk"]
    risk.receive(Frame(0, "journey", journey.cut, told))
    released = [event for to, event in risk.advance() if to == RELEASE]
    assert [(event.type, event.data["feature"]) for event in released] == [(BEGUN, "order_progress.left_days")]
    assert then <= released[0].data["since"] < then + 2 * HOUR
    state = risk.state_of(MODEL)
    assert state is not None
    assert sum(state.drift["order_progress.left_days"].counts) == 600
