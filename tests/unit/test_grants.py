"""Agents say and ask for what their manifests grant, and nothing else."""

from __future__ import annotations

import importlib
import pkgutil
import re
from types import ModuleType

import msgspec
import pytest

import operators
import operators.agents
from config.agents.load import load_manifests
from config.contracts import BUILT_IN, load_contracts
from config.policies.grants import ungranted
from config.policies.load import load_default
from operators.agents.outage import OutageAgent

MANIFESTS = load_manifests()
TYPES = set(load_contracts(BUILT_IN).types)
KIND = re.compile(r"[a-z]+\.[a-z_]+")
OWNERS = {
    "billing": ["billing", "charges", "invoices"],
    "experience": ["experience", "listening", "churn", "repeated", "complaints"],
    "fraud": ["fraud", "card_testing", "takeover", "velocity", "devices"],
    "fulfilment": ["fulfilment", "stuck", "stock"],
    "outage": ["outage"],
}
"""The modules of `operators/agents` whose findings are an agent's."""


def modules() -> dict[str, ModuleType]:
    names = [module.name for module in pkgutil.iter_modules(operators.agents.__path__)]
    return {name: importlib.import_module(f"operators.agents.{name}") for name in names}


def kinds_in(module: ModuleType) -> set[str]:
    """Return the kinds of finding that a module's constants name."""
    texts = {value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}
    return {text for text in texts if KIND.fullmatch(text)} - TYPES


def emitted(agent: str) -> set[str]:
    kinds = set[str]().union(*(kinds_in(modules()[name]) for name in OWNERS[agent]))
    return kinds | {entry.finds for entry in MANIFESTS[agent].detectors if entry.finds}


@pytest.mark.parametrize("agent", MANIFESTS)
def test_every_kind_an_agent_emits_is_in_its_manifest_and_the_other_way_round(agent: str) -> None:
    assert emitted(agent) == set(MANIFESTS[agent].findings)


def test_every_module_that_names_a_kind_belongs_to_an_agent() -> None:
    owned = {name for names in OWNERS.values() for name in names}

    assert [name for name, module in modules().items() if kinds_in(module) and name not in owned] == []


def test_no_kind_is_found_by_two_agents() -> None:
    kinds = [kind for manifest in MANIFESTS.values() for kind in manifest.findings]

    assert len(kinds) == len(set(kinds))


def test_what_the_policy_does_about_an_agents_findings_is_granted() -> None:
    assert ungranted(load_default(), MANIFESTS) == []


def test_what_is_not_granted_is_named() -> None:
    poorer = MANIFESTS | {"fraud": msgspec.structs.replace(MANIFESTS["fraud"], side_effects=["review-account"])}
    found = ungranted(load_default(), poorer)
    assert {each.kind for each in found} == set(MANIFESTS["fraud"].findings)
    assert {(each.agent, each.rule, each.side_effect) for each in found} == {("fraud", "fraud/hold", "hold-order")}


def test_every_remedy_has_a_class() -> None:
    assert all(remedy.side_effect for remedy in load_default().remedies.values())


def test_outage_names_the_kinds_its_manifest_gives_it() -> None:
    assert OutageAgent(MANIFESTS["outage"]).reads
