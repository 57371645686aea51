"""Loads what the job knows of its domain: contracts, agents' manifests, the policy; makes the stages' logics of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from config.agents.load import Manifest, load_manifests
from config.clock import micros
from config.contracts import BUILT_IN, ContractSet, load_contracts
from config.features.load import load_views
from config.findings import FLEET_AGENT
from config.keys import Keys, load_keys
from config.policies.signatures import judge_signatures, read_signatures
from config.policies.versions import Versions, load_policy, load_versions
from config.services.load import load_service_map
from config.settings import Settings
from dataflows.detection import Logics
from operators.agents.base import CustomerAgent
from operators.agents.billing import BillingAgent
from operators.agents.complaints import BurstWatch
from operators.agents.devices import SharedCardsWatch
from operators.agents.experience import ComplaintRiskParameters
from operators.agents.fraud import FraudAgent
from operators.agents.fulfilment import FulfilmentAgent
from operators.agents.listening import ListeningAgent
from operators.agents.outage import OutageAgent
from operators.agents.stock import OversoldWatch
from operators.autonomy_stage import AutonomyLogic
from operators.cases import CaseLogic, CaseSettings
from operators.cause import CauseLogic
from operators.decide import Decider
from operators.evidence import Sources
from operators.feature_drift import FeatureDriftParameters
from operators.features.checkpoints import MODEL
from operators.fleet import FleetLogic, FleetRule
from operators.fleet_watch import Watch
from operators.fold import JourneyLimits
from operators.guard import GuardLogic
from operators.journey import JourneyLogic, JourneySettings
from operators.policy_trust import Trust, enforced, judge
from operators.risk import RiskLogic
from operators.streams import build_streams
from operators.telemetry import STOCK_TYPE, TelemetryLogic


def load_contract_set(settings: Settings) -> ContractSet:
    """Return the contracts that come with Forestall, replaced and joined by those of the folders the settings name.

    Raises:
        ContractError: a contract is at fault.
    """
    return load_contracts(BUILT_IN, *settings.contracts.folders)


def load_policies(settings: Settings, manifests: Mapping[str, Manifest], keys: Keys) -> Versions:
    """Return the policy; where it is enforced, only what the people it takes have signed decides.

    Raises:
        PolicyError: a bundle, or a file of signatures, is at fault.
    """
    if not settings.policy.enforce:
        return load_policy(settings.policy.bundle, manifests)
    return enforced(judge_folder(settings.policy.bundle, manifests, keys))


def judge_folder(folder: Path, manifests: Mapping[str, Manifest], keys: Keys) -> list[Trust]:
    """Return what each version of the policy in `folder` may do where it is enforced.

    Raises:
        PolicyError: a bundle, or a file of signatures, is at fault.
    """
    versions = [
        (bundle, judge_signatures(bundle, read_signatures(place), keys))
        for bundle, place in load_versions(folder, manifests)
    ]
    return judge(versions, keys, manifests)


def load_logics(settings: Settings) -> Logics:
    """Return what the stages do.

    Raises:
        SettingsError: an agent's manifest is at fault.
        PolicyError: the policy bundle is at fault.
        ContractError: a contract is at fault.
    """
    manifests = load_manifests()
    streams = build_streams(settings.telemetry, load_contract_set(settings))

    def telemetry() -> TelemetryLogic:
        # One agent per key group: its detectors hold the state of the service at hand, and workers are threads.
        return TelemetryLogic(streams, OutageAgent(manifests["outage"]), micros(settings.telemetry.entity_ttl))

    rule, calls = manifests["outage"].parameters("fleet", FleetRule), load_service_map(settings.fleet.service_map)
    telemetry()  # tells a fault of the manifest here, not in a worker
    keys, beside = load_keys(settings.approvals.keys), settings.policy.candidate
    policy = load_policies(settings, manifests, keys)
    candidate = None if beside is None else load_policy(beside, manifests).newest
    decider, sources = Decider(policy, settings.policy.mode, candidate), Sources(manifests)
    budgets = {agent: manifest.budget for agent, manifest in manifests.items() if manifest.budget is not None}
    case_settings = CaseSettings(key_groups=settings.runtime.key_groups.case, dedupe_ttl=settings.state.dedupe_ttl)
    journey_settings = _journey_settings(settings)
    views, risk_parameters = load_views(), manifests["experience"].parameters("complaint_risk", ComplaintRiskParameters)
    drift_parameters = manifests["experience"].parameters("feature_drift", FeatureDriftParameters)
    watches: list[Watch] = [
        OversoldWatch.of(manifests["fulfilment"], streams[STOCK_TYPE].pane),
        SharedCardsWatch.of(manifests["fraud"]),
        BurstWatch.of(manifests["experience"]),
    ]
    customer_agents: list[CustomerAgent] = [
        FulfilmentAgent.of(manifests["fulfilment"]),
        BillingAgent.of(manifests["billing"]),
        FraudAgent.of(manifests["fraud"]),
        ListeningAgent.of(manifests["experience"]),
    ]
    counted = any(bundle.guardrails.counts_active for bundle in policy.bundles)
    return Logics(
        telemetry=telemetry,
        fleet=lambda: FleetLogic(rule, calls),
        journey=lambda: JourneyLogic(customer_agents, journey_settings, judged=True, counted=counted),
        risk=lambda: RiskLogic(views, risk_parameters, drift_parameters),
        cause=lambda: CauseLogic(watches=watches, is_live=policy.is_live),
        autonomy=lambda: AutonomyLogic(policy, frozenset({*manifests, FLEET_AGENT}), {MODEL: "experience"}),
        case=lambda: CaseLogic(decider, case_settings, sources, budgets, keys),
        guard=lambda: GuardLogic(policy),
    )


def _journey_settings(settings: Settings) -> JourneySettings:
    given = settings.journey
    return JourneySettings(
        settle=given.settle,
        finished_ttl=given.finished_ttl,
        unfinished_ttl=given.unfinished_ttl,
        contact_ttl=given.contact_ttl,
        usage_ttl=given.usage_ttl,
        subscription_ttl=given.subscription_ttl,
        signal_ttl=given.signal_ttl,
        dedupe_ttl=settings.state.dedupe_ttl,
        limits=JourneyLimits(**asdict(given.limits)),
    )
