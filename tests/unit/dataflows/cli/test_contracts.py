from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from config.contracts import BUILT_IN
from dataflows.cli.main import main
from tests.support.cloudevents import cloud_event
from tests.support.commands import ROOT
from tests.support.recordings import Record, record

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
    assert len(listed["contracts"]) == len(list(BUILT_IN.glob("*.yaml")))
    assert {"type": "order.placed", "version": "1.0.0", "status": "active", "owner": "order-platform",
            "flow": "business", "key": "customer_id", "compatibility": "FULL"} in listed["contracts"]  # fmt: skip
    assert listed["digest"] in run("list").output


@pytest.fixture
def doors(tmp_path: Path) -> Path:
    """A recording of events that no contract describes."""
    values = [cloud_event("door.opened", {"door": f"d{i}"}, id=str(i)) for i in range(3)]
    records: list[Record] = [(i, 1_714_564_800_000 + i, None, value) for i, value in enumerate(values)]
    record(tmp_path / "doors", {("doors", 0): records})
    return tmp_path / "doors"


def test_draft_writes_contracts_that_load(doors: Path, tmp_path: Path) -> None:
    into = tmp_path / "drafts"
    result = run("draft", doors, "--into", into)
    assert (result.exit_code, "1 drafts written" in result.output) == (0, True)
    text = (into / "door.opened.yaml").read_text()
    (into / "door.opened.yaml").write_text(text.replace("status: draft", "status: active"))
    listed = json.loads(run("list", into, "--json").stdout)["contracts"]
    assert "door.opened" in {contract["type"] for contract in listed}
    report = json.loads(run("draft", doors, "--contracts", into, "--json").stdout)
    assert (report["topics"][0]["decoded"], report["drafts"]) == (3, [])


def test_draft_shows_topics_and_documents_without_writing(doors: Path) -> None:
    report = json.loads(run("draft", doors, "--json").stdout)
    assert report["topics"][0]["rejects"] == {"unknown-type": 3}
    assert report["drafts"][0]["document"]["status"] == "draft"
    assert "door.opened" in run("draft", doors).output


def test_draft_overwrites_nothing(doors: Path, tmp_path: Path) -> None:
    assert run("draft", doors, "--into", tmp_path / "drafts").exit_code == 0
    result = run("draft", doors, "--into", tmp_path / "drafts")
    assert (result.exit_code, "exists already" in result.stderr) == (2, True)


def test_the_bundled_recording_can_be_drafted_from(tmp_path: Path) -> None:
    result = run("draft", ROOT / "replay" / "bundled", "--into", tmp_path / "drafts")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "drafts" / "request.imagined.yaml").exists()


def test_draft_of_no_recording_is_a_fault_of_the_input(tmp_path: Path) -> None:
    assert run("draft", tmp_path / "nothing").exit_code == 3
