"""Outcomes on a live topic: what came of an action is told once, and its case is decided about anew."""

from __future__ import annotations

import signal
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from subprocess import Popen
from typing import Any

import orjson
import pytest
import yaml

from config.clock import to_text
from dataflows.remedy_clock import wall_clock
from tests.support.commands import children, end, eventually, forestall, start, store_url
from tests.support.kafka import Broker
from tests.support.live import Job, late_orders
from tests.support.policies import acting_policy
from tests.support.remedies import quick_playbooks, target_process, targets_file
from tests.support.topics import Found, read

pytestmark = pytest.mark.slow

CUSTOMERS = 8
MOST = 3


@pytest.fixture
def running() -> Iterator[list[Popen[str]]]:
    """Remediation flows that a test has started: killed at its end."""
    processes: list[Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def job(tmp_path: Path, kafka: Broker) -> Iterator[Job]:
    suffix = uuid.uuid4().hex[:8]
    names = {name: f"{name}-{suffix}" for name in ("orders", "outcomes", "actions", "withheld")}
    for name in names.values():
        kafka.create(name, 2)
    target, url = target_process(tmp_path, "--seed", 5, "--faults", "fail_after=0.1,lose_reply=0.1")
    settings: dict[str, dict[str, Any]] = {
        "control": {"topics": [names["outcomes"]]},
        "policy": {"bundle": str(acting_policy(tmp_path / "policy")), "mode": "act"},
        "time": {"idle_timeout": "1s", "lateness_max": "1s"},
        "topics": {
            "actions": names["actions"],
            "withheld": names["withheld"],
            "outcomes": names["outcomes"],
            "transactional_id_prefix": f"job-{suffix}",
        },
        "remediation": {
            "targets": str(targets_file(tmp_path, url)),
            "playbooks": str(quick_playbooks(tmp_path / "playbooks")),
            "warmup": "0s",
        },
    }
    made = Job(kafka, tmp_path / "job", [names["orders"], names["outcomes"]], **settings)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()
    target.kill()
    target.communicate()


def told(kafka: Broker, topic: str) -> list[Found]:
    """Return the outcomes on the topic, those of an action in their order."""
    found = read(kafka, [topic])
    return sorted(found, key=lambda one: (orjson.loads(one.value)["action_id"], orjson.loads(one.value)["seq"]))


def test_each_outcome_is_told_once_and_its_case_decided_about_anew(
    tmp_path: Path, kafka: Broker, job: Job, running: list[Popen[str]]
) -> None:
    chance = Random(11)
    orders, outcomes = (next(each for each in job.topics if each.startswith(name)) for name in ("orders", "outcomes"))
    ledger = store_url(tmp_path / "ledger.db")
    command = ("run", "remediation", "--config", job.config, "--ledger", ledger, "--processes", 2, "--json")

    def started() -> Popen[str]:
        process = start(*command)
        running.append(process)
        eventually(lambda: len(children(process)) == 2, "both workers have started")
        return process

    process = started()
    job.start()
    late_orders(kafka, orders, CUSTOMERS, wall_clock())
    for life in range(3):
        eventually(lambda: len(told(kafka, outcomes)) > 3 * life, "outcomes on the topic")  # noqa: B023
        time.sleep(chance.random())
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if life == 1:
            job.kill()
            job.start()
        process = started()

    def settled() -> bool:
        assert process.poll() is None, process.communicate()
        ended = [each for each in job.bodies("decision") if each["facts"]["last_outcome"] == "verified"]
        return len({each["case_id"] for each in ended}) == CUSTOMERS

    eventually(settled, "every case is decided about anew")
    process.terminate()
    end(process)
    live = job.stop().document
    assert live["actions"] == CUSTOMERS

    found = told(kafka, outcomes)
    rows = forestall("actions", "list", "--ledger", ledger, "--json").document["actions"]
    assert Counter(row["state"] for row in rows) == {"settled": CUSTOMERS}
    shown = [forestall("actions", "show", row["action_id"], "--ledger", ledger, "--json").document for row in rows]
    written = [(one["action_id"], each["seq"], each["state"]) for one in shown for each in one["outcomes"]]
    bodies = [orjson.loads(one.value) for one in found]
    assert [(one["action_id"], one["seq"], one["state"]) for one in bodies] == sorted(written)
    assert len({one.headers["ce_id"] for one in found}) == len(found) >= 2 * CUSTOMERS
    assert {one.headers["ce_type"] for one in found} == {"action.outcome"}


def test_the_case_of_a_withheld_action_hears_that_nothing_was_done(
    tmp_path: Path, kafka: Broker, job: Job, running: list[Popen[str]]
) -> None:
    file = tmp_path / "policy" / "bundle.yaml"
    limit = {"description": "Few.", "per": "all", "most": MOST, "within": "1d"}
    document = yaml.safe_load(file.read_text()) | {"guardrails": {"limits": {"few": limit}}}
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    ledger = store_url(tmp_path / "ledger.db")
    running.append(start("run", "remediation", "--config", job.config, "--ledger", ledger, "--json"))
    eventually(lambda: len(children(running[0])) == 1, "the flow observes")
    job.start()
    late_orders(kafka, next(each for each in job.topics if each.startswith("orders")), CUSTOMERS, wall_clock())

    def heard() -> bool:
        assert running[0].poll() is None, running[0].communicate()
        ended = Counter(each["facts"]["last_outcome"] for each in job.bodies("decision"))
        return (ended["refused"], ended["verified"]) == (CUSTOMERS - MOST, MOST)

    eventually(heard, "every case is decided about anew")
    running[0].terminate()
    end(running[0])
    job.stop()
    rows = forestall("actions", "list", "--ledger", ledger, "--json").document["actions"]
    assert Counter(row["state"] for row in rows) == {"settled": MOST, "refused": CUSTOMERS - MOST}
    withheld = {each["case_id"]: each for each in job.bodies("guardrail")}
    assert len(withheld) == CUSTOMERS - MOST
    for said in job.bodies("decision"):
        if said["facts"]["last_outcome"] == "refused":
            assert said["outcome"] == "recommend"
            assert f"decided anew at {to_text(withheld[said['case_id']]['again_at'])}" in said["reason"]
