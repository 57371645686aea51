"""What autonomy comes to, and what guardrails withhold, on topics of their own: once, by their contracts."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from config.clock import to_text
from config.contracts import OUTPUTS, load_contracts
from config.contracts.compile import compile_contracts
from config.topics import KINDS
from dataflows.remedy_clock import wall_clock
from tests.support.autonomy import EASY
from tests.support.cloudevents import cloud_event
from tests.support.commands import eventually
from tests.support.kafka import Broker
from tests.support.live import Job, late_orders
from tests.support.policies import acting_policy
from tests.support.topics import read

pytestmark = pytest.mark.slow

CUSTOMERS, MOST = 7, 3
TOLD = ("autonomy", "guardrail")


def policy(folder: Path) -> Path:
    """Write the default policy, but for acting by itself, three times a day, until one action has failed."""
    file = acting_policy(folder) / "bundle.yaml"
    document = yaml.safe_load(file.read_text())
    limit = {"description": "Few.", "per": "all", "most": MOST, "within": "1d"}
    document["guardrails"] = {"limits": {"few": limit}}
    document["autonomy"] = {"limits": [EASY | {"start": "autonomous", "demotion": EASY["demotion"] | {"failures": 1}}]}
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return folder


@pytest.fixture
def job(tmp_path: Path, kafka: Broker) -> Iterator[Job]:
    suffix = uuid.uuid4().hex[:8]
    names = {name: f"{name}-{suffix}" for name in ("orders", "outcomes", "autonomy", "withheld")}
    for name in names.values():
        kafka.create(name, 2)
    settings: dict[str, dict[str, Any]] = {
        "control": {"topics": [names["outcomes"]]},
        "policy": {"bundle": str(policy(tmp_path / "policy")), "mode": "act"},
        "time": {"idle_timeout": "1s", "lateness_max": "1s"},
        "topics": {
            "autonomy": names["autonomy"],
            "withheld": names["withheld"],
            "transactional_id_prefix": f"job-{suffix}",
        },
    }
    made = Job(kafka, tmp_path / "job", [names["orders"], names["outcomes"]], **settings)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


def told(kafka: Broker, topic: str, acted: list[dict[str, Any]]) -> None:
    """Write that the first action did not help, and what came of one of a remedy that nobody knows."""
    names = {name: acted[0][name] for name in ("action_id", "case_id", "agent", "remedy", "segment")}
    failed = names | {"case_key": acted[0]["customer"], "state": "escalated", "verdict": "ineffective", "seq": 2}
    for number, said in enumerate((failed, failed | {"action_id": "f" * 32, "remedy": "unheard-of"})):
        value = cloud_event("action.outcome", said, id=f"told-{number}", time=to_text(wall_clock()))
        kafka.produce(topic, [value], 0, [said["case_key"].encode()])


def test_changes_of_autonomy_and_withheld_actions_are_on_their_topics_once(kafka: Broker, job: Job) -> None:
    orders, outcomes = (next(each for each in job.topics if each.startswith(name)) for name in ("orders", "outcomes"))
    named = {kind: f"{KINDS[kind]}-{outcomes.partition('-')[2]}" for kind in TOLD}
    job.start("--processes", 2)
    late_orders(kafka, orders, CUSTOMERS, wall_clock())
    eventually(lambda: len(job.bodies("guardrail")) == CUSTOMERS - MOST, "actions beyond the limit are withheld")
    job.kill()
    job.start()
    told(kafka, outcomes, sorted(job.bodies("action"), key=orjson.dumps))
    eventually(lambda: len(job.bodies("autonomy")) == 3, "the outcomes are counted")
    job.stop()

    found = {kind: read(kafka, [topic]) for kind, topic in named.items()}
    for kind, records in found.items():
        bodies = sorted((orjson.loads(record.value) for record in records), key=orjson.dumps)
        assert bodies == sorted(job.bodies(kind), key=orjson.dumps)
    decoder = compile_contracts(load_contracts(OUTPUTS)).decoder
    for record in (*found["autonomy"], *found["guardrail"]):
        kept: Any = decoder.decode(cloud_event(record.headers["ce_type"], orjson.loads(record.value)))
        assert kept.data.at > 0
    types = Counter(record.headers["ce_type"] for records in found.values() for record in records)
    assert types == {
        "autonomy.changed": 1,
        "autonomy.counted": 1,
        "autonomy.ignored": 1,
        "guardrail.withheld": CUSTOMERS - MOST,
    }
    (change,) = (orjson.loads(one.value) for one in found["autonomy"] if one.headers["ce_type"] == "autonomy.changed")
    assert (change["before"], change["level"], change["cause"]) == ("autonomous", "supervised", "failures")
    assert len(job.bodies("action")) == MOST
