"""What a policy says, read naively from its YAML: rules, modes, guardrails, who may answer. For `procedure_oracle`."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import yaml
from cryptography.exceptions import InvalidSignature

from tests.support.private_keys import private_key
from tests.support.procedure_policy import DAY, HOUR, PEOPLE, PREDICATES, SECOND, WHENS

Row = dict[str, Any]

TIGHT = {"off": 0, "shadow": 1, "recommend": 2, "supervised": 3, "autonomous": 4}
SEVERITIES = ["low", "medium", "high", "critical"]


def rules_of(folder: Path) -> list[Row]:
    """Return the rules of a version, each by the name that decisions have for it."""
    table = yaml.safe_load((folder / "rules.yaml").read_text())
    return [rule | {"id": f"{table['table']}/{rule['id']}"} for rule in table["rules"]]


def fire(main: Row, rules: list[Row], facts: Row) -> tuple[str, Row | None, str]:
    """Return the outcome of the first rule that holds and is neither off nor in shadow, the rule, and its mode."""
    for rule in rules:
        if PREDICATES[rule["id"]](facts):
            mode = mode_of(main, rule["id"], facts)
            if TIGHT[mode] >= 2:
                return rule["outcome"], rule, mode
    return str(main["default"]["outcome"]), None, ""


def mode_of(main: Row, rule: str, facts: Row) -> str:
    """Return the tightest mode that matches."""
    met = [
        mode["mode"]
        for mode in main["modes"]
        if mode.get("agent", facts["agent"]) == facts["agent"]
        and mode.get("rule", rule) == rule
        and ("when" not in mode or WHENS[mode["when"]](facts))
    ]
    return min(met, key=TIGHT.__getitem__, default="autonomous")


def counts(one: Any, request: Row) -> bool:
    """Return whether an answer counts, when it takes effect: signed by whom it says, who may, in time, of just this."""
    data, at = one.data, one.at
    person = PEOPLE.get(data["approver"])
    roles = request["roles"] + [role for since, role in request.get("later", []) if since <= at]
    if person is None or data["role"] not in person.roles or data["role"] not in roles:
        return False
    if at < person.valid_from or (person.revoked_at is not None and at >= person.revoked_at):
        return False
    if not request["asked_at"] <= at < request["expires_at"] or data["answered_at"] >= request["expires_at"]:
        return False
    if data["digest"] != request["digest"] or data["approver"] == request["requester"]:
        return False
    said = {name: value for name, value in data.items() if name != "signature"} | {"purpose": "approval.answered"}
    message = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    try:
        private_key(data["approver"]).public_key().verify(b64decode(data["signature"]), message)
    except InvalidSignature:
        return False
    return True


def severity_of(found: list[Row]) -> str:
    """Return the worst severity of findings."""
    return max((one["severity"] for one in found), key=SEVERITIES.index, default="low")


def speaks(limit: Row, remedy: str, traits: Row) -> bool:
    """Return whether a guardrail speaks of a remedy."""
    of = limit.get("of", {})
    if not of:
        return True
    named = remedy in of.get("remedies", [])
    return named or any(of.get(trait) and traits.get(trait) for trait in ("contacts_customer", "moves_money"))


def money_of(main: Row, action: Row) -> float:
    """Return how much money an action moves at the most."""
    traits, at_risk = main["remedies"][action["remedy"]], action["facts"]["money_at_risk"]
    return min(at_risk, traits.get("money_max", at_risk)) if traits.get("moves_money") else 0.0


def span(text: str) -> int:
    """Return microseconds."""
    return int(text[:-1]) * {"m": 60 * SECOND, "h": HOUR, "d": DAY}[text[-1]]
