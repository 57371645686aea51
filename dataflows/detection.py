"""The detection flow: from source partitions to the outbox.

    source ─┬─► telemetry ─┬─► journey ─┬─► cause ─► case ─► outbox
            ├──────────────┼──► journey ├─► risk ──► case ─► guard ─► outbox
            │              ├──► cause   └──────────► case
            │              └──► fleet ─► cause
            ├─► autonomy ─► case (control topics, and drift from risk)
            ├─► case (control topics)
            └─► outbox (late records, dead letters; what each stage has open at the end)

Only wiring: what a stage does stands in `operators/`, and every choice comes in from outside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from config.settings import KeyGroups
from dataflows.sources import PartitionSource
from dataflows.stages import Stage, StatePlace, build_stage, frames_for, only, releases_of
from operators.logic import KeyedLogic
from sinks.gate import Gate, assert_gated
from sinks.outbox import OutboxSink, Outlet, part_names
from sinks.outlets import StoreOutlet

RISK_GROUPS = 1
"""Key groups of the risk stage: its key is the model, and there is one."""
AUTONOMY_GROUPS = 1
"""Key groups of the autonomy stage: evidence is not divided."""
FLEETS = 1
"""Key groups of the fleet stage: a job watches one fleet, and one group sees all of it."""
GUARDS = 1
"""Key groups of the guard stage: its limits are over all customers."""

MakeLogic = Callable[[], KeyedLogic[Any]]


@dataclass(frozen=True)
class Logics:
    """What each stage does; each is made once per key group."""

    telemetry: MakeLogic
    fleet: MakeLogic
    journey: MakeLogic
    risk: MakeLogic
    cause: MakeLogic
    autonomy: MakeLogic
    case: MakeLogic
    guard: MakeLogic


@dataclass(frozen=True)
class Layout:
    """How the flow is cut up; all but the interval is fixed for the life of a recovery folder."""

    key_groups: KeyGroups
    sink_parts: int
    emit_interval: timedelta


class KindsOutlet(Outlet, Protocol):
    """An outlet for some kinds of outputs."""

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds."""


def receivers_of(key_groups: KeyGroups) -> dict[str, int]:
    """Return the stages that data partitions send to, with their key groups."""
    return {"telemetry": key_groups.telemetry, "journey": key_groups.journey}


def control_receivers_of(key_groups: KeyGroups) -> dict[str, int]:
    """Return the stages that control partitions send to, with their key groups."""
    return {"autonomy": AUTONOMY_GROUPS, "case": key_groups.case}


def stages(
    layout: Layout, logics: Logics, sources: tuple[str, ...], place: StatePlace, controls: tuple[str, ...] = ()
) -> dict[str, Stage]:
    """Return the stages in the order of the flow, each with the channels that bring it frames.

    Args:
        layout: How the flow is cut up.
        logics: What the stages do.
        sources: Data partitions.
        place: Where the state logs are.
        controls: Control partitions.
    """
    groups = layout.key_groups

    def stage(name: str, count: int, logic: MakeLogic, channels: tuple[str, ...], **receivers: int) -> Stage:
        return Stage(name, count, logic, channels, receivers, layout.sink_parts, layout.emit_interval, place)

    telemetry = stage(
        "telemetry",
        groups.telemetry,
        logics.telemetry,
        sources,
        journey=groups.journey,
        fleet=FLEETS,
        cause=groups.cause,
    )
    fleet = stage("fleet", FLEETS, logics.fleet, telemetry.outlets, cause=groups.cause)
    journey = stage(
        "journey",
        groups.journey,
        logics.journey,
        sources + telemetry.outlets,
        risk=RISK_GROUPS,
        cause=groups.cause,
        case=groups.case,
        guard=GUARDS,
    )
    risk = stage("risk", RISK_GROUPS, logics.risk, journey.outlets, autonomy=AUTONOMY_GROUPS, case=groups.case)
    autonomy = stage("autonomy", AUTONOMY_GROUPS, logics.autonomy, risk.outlets + controls, case=groups.case)
    speakers = telemetry.outlets + fleet.outlets + journey.outlets
    cause = stage("cause", groups.cause, logics.cause, speakers, case=groups.case)
    told = journey.outlets + risk.outlets + cause.outlets + autonomy.outlets
    case = stage("case", groups.case, logics.case, told + controls, guard=GUARDS)
    guard = stage("guard", GUARDS, logics.guard, journey.outlets + case.outlets)
    return {each.name: each for each in (telemetry, fleet, journey, risk, cause, autonomy, case, guard)}


