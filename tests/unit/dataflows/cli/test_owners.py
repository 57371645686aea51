from __future__ import annotations

from pathlib import Path

from tests.support.approvals import write_keys
from tests.support.commands import forestall
from tests.support.policies import rule, write_bundle


def test_it_is_told_who_can_consent_and_where_nobody_can(tmp_path: Path) -> None:
    policy = write_bundle(tmp_path / "policy", rule("asks", "true", "approve", "credit"))
    keys = write_keys(tmp_path / "keys.yaml", {"maria": ["duty-manager"]})
    told = forestall("owners", policy, "--keys", keys)
    assert told.code == 1
    assert "team-b may be asked for consent, and nobody has a key for it" in told.err
    assert "which security may change" in told.err
    assert "duty-manager may be asked" not in told.err
    assert "maria" in told.out

    write_keys(keys, {"maria": ["duty-manager", "team-b"]})
    document = forestall("owners", policy, "--keys", keys, "--json").document
    assert document["asked"][1] == {"role": "team-b", "people": ["maria"], "why": ["rule t/asks"]}
    owners = {row["owner"]: row for row in document["owners"]}
    assert (owners["team-b"]["rules"], owners["team-a"]["remedies"]) == (1, 3)
    assert owners["payment-risk"]["agents"] == 1
    assert document["misspelt"] == []


def test_an_owner_that_looks_misspelt_is_a_fault(tmp_path: Path) -> None:
    policy = write_bundle(tmp_path / "policy", rule("a", "true", owner="payment-risc"))
    keys = write_keys(tmp_path / "keys.yaml", {"maria": ["duty-manager"]})
    told = forestall("owners", policy, "--keys", keys)
    assert (told.code, "payment-risc owns one thing only: is it payment-risk?" in told.err) == (1, True)


def test_before_a_policy_is_in_force_nobody_is_asked(tmp_path: Path) -> None:
    policy = write_bundle(tmp_path / "policy", effective_from="2026-01-01T00:00:00Z")
    forestall("owners", policy, "--at", "2025-12-31").says(2, "No policy is in force at 2025-12-31", "--at")
