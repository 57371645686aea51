"""Answers on a live topic: a person's consent is acted on, a forger's is refused, and a replay does the same."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from config.clock import DAY, HOUR, to_text
from tests.support.approvals import asking_policy, record_of, signed, write_keys
from tests.support.commands import eventually, forestall
from tests.support.kafka import Broker
from tests.support.live import Job, World
from tests.support.private_keys import private_key
from tests.support.shop import START, recorded, shop
from tests.support.topics import read

pytestmark = pytest.mark.slow


MIDDLE = START + 17 * DAY + 12 * HOUR
"""When two requests are open, and something happens."""


@pytest.fixture
def world(kafka: Broker) -> World:
    """All of a small shop in one partition, so that nothing holds its time up, and nobody who answers yet."""
    suffix = uuid.uuid4().hex[:8]
    facts = [row for rows in recorded(shop(5), stamped=True).values() for row in rows]
    rows = [(stamp, key, value) for _, stamp, key, value in sorted(facts, key=lambda row: row[1])]
    made = World({f"shop-{suffix}/0": rows, f"approvals-{suffix}/0": []})
    made.create(kafka)
    return made


@pytest.fixture
def job(tmp_path: Path, kafka: Broker, world: World) -> Iterator[Job]:
    (answers,) = [topic for topic in world.topics if topic.startswith("approvals-")]
    keys = write_keys(tmp_path / "keys.yaml", {"maria": ["customer-operations"]})
    settings: dict[str, dict[str, Any]] = {
        "control": {"topics": [answers]},
        "policy": {"bundle": str(asking_policy(tmp_path / "policy"))},
        "approvals": {"keys": str(keys)},
    }
    job = Job(kafka, tmp_path / "job", world.topics, **settings)
    yield job
    if job.process is not None and job.process.poll() is None:
        job.kill()


def test_consent_is_acted_on_live_and_a_replay_does_the_same(
    kafka: Broker, world: World, job: Job, tmp_path: Path
) -> None:
    (answers,) = [channel for channel in world.records if channel.startswith("approvals-")]
    topic = answers.partition("/")[0]
    (data,) = [channel for channel in world.records if channel != answers]
    before = sum(stamp <= MIDDLE // 1000 for stamp, _, _ in world.records[data])
    world.produce(kafka, (before + 0.5) / len(world.records[data]), [data])
    job.start("--processes", 2)
    job.wait_for({data: before})

    def asked() -> list[dict[str, Any]]:
        found = forestall("approvals", "list", "--store", job.store_url, "--json").document["requests"]
        return [row for row in found if row["people"] == 1 and row["roles"][0] == "customer-operations"]

    eventually(lambda: len(asked()) > 1, "open requests")
    first, second = sorted(asked(), key=lambda row: row["expires_at"])[-2:]
    key = tmp_path / "maria.key"
    key.write_bytes(private_key("maria").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key.chmod(0o600)
    at = max(row["at"] for row in (first, second))
    given = ("--key", key, "--config", job.config, "--at", to_text(at), "--topic", topic, "--json")
    sent = forestall("approvals", "approve", first["request_id"], "--store", job.store_url, *given).document
    assert sent["where"] == f"{answers}, offset 0"
    forged = record_of(signed(second, "maria", at, signer="mallory"), at, "forged")
    kafka.produce(topic, [forged], 0, [second["case_key"].encode()], [at // 1000])
    job.wait_for({answers: 2})
    world.records[answers].extend((at // 1000, each.key.encode(), each.value) for each in read(kafka, [topic]))
    world.produce(kafka, 1.0, [data])
    job.wait_for(world.ends())
    time.sleep(1)
    live = job.stop().document

    rows = forestall("approvals", "list", "--store", job.store_url, "--all", "--json").document["requests"]
    found = {row["request_id"]: row for row in rows}
    assert (found[first["request_id"]]["end"], found[first["request_id"]]["approvers"]) == ("granted", ["maria"])
    assert [each["reason"] for each in found[second["request_id"]]["refusals"]] == ["forged"]
    assert live["actions"] == 1
    recording = world.record(tmp_path / "recording", [*job.idle_times(), job.promised(answers)])
    store = f"sqlite:///{tmp_path / 'replay.db'}"
    replay = forestall("replay", recording, "--config", job.config, "--store", store, "--json").document
    assert (replay["actions"], replay["digest"]) == (live["actions"], live["digest"])