def build(
    layout: Layout,
    logics: Logics,
    source: PartitionSource,
    store_url: str,
    place: StatePlace,
    finished: Callable[[], bool],
    topics: KindsOutlet | None = None,
    tell_held: Callable[[str, int], None] = lambda outbox, held: None,
) -> Dataflow:
    """Return the detection flow.

    Args:
        layout: How it is cut up.
        logics: What the stages do.
        source: All partitions.
        store_url: The store that the outbox releases into, prepared for this run.
        place: Where the state logs are.
        finished: Whether the run is over: see `Gate`.
        topics: What some kinds of outputs are released to beside the store, from an outbox of their own.
        tell_held: Told how many bytes an outbox holds, by name.

    Raises:
        UsageError: the outbox would not stand behind the gate.
    """
    sources, controls = source.data_parts(), source.control_parts()
    made = stages(layout, logics, sources, place, controls)
    telemetry, fleet, journey, risk, cause, autonomy, case, guard = made.values()

    flow = Dataflow("detection")
    gate = op.input("gate", flow, Gate(finished))
    items = op.input("source", flow, source)

    telemetry_items = build_stage("telemetry", telemetry, frames_for("source_to_telemetry", "telemetry", items))
    fleet_items = build_stage("fleet", fleet, frames_for("telemetry_to_fleet", "fleet", telemetry_items))
    journey_items = build_stage(
        "journey",
        journey,
        op.merge(
            "to_journey",
            frames_for("source_to_journey", "journey", items),
            frames_for("telemetry_to_journey", "journey", telemetry_items),
        ),
    )
    risk_items = build_stage("risk", risk, frames_for("journey_to_risk", "risk", journey_items))
    cause_items = build_stage(
        "cause",
        cause,
        op.merge(
            "to_cause",
            frames_for("telemetry_to_cause", "cause", telemetry_items),
            frames_for("fleet_to_cause", "cause", fleet_items),
            frames_for("journey_to_cause", "cause", journey_items),
        ),
    )
    autonomy_items = build_stage(
        "autonomy",
        autonomy,
        op.merge(
            "to_autonomy",
            frames_for("source_to_autonomy", "autonomy", items),
            frames_for("risk_to_autonomy", "autonomy", risk_items),
        ),
    )
    case_items = build_stage(
        "case",
        case,
        op.merge(
            "to_case",
            frames_for("source_to_case", "case", items),
            frames_for("journey_to_case", "case", journey_items),
            frames_for("risk_to_case", "case", risk_items),
            frames_for("cause_to_case", "case", cause_items),
            frames_for("autonomy_to_case", "case", autonomy_items),
        ),
    )
    guard_items = build_stage(
        "guard",
        guard,
        op.merge(
            "to_guard",
            frames_for("journey_to_guard", "guard", journey_items),
            frames_for("case_to_guard", "guard", case_items),
        ),
    )
    releases = op.merge(
        "releases",
        gate,
        releases_of("source_releases", items),
        releases_of("telemetry_releases", telemetry_items),
        releases_of("fleet_releases", fleet_items),
        releases_of("journey_releases", journey_items),
        releases_of("risk_releases", risk_items),
        releases_of("cause_releases", cause_items),
        releases_of("autonomy_releases", autonomy_items),
        releases_of("case_releases", case_items),
        releases_of("guard_releases", guard_items),
    )
    senders = frozenset(sources + controls).union(*(stage.outlets for stage in made.values()))
    parts = part_names(layout.sink_parts)
    op.output("outbox", releases, OutboxSink(StoreOutlet(store_url), parts, senders, tell_held))
    if topics is not None:
        chosen = op.flat_map("to_topics", releases, only(topics.kinds))
        op.output("topics", chosen, OutboxSink(topics, parts, senders, tell_held))
    assert_gated(flow)
    return flow
