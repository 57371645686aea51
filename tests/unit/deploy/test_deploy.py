"""What is in `deploy/` agrees with the image, the settings, the metrics and the documentation."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from click import Context, Group

from config import metrics
from config.instruments import Histogram, Metric
from config.settings import Settings, load
from config.yaml_text import read_yaml
from dataflows.cli.main import LazyGroup

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
YAML = sorted(DEPLOY.rglob("*.yaml"))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
USER = int(re.findall(r"^USER (\d+):", DOCKERFILE, re.M)[-1])
PORT = int(re.findall(r"^EXPOSE (\d+)", DOCKERFILE, re.M)[0])
DATA = re.findall(r"^VOLUME (\S+)", DOCKERFILE, re.M)[0]
NAME = re.compile(r"\bforestall[a-z_:]*[a-z0-9_]*")


@cache
def document(path: str) -> Any:
    """What a file holds; not to be changed."""
    return read_yaml((DEPLOY / path).read_text(encoding="utf-8"))


def settings(path: str) -> Settings:
    return load(DEPLOY / path, {})


def compose() -> dict[str, Any]:
    services: dict[str, Any] = document("compose.yaml")["services"]
    return services


def pod() -> Any:
    return document("kubernetes/job.yaml")["spec"]["template"]["spec"]


def container() -> Any:
    return pod()["containers"][0]


def rules() -> list[dict[str, Any]]:
    return [rule for group in document("prometheus/rules.yaml")["groups"] for rule in group["rules"]]


def argument(arguments: list[str], name: str) -> str:
    return next(each.partition("=")[2] for each in arguments if each.startswith(f"--{name}="))


@pytest.mark.parametrize("path", YAML, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_documents_are_yaml(path: Path) -> None:
    assert all(yaml.safe_load_all(path.read_text(encoding="utf-8")))


# The job


@pytest.mark.parametrize("path", ["job.toml", "kubernetes/job.toml"])
def test_settings_are_valid_and_serve_metrics_at_the_port_of_the_image(path: str) -> None:
    assert settings(path).metrics.port == PORT


def test_both_deployments_run_the_same_command_with_state_in_the_volume_of_the_image() -> None:
    for arguments in (compose()["forestall"]["command"], container()["args"]):
        assert arguments[:2] == ["run", "detection"]
        names = [each.partition("=")[0] for each in arguments[2:]]
        assert names == ["--config", "--store", "--recovery", "--processes"]
        assert Path(argument(arguments, "recovery")).is_relative_to(DATA)
        assert "@" in argument(arguments, "store")
        assert not re.search(r":[^/@]+@", argument(arguments, "store")), "a password in the arguments"


@pytest.mark.parametrize("arguments", [compose()["forestall"]["command"], container()["args"]], ids=["compose", "pod"])
def test_the_command_is_one_that_there_is(arguments: list[str]) -> None:
    group, name, *options = arguments
    command = LazyGroup(name="forestall").get_command(Context(LazyGroup(name="forestall")), group)
    assert isinstance(command, Group)
    job = command.commands[name]
    context = job.make_context(name, options, resilient_parsing=False)
    assert context.params["processes"] == 2


def test_no_secret_is_written_down() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in DEPLOY.rglob("*") if path.is_file())
    assert not re.search(r"(?i)password\s*[:=]\s*[\"']?[a-z0-9]{6,}", text)


# Compose


def test_compose_publishes_on_loopback_only() -> None:
    ports = [port for service in compose().values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "ports" not in compose()["forestall"]


def test_compose_pins_every_image_and_mounts_only_what_is_there() -> None:
    volumes = document("compose.yaml")["volumes"]
    for name, service in compose().items():
        assert re.search(r":v?\d|:local$", service["image"]), name
        for mount in service.get("volumes", []):
            source = mount.partition(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in volumes, mount


def test_compose_waits_for_services_that_can_say_that_they_are_well() -> None:
    for name, service in compose().items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in compose()[other], (name, other)


def test_compose_makes_every_topic_that_the_job_reads_or_writes() -> None:
    script = compose()["topics"]["command"][0]
    found = settings("job.toml")
    for topic in found.kafka.topics:
        assert re.search(rf"for topic in [^;]*\b{topic}\b", script)
    for topic in (*found.topics.by_kind().values(), found.topics.progress_topic):
        prefix, _, name = topic.partition(".")
        assert prefix == "forestall"
        assert re.search(rf"for topic in [^;]*(?<!\S){name}(?![\w-])|--topic {re.escape(topic)} ", script), topic


def test_compose_locks_the_job_down_and_gives_it_time_to_stop() -> None:
    job = compose()["forestall"]
    assert job["read_only"] is True
    assert job["cap_drop"] == ["ALL"]
    assert f":{PORT}/health/ready" in job["healthcheck"]["test"][-1]
    assert int(job["stop_grace_period"].removesuffix("s")) > 60


# Kubernetes


def test_the_cluster_runs_one_pod_without_rights() -> None:
    spec = document("kubernetes/job.yaml")["spec"]
    assert spec["replicas"] == 1
    context = pod()["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"], context["fsGroup"]) == (True, USER, USER)
    assert pod()["automountServiceAccountToken"] is False
    assert "hostNetwork" not in pod()
    for each in (*pod()["initContainers"], container()):
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert each["resources"]["limits"]["memory"]
    assert pod()["terminationGracePeriodSeconds"] > 60


def test_the_cluster_keeps_state_in_a_claim_and_names_every_volume() -> None:
    claims = document("kubernetes/job.yaml")["spec"]["volumeClaimTemplates"]
    known = {volume["name"] for volume in (*pod()["volumes"], *(claim["metadata"] for claim in claims))}
    mounts = {mount["mountPath"]: mount["name"] for mount in container()["volumeMounts"]}
    assert set(mounts.values()) <= known
    assert mounts[DATA] in {claim["metadata"]["name"] for claim in claims}
    assert str(Path(argument(container()["args"], "config")).parent) in mounts
    files = settings("kubernetes/job.toml").kafka.security
    for path in (files.ca_file, files.certificate_file, files.key_file):
        assert str(Path(str(path)).parent) in mounts


def test_probes_ask_the_exporter_and_only_readiness_asks_the_flow() -> None:
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    assert ports == {"metrics": PORT}
    paths = {probe: container()[probe]["httpGet"]["path"] for probe in container() if probe.endswith("Probe")}
    ready, live = "/health/ready", "/health/live"
    assert paths == {"startupProbe": ready, "readinessProbe": ready, "livenessProbe": live}
    assert {container()[probe]["httpGet"]["port"] for probe in paths} == {"metrics"}
    assert container()["env"][0]["name"] == "FORESTALL_METRICS_HOST"


def test_selectors_select_the_pod() -> None:
    labels = document("kubernetes/job.yaml")["spec"]["template"]["metadata"]["labels"]
    assert document("kubernetes/service.yaml")["spec"]["selector"] == labels
    assert document("kubernetes/disruption.yaml")["spec"]["selector"]["matchLabels"] == labels
    assert document("kubernetes/network.yaml")["spec"]["podSelector"]["matchLabels"] == labels


def test_the_network_lets_in_metrics_only() -> None:
    policy = document("kubernetes/network.yaml")["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert [port["port"] for rule in policy["ingress"] for port in rule["ports"]] == ["metrics"]
    outwards = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    broker = int(str(settings("kubernetes/job.toml").kafka.bootstrap_servers).rpartition(":")[2])
    assert outwards == {53, 5432, broker}


def test_every_manifest_is_applied() -> None:
    listed = set(document("kubernetes/kustomization.yaml")["resources"])
    there = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")} - {"kustomization.yaml"}
    assert listed == there


# Prometheus and Grafana


def known_names() -> set[str]:
    """Return all that a query may name: metrics, the series of histograms, recorded rules."""
    declared = [metric for metric in vars(metrics).values() if isinstance(metric, Metric)]
    names = {metric.name for metric in declared}
    for metric in declared:
        if isinstance(metric, Histogram):
            names |= {f"{metric.name}_{series}" for series in ("bucket", "sum", "count")}
    return names | {rule["record"] for rule in rules() if "record" in rule}


def named_in(expression: str) -> set[str]:
    return {name for name in NAME.findall(re.sub(r"\{[^}]*\}", "", expression)) if name != "forestall"}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("record") or rule["alert"])
def test_rules_ask_for_what_there_is(rule: dict[str, Any]) -> None:
    assert named_in(rule["expr"]) <= known_names()


@pytest.mark.parametrize("rule", [rule for rule in rules() if "alert" in rule], ids=lambda rule: rule["alert"])
def test_every_alert_says_how_bad_it_is_and_where_to_read_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.M)
    assert anchor == rule["alert"].lower()
    assert anchor in {heading.lower() for heading in headings}


def test_bounds_of_objectives_are_bounds_of_buckets() -> None:
    bounds = {float(bound) for rule in rules() for bound in re.findall(r'le="([\d.]+)"', rule["expr"])}
    assert bounds
    assert bounds <= set(metrics.PROCESSING.buckets)


def panels() -> list[dict[str, Any]]:
    board = json.loads((DEPLOY / "grafana" / "forestall.json").read_text(encoding="utf-8"))
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def test_panels_ask_for_what_there_is_at_places_of_their_own() -> None:
    for panel in panels():
        for target in panel["targets"]:
            assert named_in(target["expr"]) <= known_names(), panel["title"]
            assert named_in(target["expr"]), panel["title"]
    cells = [
        (x, y)
        for grid in (panel["gridPos"] for panel in panels())
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_the_dashboard_asks_the_source_that_is_provisioned() -> None:
    provisioned = {source["uid"] for source in document("grafana/datasources.yaml")["datasources"]}
    assert {panel["datasource"]["uid"] for panel in panels()} == provisioned


def test_prometheus_scrapes_the_job_at_its_port_under_the_name_that_alerts_use() -> None:
    (scrape,) = document("prometheus/prometheus.yaml")["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": [f"forestall:{PORT}"]}]
    assert f'up{{job="{scrape["job_name"]}"}}' in next(
        r["expr"] for r in rules() if r.get("alert") == "ForestallAbsent"
    )
