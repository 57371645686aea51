"""Small policy bundles, written to a folder and loaded."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import yaml

from config.policies.bundle import Bundle
from config.policies.load import DEFAULT_FOLDER, load_bundle

FACTS: dict[str, dict[str, Any]] = {
    "kind": {"type": "string"},
    "agent": {"type": "string"},
    "severity": {"type": "string"},
    "confidence": {"type": "number"},
    "money_at_risk": {"type": "number"},
    "source_families": {"type": "number"},
    "contacts_30d": {"type": "number"},
    "linked": {"type": "bool"},
    "mode": {"type": "string"},
    "open_remedy": {"type": "string"},
    "eta": {"type": "instant", "nullable": True, "feature": "eta"},
    "tickets": {"type": "number", "nullable": True, "feature": "tickets"},
}
REMEDIES: dict[str, dict[str, Any]] = {
    "notify": {"system": "crm", "valid_for": "4h", "contacts_customer": True},
    "ticket": {"system": "crm", "valid_for": "48h"},
    "credit": {"system": "billing", "valid_for": "72h", "moves_money": True, "reversible": False},
}
GIVEN: dict[str, Any] = {
    "kind": "order.late",
    "agent": "fulfilment",
    "severity": "high",
    "confidence": 0.95,
    "money_at_risk": 80.0,
    "source_families": 1,
    "contacts_30d": 0,
    "linked": False,
    "mode": "act",
    "open_remedy": "",
    "eta": None,
    "tickets": None,
}
"""Facts on which a rule for anything fires."""


def rule(name: str, when: str, outcome: str = "observe", remedy: str = "", **given: Any) -> dict[str, Any]:
    """Return a rule as a table has it."""
    written = {"id": name, "description": "d", "when": when, "outcome": outcome, "reason": f"{name}."}
    return written | ({"remedy": remedy} if remedy else {}) | given


def write_bundle(folder: Path, *rules: dict[str, Any], **changes: Any) -> Path:
    """Write a bundle with one table `t` of `rules` for kinds `order.*`; `changes` are sections of `bundle.yaml`."""
    described = {"description": "d"}
    main = {
        "name": "small",
        "owner": "team-a",
        "escalation": "duty-manager",
        "version": "1.0.0",
        "effective_from": "1970-01-01T00:00:00Z",
        "facts": {name: fact | described for name, fact in FACTS.items()},
        "remedies": {name: remedy | described for name, remedy in REMEDIES.items()},
        "tables": ["rules.yaml"],
        "default": {"outcome": "recommend", "reason": "No rule for {kind}."},
    } | changes
    table = {"table": "t", "owner": "team-b", "kinds": ["order.*"], "rules": list(rules)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bundle.yaml").write_text(yaml.safe_dump(main))
    (folder / "rules.yaml").write_text(yaml.safe_dump(table))
    return folder


def acting_policy(folder: Path) -> Path:
    """Write a policy that is the default one, but does itself what is to be done about orders."""
    table = copytree(DEFAULT_FOLDER, folder, ignore=ignore_patterns("cases")) / "fulfilment.yaml"
    table.write_text(table.read_text().replace("outcome: recommend", "outcome: act"))
    return folder


def bundle_of(folder: Path, *rules: dict[str, Any], **changes: Any) -> Bundle:
    """Return the bundle that `write_bundle` writes."""
    return load_bundle(write_bundle(folder, *rules, **changes))


def write_cases(folder: Path, *cases: dict[str, Any], **given: Any) -> None:
    """Write cases beside the bundle in `folder`; `given` changes the facts that all of them share."""
    (folder / "cases").mkdir(exist_ok=True)
    document = {"owner": "team-b", "given": GIVEN | given, "cases": list(cases)}
    (folder / "cases" / "all.yaml").write_text(yaml.safe_dump(document))
