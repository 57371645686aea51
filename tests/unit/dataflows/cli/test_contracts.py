from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from config.contracts import BUILT_IN
from dataflows.cli.main import main

PLACED = BUILT_IN / "order.placed.yaml"


def run(*args: object) -> Result:
    return CliRunner().invoke(main, ["contracts", *map(str, args)])


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """order.placed with its state made optional, and a required channel added."""
    content: dict[str, Any] = yaml.safe_load(PLACED.read_text()) | {"version": "1.1.0"}
    properties = content["schema"][0]["properties"]
    next(p for p in properties if p["name"] == "customer_state")["required"] = False
    properties.append({"name": "channel", "logicalType": "string", "required": True})
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_check_passes_what_is_compatible() -> None:
    result = run("check", PLACED, PLACED, "--mode", "full_transitive")
    assert (result.exit_code, "compatible: order.placed" in result.output) == (0, True)


@pytest.mark.parametrize(
    ("mode", "fields"),
    [
        ("BACKWARD", {("channel", "backward")}),
        ("FORWARD", {("customer_state", "forward")}),
        ("FULL", {("channel", "backward"), ("customer_state", "forward")}),
    ],
)
def test_check_names_field_and_broken_side_and_exits_1(changed: Path, mode: str, fields: set[tuple[str, str]]) -> None:
    result = run("check", PLACED, changed, "--mode", mode, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["compatible"] is False
    assert {(f["field"], f["direction"]) for f in report["findings"]} == fields
    assert {(f["old"], f["new"]) for f in report["findings"]} == {("order.placed@1.0.0", "order.placed@1.1.0")}


def test_check_holds_new_contracts_to_the_mode_of_the_old(changed: Path) -> None:
    content = yaml.safe_load(changed.read_text())
    next(c for c in content["customProperties"] if c["property"] == "compatibility")["value"] = "NONE"
    changed.write_text(yaml.safe_dump(content))
    assert run("check", PLACED, changed).exit_code == 1


def test_check_compares_folders_by_type_and_misses_types_that_are_gone(tmp_path: Path) -> None:
    for name in ("order.placed", "order.approved"):
        (tmp_path / f"{name}.yaml").write_text((BUILT_IN / f"{name}.yaml").read_text())
    assert run("check", tmp_path, BUILT_IN).exit_code == 0
    result = run("check", BUILT_IN, tmp_path, "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert report["checked"] == ["order.approved", "order.placed"]
    assert "payment.captured" in report["removed"]


def test_check_of_one_path_is_misuse() -> None:
    result = run("check", PLACED)
    assert result.exit_code == 2
    assert "at least two" in result.stderr


def test_check_of_a_broken_document_is_a_fault_of_the_input(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: 1")
    result = run("check", PLACED, tmp_path / "x.yaml")
    assert result.exit_code == 3
    assert "remedy:" in result.stderr


def test_list_shows_every_contract() -> None:
    listed = json.loads(run("list", "--json").stdout)
    assert len(listed["contracts"]) == 22
    assert {"type": "order.placed", "version": "1.0.0", "status": "active", "owner": "order-platform",
            "flow": "business", "key": "customer_id", "compatibility": "FULL"} in listed["contracts"]  # fmt: skip
    assert listed["digest"] in run("list").output
