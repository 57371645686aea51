"""`forestall targets check`: what keeps a remediation flow from its work is said before it is started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from replay.target_shop import Shop
from tests.support.commands import Ended, forestall
from tests.support.remedies import target_process, targets_file


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    folder = tmp_path_factory.mktemp("target")
    process, url = target_process(folder)
    yield folder / "target.db", url
    process.kill()
    process.communicate()


@pytest.fixture
def file(tmp_path: Path, target: tuple[Path, str]) -> Path:
    """A file of targets that all answer."""
    written = targets_file(tmp_path, target[1])
    (tmp_path / "target.key").chmod(0o600)
    return written


def changed(file: Path, name: str, **fields: Any) -> None:
    document = yaml.safe_load(file.read_text())
    document["targets"][name] |= fields
    file.write_text(yaml.safe_dump(document))


def check(file: Path, **variables: str) -> Ended:
    return forestall("targets", "check", "--targets", file, "--json", **variables)


def test_targets_that_answer_are_well_and_nothing_is_done_to_them(file: Path, target: tuple[Path, str]) -> None:
    told = check(file).document
    assert told["problems"] == 0
    assert {f"target {name}" for name in ("crm", "billing", "pager")} < {each["what"] for each in told["checks"]}
    shop = Shop(target[0])
    assert list(shop.effects()) == []
    shop.close()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"url": "http://127.0.0.1:9/crm"}, ["cannot be reached", "See that it runs"]),
        ({"networks": []}, ["127.0.0.1, which is not public"]),
        ({"key_id": "somebody"}, ["refuses our signature (status 401)", "key_id"]),
        ({"kind": "sql", "url": "sqlite:////nowhere/at/all.db"}, ["unable to open"]),
    ],
    ids=["gone", "not allowed", "signature", "database"],
)
def test_a_target_that_does_not_answer_is_named(file: Path, fields: dict[str, Any], words: list[str]) -> None:
    changed(file, "crm", **fields)
    ended = check(file)
    assert ended.code == 1
    assert ended.err.startswith("error: 1 problem:\n- target crm: "), ended.err
    for word in words:
        assert word in ended.err, ended.err


def test_a_target_that_no_file_names_is_told_with_the_playbooks_that_want_it(file: Path) -> None:
    document = yaml.safe_load(file.read_text())
    del document["targets"]["pager"]
    file.write_text(yaml.safe_dump(document))
    ended = check(file)
    assert ended.code == 1
    assert "playbook page_owner: " in ended.err
    assert "names no pager" in ended.err


def test_secrets_that_others_may_read_and_keys_that_others_may_write_are_told(file: Path, tmp_path: Path) -> None:
    (tmp_path / "target.key").chmod(0o640)
    keys = tmp_path / "keys.yaml"
    keys.write_text(yaml.safe_dump({"owner": "security", "keys": {}}))
    keys.chmod(0o666)
    ended = check(file, FORESTALL_APPROVALS_KEYS=str(keys))
    assert ended.code == 1
    assert "- the secret of billing, crm, logistics, pager, payments, releases: its file in " in ended.err
    assert "may be read or written by others (mode 640)" in ended.err
    assert "the file of public keys: " in ended.err
    assert "may be written by others (mode 666)" in ended.err
    assert "target.key" not in ended.err
    keys.chmod(0o644)
    (tmp_path / "target.key").chmod(0o600)
    assert check(file, FORESTALL_APPROVALS_KEYS=str(keys)).code == 0


def test_a_policy_that_nobody_signed_is_told_where_signatures_are_asked_for(file: Path) -> None:
    assert check(file).code == 0
    ended = check(file, FORESTALL_POLICY_ENFORCE="true")
    assert ended.code == 1
    assert "signatures of the policy: " in ended.err
    assert "forestall policy sign" in ended.err
