"""`forestall rollback` as a person calls it who knows a version, and nothing of hashes."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.clock import DAY, to_text
from config.policies.load import DEFAULT_FOLDER, SHIPPED, load_bundle
from tests.support.commands import Ended, forestall
from tests.support.playbooks import AT, action, playbook
from tests.support.shards import Stage


def ledger_of(folder: Path, *hashes: str) -> str:
    """Return a ledger that has one action of each policy."""
    stage = Stage(folder, {"tell": playbook(folder)})
    for number, each in enumerate(hashes):
        stage.take(action(f"a{number}", entity=f"order:{number}", customer=f"customer:{number}", bundle=each))
    url = stage.url
    stage.ledger.close()
    return url


def rollback(url: str, *more: object) -> Ended:
    span = ("--from", to_text(AT - DAY), "--to", to_text(AT + DAY))
    return forestall("rollback", "--policy", "1.0.0", *span, "--ledger", url, "--dry-run", "--json", *more)


def test_a_version_of_a_policy_that_comes_along_needs_no_settings(tmp_path: Path) -> None:
    for folder in SHIPPED:
        meant = load_bundle(folder)
        place = tmp_path / meant.name
        place.mkdir()
        assert rollback(ledger_of(place, meant.hash)).document["policy"] == meant.hash


def test_it_is_not_guessed_where_the_ledger_has_others_too(tmp_path: Path) -> None:
    other = load_bundle(SHIPPED[1])
    url = ledger_of(tmp_path, other.hash, "b1" * 16)
    rollback(url).says(2, "No action of the ledger was decided by a policy", f"{other.hash[:12]} (1 actions)")
    settings = tmp_path / "job.toml"
    settings.write_text(f'policy.bundle = "{SHIPPED[1]}"\n')
    assert rollback(url, "--config", settings).document["policy"] == other.hash
    assert SHIPPED[0] == DEFAULT_FOLDER


@pytest.mark.parametrize("since", ["2026-03-02", "2026-03-01"])
def test_a_span_in_which_nothing_can_be_has_its_remedy(since: str) -> None:
    told = forestall(
        "rollback", "--policy", "x", "--from", since, "--to", "2026-03-01", "--ledger", "sqlite:///none.db"
    )
    told.says(2, f"--to 2026-03-01T00:00:00Z is not after --from {since}T00:00:00Z", "Give a later --to")


def test_a_span_in_which_nothing_was_decided_says_so(tmp_path: Path) -> None:
    meant = load_bundle(DEFAULT_FOLDER)
    span = ("--from", "2020-03-01", "--to", "2020-03-12")
    told = forestall("rollback", "--policy", "1.0.0", *span, "--ledger", ledger_of(tmp_path, meant.hash), "--dry-run")
    said = " ".join(told.out.split())
    assert f"Policy {meant.hash[:12]} decided no action of this ledger from 2020-03-01T00:00:00Z" in said
    assert "nothing is to be taken back" in said
