"""What is in `deploy/` agrees with the image, the settings, the metrics and the documentation."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from click import Context, Group

from config import metrics
from config.instruments import Histogram, Metric
from config.playbooks.load import load_playbooks
from config.settings import Settings, load
from config.targets import TargetDocument
from config.topics import KINDS
from config.yaml_text import read_yaml
from dataflows.cli.main import LazyGroup
from dataflows.flag_reader import flag_topics
from tests.support.commands import ROOT
from tests.support.deployment import DEPLOY, compose, document, topics_made

YAML = sorted(DEPLOY.rglob("*.yaml"))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
USER = int(re.findall(r"^USER (\d+):", DOCKERFILE, re.M)[-1])
PORT = int(re.findall(r"^EXPOSE (\d+)", DOCKERFILE, re.M)[0])
DATA = re.findall(r"^VOLUME (\S+)", DOCKERFILE, re.M)[0]
OURS = ("forestall", "remediation", "target")
"""Services of compose that run our image."""
REMEDIATION = "remediation/"
FLOWS = ("", REMEDIATION)
"""Folders of the manifests of a flow."""
flows = pytest.mark.parametrize("flow", FLOWS, ids=["detection", "remediation"])
NAME = re.compile(r"\bforestall[a-z_:]*[a-z0-9_]*")


def settings(path: str) -> Settings:
    return load(DEPLOY / path, {})


def pod(flow: str = "") -> Any:
    return document(f"kubernetes/{flow}job.yaml")["spec"]["template"]["spec"]


def container(flow: str = "") -> Any:
    return pod(flow)["containers"][0]


def rules() -> list[dict[str, Any]]:
    return [rule for group in document("prometheus/rules.yaml")["groups"] for rule in group["rules"]]


def argument(arguments: list[str], name: str) -> str:
    return next(each.partition("=")[2] for each in arguments if each.startswith(f"--{name}="))


COMMANDS: dict[str, list[str]] = {f"compose {name}": compose()[name]["command"] for name in OURS}
COMMANDS |= {f"pod {flow or 'detection'}": container(flow)["args"] for flow in FLOWS}


@pytest.mark.parametrize("path", YAML, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_documents_are_yaml(path: Path) -> None:
    assert all(yaml.safe_load_all(path.read_text(encoding="utf-8")))


# The job


@pytest.mark.parametrize("path", ["job.toml", "kubernetes/job.toml"])
def test_settings_are_valid_and_serve_metrics_at_the_port_of_the_image(path: str) -> None:
    assert settings(path).metrics.port == PORT


@pytest.mark.parametrize("arguments", [compose()["forestall"]["command"], container()["args"]], ids=["compose", "pod"])
def test_both_deployments_run_the_same_command_with_state_in_the_volume_of_the_image(arguments: list[str]) -> None:
    assert arguments[:2] == ["run", "detection"]
    assert [each.partition("=")[0] for each in arguments[2:]] == ["--config", "--store", "--recovery", "--processes"]
    assert Path(argument(arguments, "recovery")).is_relative_to(DATA)


@pytest.mark.parametrize(
    "arguments", [compose()["remediation"]["command"], container(REMEDIATION)["args"]], ids=["compose", "pod"]
)
def test_both_deployments_carry_out_by_the_same_command(arguments: list[str]) -> None:
    assert arguments[:2] == ["run", "remediation"]
    assert [each.partition("=")[0] for each in arguments[2:]] == ["--config", "--ledger", "--folder", "--processes"]
    assert Path(argument(arguments, "folder")).is_relative_to(DATA)


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_the_command_is_one_that_there_is(arguments: list[str]) -> None:
    main, names = LazyGroup(name="forestall"), [each for each in arguments if not each.startswith("-")]
    command = main.get_command(Context(main), names[0])
    if isinstance(command, Group):
        command = command.commands[names[1]]
    assert command is not None
    context = command.make_context(names[-1], arguments[len(names) :], resilient_parsing=False)
    assert context.params


def test_databases_are_named_without_their_passwords() -> None:
    urls = [each.partition("=")[2] for arguments in COMMANDS.values() for each in arguments if "postgresql://" in each]
    assert len(urls) == 4
    for url in urls:
        assert "@" in url
        assert not re.search(r":[^/@]+@", url), "a password in the arguments"


@pytest.mark.parametrize("path", ["job.toml", "kubernetes/job.toml"])
def test_both_flows_hear_of_each_other(path: str) -> None:
    """What remediation tells is read by detection, what detection decides by remediation, flags by both."""
    found = settings(path)
    assert found.topics.actions is not None
    assert found.topics.outcomes in found.kafka.topics
    assert set(found.control.topics) == {"approvals", "flags", found.topics.outcomes} <= set(found.kafka.topics)
    assert flag_topics(found)
    assert set(found.topics.by_kind()) == set(KINDS)


@pytest.mark.parametrize("path", ["job.toml", "kubernetes/job.toml"])
def test_playbooks_find_their_targets(path: str) -> None:
    found = settings(path).remediation
    assert found.targets is not None
    books = load_playbooks(found.playbooks).values()
    wanted = {step.target for book in books for step in book.steps} | {book.verify.target for book in books}
    targets = read_yaml(found.targets.read_text(encoding="utf-8"))["targets"]
    named = {name: msgspec.convert(target, TargetDocument) for name, target in targets.items()}
    assert wanted == set(named)
    for name, target in named.items():
        assert target.kind == "http"
        assert target.url.endswith(f"/{name}") or target.url.startswith(f"https://{name}.")
        assert target.url.startswith("https://") or target.sandbox


def test_no_secret_is_written_down() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in DEPLOY.rglob("*") if path.is_file())
    assert not re.search(r"(?i)password\s*[:=]\s*[\"']?[a-z0-9]{6,}", text)


# Compose


def test_compose_publishes_on_loopback_only() -> None:
    ports = [port for service in compose().values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not any("ports" in compose()[name] for name in OURS)


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


def test_compose_makes_every_topic_that_the_flows_read_or_write() -> None:
    found, made = settings("job.toml"), topics_made()
    topics = found.topics
    kept = {
        topics.progress_topic: found.runtime.sink_parts,
        topics.outcomes_progress: found.remediation.shards,
    }
    assert set(made) == {*found.kafka.topics, *topics.by_kind().values(), topics.outcomes, *kept}
    assert {name: made[name] for name in kept} == kept
    for name in kept:
        assert re.search(rf"--topic {re.escape(name)} .*cleanup.policy=compact", compose()["topics"]["command"][0])


@pytest.mark.parametrize("name", OURS)
def test_compose_locks_a_flow_down_and_gives_it_time_to_stop(name: str) -> None:
    job = compose()[name]
    assert job["read_only"] is True
    assert job["cap_drop"] == ["ALL"]
    assert job["security_opt"] == ["no-new-privileges:true"]
    assert job["mem_limit"]
    assert job["restart"] == "unless-stopped"
    if name != "target":
        assert f":{PORT}/health/ready" in job["healthcheck"]["test"][-1]
    assert int(job["stop_grace_period"].removesuffix("s")) > 60


@pytest.mark.parametrize("name", OURS)
def test_compose_gives_a_flow_each_file_that_it_is_told_of(name: str) -> None:
    """Settings and what they name lie in one folder; secrets are drawn, and owned by the user of the image."""
    job = compose()[name]
    mounts = [mount.split(":") for mount in job["volumes"]]
    there = {parts[1]: parts for parts in mounts}
    assert there["/secrets"][2] == "ro"
    assert there[DATA][0] == {"forestall": "recovery"}.get(name, name)
    if name != "target":
        folder = Path(argument(job["command"], "config")).parent
        assert argument(job["command"], "config") in there
        if name == "remediation":
            assert str(folder / settings("job.toml").remediation.targets.name) in there  # type: ignore[union-attr]
    drawn = compose()["secrets"]["command"][0]
    for secret in re.findall(r"/secrets/[a-z]+", json.dumps([job, document("targets.yaml")])):
        assert f"> {secret}" in drawn
        assert re.search(rf"chown {USER} [^\n]*{secret}\b", drawn)


def test_compose_has_the_system_that_its_targets_name() -> None:
    arguments = compose()["target"]["command"]
    for target in document("targets.yaml")["targets"].values():
        assert target["url"].startswith(f"http://target:{argument(arguments, 'port')}/")
        assert target["secret_file"] == argument(arguments, "secret-file")


# Kubernetes


@flows
def test_the_cluster_runs_one_pod_without_rights(flow: str) -> None:
    spec = document(f"kubernetes/{flow}job.yaml")["spec"]
    assert spec["replicas"] == 1
    context = pod(flow)["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"], context["fsGroup"]) == (True, USER, USER)
    assert pod(flow)["automountServiceAccountToken"] is False
    assert "hostNetwork" not in pod(flow)
    for each in (*pod(flow)["initContainers"], container(flow)):
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert each["resources"]["limits"]["memory"]
    assert pod(flow)["terminationGracePeriodSeconds"] > 60


@flows
def test_the_cluster_names_every_volume(flow: str) -> None:
    claims = document(f"kubernetes/{flow}job.yaml")["spec"].get("volumeClaimTemplates", [])
    known = {volume["name"] for volume in (*pod(flow)["volumes"], *(claim["metadata"] for claim in claims))}
    mounts = {mount["mountPath"]: mount["name"] for mount in container(flow)["volumeMounts"]}
    assert set(mounts.values()) <= known
    assert DATA in mounts
    assert str(Path(argument(container(flow)["args"], "config")).parent) in mounts
    files = settings("kubernetes/job.toml").kafka.security
    for path in (files.ca_file, files.certificate_file, files.key_file):
        assert str(Path(str(path)).parent) in mounts


def test_the_cluster_keeps_the_state_of_detection_in_a_claim() -> None:
    (claim,) = document("kubernetes/job.yaml")["spec"]["volumeClaimTemplates"]
    assert {"name": claim["metadata"]["name"], "mountPath": DATA} in container()["volumeMounts"]


def test_only_remediation_is_given_what_targets_are_reached_with() -> None:
    given = {flow: {v["secret"]["secretName"] for v in pod(flow)["volumes"] if "secret" in v} for flow in FLOWS}
    assert given == {"": {"forestall"}, REMEDIATION: {"forestall-remediation"}}
    described = (DEPLOY / "kubernetes" / "kustomization.yaml").read_text(encoding="utf-8")
    detection, _, remediation = described.partition("generic forestall-remediation")
    mounts = {mount["mountPath"] for mount in container(REMEDIATION)["volumeMounts"]}
    for target in document("kubernetes/targets.yaml")["targets"].values():
        file = Path(target["secret_file"])
        assert str(file.parent) in mounts
        assert f"--from-file={file.name}" in remediation
        assert f"--from-file={file.name}" not in detection


@flows
def test_probes_ask_the_exporter_and_only_readiness_asks_the_flow(flow: str) -> None:
    job = container(flow)
    ports = {port["name"]: port["containerPort"] for port in job["ports"]}
    assert ports == {"metrics": PORT}
    paths = {probe: job[probe]["httpGet"]["path"] for probe in job if probe.endswith("Probe")}
    ready, live = "/health/ready", "/health/live"
    assert paths == {"startupProbe": ready, "readinessProbe": ready, "livenessProbe": live}
    assert {job[probe]["httpGet"]["port"] for probe in paths} == {"metrics"}
    assert job["env"][0]["name"] == "FORESTALL_METRICS_HOST"


@flows
def test_selectors_select_the_pod(flow: str) -> None:
    labels = document(f"kubernetes/{flow}job.yaml")["spec"]["template"]["metadata"]["labels"]
    assert document(f"kubernetes/{flow}service.yaml")["spec"]["selector"] == labels
    assert document(f"kubernetes/{flow}disruption.yaml")["spec"]["selector"]["matchLabels"] == labels
    assert document(f"kubernetes/{flow}network.yaml")["spec"]["podSelector"]["matchLabels"] == labels
    others = [
        pod_labels
        for other in FLOWS
        if other != flow
        for pod_labels in [document(f"kubernetes/{other}job.yaml")["spec"]["template"]["metadata"]["labels"]]
    ]
    assert labels not in others


@pytest.mark.parametrize(("flow", "more"), [("", set()), ("remediation/", {443})], ids=["detection", "remediation"])
def test_the_network_lets_in_metrics_only(flow: str, more: set[int]) -> None:
    policy = document(f"kubernetes/{flow}network.yaml")["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert [port["port"] for rule in policy["ingress"] for port in rule["ports"]] == ["metrics"]
    outwards = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    broker = int(str(settings("kubernetes/job.toml").kafka.bootstrap_servers).rpartition(":")[2])
    assert outwards == {53, 5432, broker} | more


def test_every_manifest_is_applied() -> None:
    listed = set(document("kubernetes/kustomization.yaml")["resources"])
    folder = DEPLOY / "kubernetes"
    there = {str(path.relative_to(folder)) for path in folder.rglob("*.yaml")}
    assert listed == there - {"kustomization.yaml", "targets.yaml"}
    (given,) = document("kubernetes/kustomization.yaml")["configMapGenerator"]
    assert given == {"name": "forestall", "files": ["job.toml", "targets.yaml"]}


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


def test_prometheus_scrapes_both_flows_at_their_port_under_the_names_that_alerts_use() -> None:
    scrapes = document("prometheus/prometheus.yaml")["scrape_configs"]
    names = [("forestall", "forestall", "ForestallAbsent")]
    names += [("forestall-remediation", "remediation", "ForestallRemediationAbsent")]
    for scrape, (job, host, alert) in zip(scrapes, names, strict=True):
        assert host in compose()
        assert scrape == {"job_name": job, "static_configs": [{"targets": [f"{host}:{PORT}"]}]}
        assert f'up{{job="{job}"}}' in next(rule["expr"] for rule in rules() if rule.get("alert") == alert)
