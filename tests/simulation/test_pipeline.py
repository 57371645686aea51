"""The outputs of all stages together depend on nothing but the content of the partitions.

One content, many schedules: batches, interleavings, pauses, held-back watermarks, checkpoints, crashes. A failure
prints the seeds that make it again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from config.agents.load import Budget, load_manifests
from config.clock import DAY, HOUR, MINUTE, micros
from config.events import Event
from config.features.load import load_views
from config.policies.autonomy import Autonomy
from config.policies.guardrails import Freeze, Guardrails, Limit, Turn
from config.policies.versions import Versions, load_policy
from config.services.load import load_service_map
from dataflows.detection import Logics
from operators.agents.base import CustomerAgent
from operators.agents.billing import BillingAgent
from operators.agents.complaints import BurstWatch
from operators.agents.devices import SharedCardsWatch
from operators.agents.experience import ComplaintRiskParameters
from operators.agents.fulfilment import FulfilmentAgent
from operators.agents.outage import OutageAgent
from operators.agents.stock import OversoldWatch
from operators.autonomy_stage import AutonomyLogic
from operators.cases import CaseLogic, CaseSettings
from operators.cause import CauseLogic
from operators.cause_state import CauseSettings
from operators.decide import Decider
from operators.evidence import Sources
from operators.fan_in import FanInSettings
from operators.features.checkpoints import MODEL
from operators.fleet import FleetLogic, FleetRule
from operators.fleet_watch import Watch
from operators.fold import JourneyLimits
from operators.guard import WITHHELD, GuardLogic
from operators.journey import JourneyLogic, JourneySettings
from operators.risk import RiskLogic
from operators.telemetry import STOCK_TYPE, TelemetryLogic
from tests.support.autonomy import LIMIT, outcome
from tests.support.pipeline import Content, Fact, Output, Pipeline, Schedule
from tests.support.shop import shop
from tests.support.telemetry import SETTINGS, STREAMS

SCHEDULES = 12
PACES = (timedelta(0), timedelta(milliseconds=50), timedelta(days=1))
MANIFESTS, VIEWS = load_manifests(), load_views()
CAUSES = CauseSettings(
    fan_in={
        "lane": FanInSettings(window=timedelta(days=5), customers_min=2, ratio=1.0, customers_max=3),
        "seller": FanInSettings(window=timedelta(days=5), customers_min=3, ratio=1.0, customers_max=4),
    },
    fan_out_max=5,
    touched_max=6,
    reopen_within=timedelta(days=5),
    idle_ttl=timedelta(days=8),
    episode_max=timedelta(days=6),
)
RISK = ComplaintRiskParameters(
    threshold=0.1, early_margin=0.02, complaints_min=1, label_within=timedelta(days=4), pending_max=6, entities_max=5
)
JOURNEYS = JourneySettings(
    finished_ttl=timedelta(days=5),
    unfinished_ttl=timedelta(days=10),
    contact_ttl=timedelta(days=3),
    usage_ttl=timedelta(days=3),
    signal_ttl=timedelta(days=6),
    limits=JourneyLimits(orders_max=3, contacts_max=2, records_max=3, signals_max=2),
)
CASES = CaseSettings(
    case_ttl=timedelta(days=4),
    memory_ttl=timedelta(days=20),
    reopen_within=timedelta(days=12),
    contact_window=timedelta(days=3),
)
"""Small bounds and short times to live, so that each of them matters."""
BUDGETS = {"fulfilment": Budget(share=0.3, spare=0.5), "experience": Budget(share=0.5, spare=0.5)}


def logics(policy: Versions | None = None) -> Logics:
    agents: list[CustomerAgent] = [FulfilmentAgent.of(MANIFESTS["fulfilment"]), BillingAgent.of(MANIFESTS["billing"])]
    policy = policy or load_policy()
    decider = Decider(policy, "act")
    watches: list[Watch] = [
        OversoldWatch.of(MANIFESTS["fulfilment"], STREAMS[STOCK_TYPE].pane),
        SharedCardsWatch.of(MANIFESTS["fraud"]),
        BurstWatch.of(MANIFESTS["experience"]),
    ]
    return Logics(
        telemetry=lambda: TelemetryLogic(STREAMS, OutageAgent(MANIFESTS["outage"]), micros(SETTINGS.entity_ttl)),
        fleet=lambda: FleetLogic(MANIFESTS["outage"].parameters("fleet", FleetRule), load_service_map()),
        journey=lambda: JourneyLogic(agents, JOURNEYS, judged=True, counted=True),
        risk=lambda: RiskLogic(VIEWS, RISK),
        cause=lambda: CauseLogic(CAUSES, watches),
        autonomy=lambda: AutonomyLogic(policy, frozenset(MANIFESTS), {MODEL: "experience"}),
        case=lambda: CaseLogic(decider, CASES, Sources(MANIFESTS), BUDGETS),
        guard=lambda: GuardLogic(decider.policy),
    )


def plainly(content: Content, folder: Path) -> list[Output]:
    """Return the outputs of the plainest schedule: large batches, no pause, no crash."""
    return Pipeline(content, logics(), Schedule(0, 1 << 20, 0, 0), folder).run()


def schedule(seed: int) -> Schedule:
    return Schedule(
        seed,
        batch_max=(1, 40, 400, 4_000)[seed % 4],
        crash_rate=(0, 0.01, 0.03)[seed % 3],
        emit_interval=PACES[seed // 2 % 3],
        inline_bytes=0 if seed % 11 == 10 else 1 << 30,
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_outputs_depend_only_on_the_content_of_the_partitions(seed: int, tmp_path: Path) -> None:
    content = shop(seed, lateness=(0, 0, DAY)[seed % 3], disorder=(0, 2 * HOUR, 2 * DAY)[seed % 3])
    expected = plainly(content, tmp_path)
    assert_full(expected)
    for number in range(seed * 100, seed * 100 + SCHEDULES):
        chosen = schedule(number)
        outputs = Pipeline(content, logics(), chosen, tmp_path / str(number)).run()
        assert outputs == expected, f"content {seed}, {chosen}"


@pytest.mark.slow
def test_cases_open_again_in_what_is_replayed(tmp_path: Path) -> None:
    types = Counter(output[0] for output in plainly(shop(0, lateness=0, disorder=0), tmp_path))
    assert types["case.reopened"] > 0, types


SCHEMING = 3
"""Schedules under which levels of autonomy are tried."""


def easily_moved() -> Versions:
    """Return the default policy, by which levels move with little evidence."""
    bundle = load_policy().newest
    limit = replace(
        LIMIT, start="autonomous", failures=1, verified_min=3, success_min=0.4, false_max=0.6, probation=DAY
    )
    return Versions((replace(bundle, autonomy=Autonomy(limits=(limit,))),))


def with_outcomes(content: Content, actions: list[dict[str, Any]]) -> Content:
    """Return `content` with what came of actions: the first ones fail, and those of others, later, help."""
    agent = actions[0]["agent"]
    theirs = [each for each in actions if each["agent"] == agent][:2]
    told = [outcome_of(each, each["at"] + HOUR, state="escalated", verdict="ineffective") for each in theirs]
    told += [msgspec.structs.replace(event, at=event.at + MINUTE) for event in told]  # told again
    since = theirs[-1]["at"] + 3 * DAY
    told += [outcome_of(theirs[0] | {"action_id": f"{n:032x}"}, since + n * HOUR) for n in range(30)]
    return with_control(content, told)


def with_control(content: Content, told: list[Event]) -> Content:
    """Return `content` with control records, in the order in which they take effect."""
    facts: list[Fact] = [*sorted(told, key=lambda event: event.order)]
    return replace(content, partitions={**content.partitions, "outcomes/0": facts}, controls=frozenset({"outcomes/0"}))


def outcome_of(action: dict[str, Any], at: int, **given: Any) -> Event:
    names = {name: action.get(name) for name in ("case_id", "agent", "remedy", "segment")}
    return outcome(at, action["action_id"], **({"case_key": action["customer"] or action["entity"]} | names | given))


@pytest.mark.slow
def test_levels_of_autonomy_depend_only_on_the_content_of_the_partitions(tmp_path: Path) -> None:
    policy, content = easily_moved(), shop(5, disorder=2 * HOUR)
    plain = Schedule(0, 1 << 20, 0, 0)
    before = Pipeline(content, logics(policy), plain, tmp_path).run()
    acted = sorted((orjson.loads(output[-1]) for output in before if output[0] == "action"), key=itemgetter("at"))
    told = with_outcomes(content, acted)
    expected = Pipeline(told, logics(policy), plain, tmp_path).run()
    levels = sorted((output for output in expected if output[0] == "autonomy.changed"), key=itemgetter(2))
    assert [orjson.loads(output[-1])["cause"] for output in levels] == [
        "failures",
        "failures",
        "probation-over",
        "earned",
    ]
    assert Counter(output[0] for output in expected)["action"] < len(acted)
    for number in range(SCHEMING):
        chosen = schedule(number + 1)
        assert Pipeline(told, logics(policy), chosen, tmp_path / str(number)).run() == expected, chosen


def tightly_guarded() -> Versions:
    """Return the default policy with guardrails of each kind that are reached again and again."""
    bundle = load_policy().newest
    common: dict[str, Any] = {"owner": "desk", "then": "recommend", "remedies": frozenset(bundle.remedies)}
    limit: dict[str, Any] = common | {"counts": "actions", "within": DAY}
    guardrails = Guardrails(
        limits=(
            Limit(name="each", per="customer", most=1, **limit),
            Limit(name="cause", per="cause", most=2, **limit),
            Limit(name="all", per="all", most=2, **(limit | {"within": 2 * DAY})),
            Limit(name="share", per="all", most=1, share=0.4, **(limit | {"counts": "customers"})),
        ),
        freezes=(Freeze(name="night", weekly=tuple((d * DAY, d * DAY + 6 * HOUR) for d in range(7)), **common),),
        turns=(Turn(name="turn", **common),),
    )
    return Versions((replace(bundle, guardrails=guardrails),))


@pytest.mark.slow
def test_what_guardrails_hold_back_depends_only_on_the_content_of_the_partitions(tmp_path: Path) -> None:
    policy, content = tightly_guarded(), shop(5, disorder=2 * HOUR)
    expected = Pipeline(content, logics(policy), Schedule(0, 1 << 20, 0, 0), tmp_path).run()
    told = {kind: [orjson.loads(each[-1]) for each in expected if each[0] == kind] for kind in ("decision", WITHHELD)}
    held = {each["guardrail"] for row in told["decision"] for each in row.get("guardrails", ())}
    withheld = {each["guardrail"] for row in told[WITHHELD] for each in row["guardrails"]}
    assert held >= {"each", "night"}
    assert withheld >= {"all", "share"}
    for number in range(SCHEMING):
        chosen = schedule(number + 1)
        assert Pipeline(content, logics(policy), chosen, tmp_path / str(number)).run() == expected, chosen
    heard = with_control(content, [refusal_of(each) for each in told[WITHHELD]])
    known = Pipeline(heard, logics(policy), Schedule(0, 1 << 20, 0, 0), tmp_path / "heard").run()
    reasons = [orjson.loads(each[-1])["reason"] for each in known if each[0] == "decision"]
    assert any("It is decided anew at" in reason for reason in reasons)
    acted = [{orjson.loads(each[-1])["action_id"] for each in run if each[0] == "action"} for run in (known, expected)]
    assert acted[0] - acted[1]
    for number in range(SCHEMING):
        chosen = schedule(number + 1)
        assert Pipeline(heard, logics(policy), chosen, tmp_path / f"heard {number}").run() == known, chosen


def refusal_of(withheld: dict[str, Any]) -> Event:
    """Return what the remediation flow tells of an action that guardrails withheld."""
    names = [each["guardrail"] for each in withheld["guardrails"]]
    given = {"state": "refused", "guardrails": names, "again_at": withheld["again_at"]}
    return outcome_of(withheld["action"], withheld["at"] + HOUR, **given)


def assert_full(outputs: list[Output]) -> None:
    """Check that every stage had its say, and that no id was used twice."""
    types = Counter(output[0] for output in outputs)
    for kind in ("finding", "case.opened", "case.updated", "case.resolved", "decision"):
        assert types[kind] > 20, types
    assert any(b'"held":true' in bytes(output[-1]) for output in outputs)
    assert len({(output[0], output[1]) for output in outputs}) == len(outputs)
