from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from config.agents.load import load_manifest, load_manifests
from config.errors import SettingsError


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    slack_hours: float


def document(**changes: Any) -> dict[str, Any]:
    return {
        "agent": "sample",
        "owner": "team",
        "escalation": "rota",
        "version": "1.0.0",
        "lifecycle": "active",
        "inputs": ["order.placed"],
        "findings": ["order.stuck"],
        "side_effects": [],
        "detectors": [{"name": "slow", "method": "rule", "parameters": {"slack_hours": 4}}],
        "model_card": {"purpose": "p", "method": "m", "limits": "l", "evaluation": "e"},
        **changes,
    }


def written(folder: Path, value: Any) -> Path:
    path = folder / "sample.yaml"
    path.write_text(yaml.safe_dump(value))
    return path


def test_every_manifest_of_the_project_is_sound() -> None:
    for name, manifest in load_manifests().items():
        assert manifest.agent == name


def test_a_detectors_parameters_come_typed(tmp_path: Path) -> None:
    assert load_manifest(written(tmp_path, document())).parameters("slow", Limits) == Limits(4.0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"owner": ""}, "owner"),
        ({"agent": "other"}, "agent"),
        ({"lifecycle": "alive"}, "$.lifecycle"),
        ({"colour": "red"}, "colour"),
        ({"inputs": []}, "inputs"),
        ({"findings": ["a", "a"]}, "findings"),
        ({"source": {"reliability": 0.0}}, "source.reliability"),
        ({"source": {"kinds": {"order.stuck": {"reliability": 1.5}}}}, "source.kinds: order.stuck.reliability"),
        ({"source": {"kinds": {"other": {"family": "crm"}}}}, "source.kinds"),
        ({"budget": {"share": 1.5}}, "budget"),
        ({"budget": {"share": 0.1, "spare": -1.0}}, "budget"),
        ({"version": 1}, "$.version"),
        ({"model_card": {"purpose": " ", "method": "m", "limits": "l", "evaluation": "e"}}, "model_card.purpose"),
        ({"detectors": [{"name": "a", "method": "rule"}] * 2}, "'a' twice"),
        (
            {"detectors": [{"name": "a", "method": "g", "reads": {"type": "x", "metric": "m", "feature": "f"}}]},
            "reads.type",
        ),
        ({"detectors": [{"name": "a", "method": "g", "finds": "x"}]}, "a: finds"),
    ],
)
def test_a_fault_is_named_by_file_and_field(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    path = written(tmp_path, document(**change))
    with pytest.raises(SettingsError) as caught:
        load_manifest(path)
    assert str(path) in caught.value.message
    assert named in caught.value.message
    assert caught.value.remedy


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    value = document()
    del value["owner"]
    with pytest.raises(SettingsError, match="owner"):
        load_manifest(written(tmp_path, value))


def test_broken_yaml_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "sample.yaml"
    path.write_text("agent: [a\nowner: b\n")
    with pytest.raises(SettingsError, match=r"sample\.yaml:2: not YAML"):
        load_manifest(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="sample"):
        load_manifest(tmp_path / "sample.yaml")


def test_a_wrong_parameter_is_named_with_its_detector(tmp_path: Path) -> None:
    path = written(tmp_path, document(detectors=[{"name": "slow", "method": "rule", "parameters": {"slack": 4}}]))
    with pytest.raises(SettingsError, match=r"detectors: slow: parameters: .*slack"):
        load_manifest(path).parameters("slow", Limits)


def test_an_absent_detector_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'fast' is missing"):
        load_manifest(written(tmp_path, document())).detector("fast")
