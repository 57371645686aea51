"""Configuration, rules and dashboard as Prometheus itself reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.support.commands import ROOT
from tests.support.prometheus import Programs

FOLDER = ROOT / "deploy" / "prometheus"


def test_configuration_and_rules_are_valid(prometheus: Programs) -> None:
    checked = prometheus.check("check", "config", FOLDER / "prometheus.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.slow
def test_rules_do_what_they_are_for(prometheus: Programs) -> None:
    checked = prometheus.check("test", "rules", FOLDER / "rules_test.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_is_tested(prometheus: Programs) -> None:
    groups = yaml.safe_load((FOLDER / "rules.yaml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    cases = yaml.safe_load((FOLDER / "rules_test.yaml").read_text())["tests"]
    fired = {each["alertname"] for case in cases for each in case.get("alert_rule_test", []) if each.get("exp_alerts")}
    assert fired == alerts - {"ForestallStaleOften", "ForestallSlowOften"}  # the same sums over longer windows


def test_queries_of_the_dashboard_are_valid(prometheus: Programs, tmp_path: Path) -> None:
    board = json.loads((ROOT / "deploy" / "grafana" / "forestall.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    rules = [{"record": f"panel:query:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    checked = prometheus.check("check", "rules", tmp_path / "rules.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
