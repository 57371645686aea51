"""Remedies and topics on a real broker: actions taken from one, commands written onto one."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from subprocess import Popen
from typing import Any

import msgspec
import orjson
import pytest
import yaml

from config.actions import encode_action
from config.clock import HOUR, SECOND
from config.effects import Call, Verb
from config.targets import load_targets
from dataflows.remedy_clock import wall_clock
from dataflows.remedy_flags import FLAGS, read_book
from replay.target_shop import Shop
from sinks.ledger import Ledger
from sinks.topic_target import TopicTarget
from tests.support.commands import children, end, eventually, forestall, start, store_url
from tests.support.kafka import Broker
from tests.support.playbooks import document, step, written
from tests.support.remedies import many, target_process, targets_file
from tests.support.topics import read

pytestmark = pytest.mark.slow


def topic_target(folder: Path, kafka: Broker, topic: str) -> TopicTarget:
    file = folder / "targets.yaml"
    file.write_text(yaml.safe_dump({"owner": "tests", "targets": {"erp": {"kind": "topic", "topic": topic}}}))
    return TopicTarget(load_targets(file).by_name["erp"], kafka.client())


def call(verb: Verb = "do", **more: Any) -> Call:
    at = wall_clock()
    values: dict[str, Any] = {"operation": "expedite", "entity": "order:1", "parameters": {"b": 1, "a": "x"}}
    values |= {"key": "k1", "at": at, "timeout": 5 * SECOND, "expires": at + 30 * SECOND}
    return Call("a1", 2, verb, "erp", **values | more)


def test_a_command_is_a_cloud_event_with_its_idempotency_key(tmp_path: Path, kafka: Broker) -> None:
    topic = kafka.topic(2, prefix="commands")
    erp = topic_target(tmp_path, kafka, topic)
    assert erp.carry_out(call()).result == "done"
    (found,) = read(kafka, [topic])
    assert (found.headers["idempotency-key"], found.headers["ce_id"]) == ("k1", "k1")
    assert (found.headers["ce_type"], found.headers["ce_subject"]) == ("forestall.command.expedite", "order:1")
    assert orjson.loads(found.value) == orjson.loads(call().body())


def test_what_is_certainly_not_there_is_refused_and_a_topic_cannot_be_asked(tmp_path: Path, kafka: Broker) -> None:
    erp = topic_target(tmp_path, kafka, "no-such-topic")
    assert erp.carry_out(call()).result == "refused"
    assert erp.carry_out(call(expires=wall_clock())).result == "expired"
    assert erp.carry_out(call("query")).result == "unreadable"


@pytest.fixture
def target(tmp_path: Path) -> Iterator[str]:
    process, url = target_process(tmp_path, "--seed", 5, "--faults", "fail_after=0.1,lose_reply=0.1,lose_request=0.05")
    yield url
    process.kill()
    process.communicate()


def produce(kafka: Broker, topic: str, more: str = "") -> None:
    """Write a dozen actions of now onto both partitions, and what is none between them."""
    now = wall_clock()
    changed = {"at": now, "valid_until": now + HOUR}
    decided = [msgspec.structs.replace(one, action_id=one.action_id + more, **changed) for one in many(12)]
    for partition in (0, 1):
        chosen = [(one.customer.encode(), encode_action(one)) for one in decided[partition::2]]
        chosen.insert(3, (b"?", b'{"action_id": 5}'))
        kafka.produce(topic, [value for _, value in chosen], partition, [key for key, _ in chosen])


def settings_of(tmp_path: Path, kafka: Broker, topic: str, target: str, **more: str) -> Path:
    """Write the settings of a job with one quick playbook; return their file."""
    books = tmp_path / "playbooks"
    books.mkdir()
    retry = {"attempts": 8, "first": "50ms", "most": "500ms"}
    written(books, document("tell", step(timeout="1s", retry=retry), verify={"unchanged": ["notes"], "after": "1s"}))
    settings = tmp_path / "job.toml"
    settings.write_text(
        f'[kafka]\nbootstrap_servers = "{kafka.bootstrap}"\ngroup_id = "g-{topic}"\n{more.get("read", "")}\n'
        f'[topics]\nactions = "{topic}"\n{more.get("tables", "")}\n'
        f'[remediation]\ntargets = "{targets_file(tmp_path, target)}"\nplaybooks = "{books}"\nwarmup = "0s"\n'
    )
    return settings


def test_actions_of_a_topic_are_done_once_however_often_the_job_is_killed(
    tmp_path: Path, kafka: Broker, target: str
) -> None:
    chance, topic, ledger = Random(3), kafka.topic(2, prefix="actions"), store_url(tmp_path / "ledger.db")
    settings = settings_of(tmp_path, kafka, topic, target)
    command = ("run", "remediation", "--config", settings, "--ledger", ledger, "--processes", 2, "--json")

    def started() -> Popen[str]:
        process = start(*command)
        eventually(lambda: len(children(process)) == 2, "both workers have started")
        return process

    for life in range(4):
        killed = started()
        if life == 0:
            # What was decided before anybody watched would only be recommended.
            produce(kafka, topic)
        time.sleep(1 + 2 * chance.random())
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    process = started()

    def all_ended() -> bool:
        assert process.poll() is None, process.communicate()
        states = forestall("actions", "list", "--ledger", ledger, "--json").document["actions"]
        return len(states) == 12 and not any(one["open"] for one in states)

    eventually(all_ended, "all actions come to their end")
    process.terminate()
    assert end(process).document["effects"] == {"done": 12}
    shop = Shop(tmp_path / "target.db")
    assert len({one["key"] for one in shop.effects()}) == len(shop.effects()) == 12
    shop.close()


def test_a_flag_holds_what_was_decided_before_it_and_is_known_after_a_kill(
    tmp_path: Path, kafka: Broker, target: str
) -> None:
    topic, flags, ledger = kafka.topic(2, prefix="actions"), kafka.topic(1, prefix="flags"), tmp_path / "ledger.db"
    control = f'[control]\ntopics = ["{flags}"]\n'
    settings = settings_of(tmp_path, kafka, topic, target, read=f'topics = ["{flags}"]', tables=control)
    command = ("run", "remediation", "--config", settings, "--ledger", store_url(ledger), "--processes", 2, "--json")

    def set_(mode: str) -> None:
        said = ("--by", "on-call", "--reason", "drill", "--topic", flags, "--bootstrap-servers", kafka.bootstrap)
        forestall("flag", "set", mode, *said, "--json").document  # noqa: B018

    def states() -> Counter[str]:
        rows = forestall("actions", "list", "--ledger", store_url(ledger), "--json").document["actions"]
        return Counter(row["state"] for row in rows if not row["open"])

    process = start(*command)
    eventually(lambda: len(children(process)) == 2, "both workers have started")
    set_("observe-only")
    eventually(lambda: knows_a_flag(ledger), "the flow knows of the flag")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    process = start(*command)
    produce(kafka, topic)
    eventually(lambda: states() == {"refused": 12}, "all are refused")
    set_("normal")
    eventually(lambda: not knows_a_flag(ledger), "the flow knows that it was taken back")
    produce(kafka, topic, "b")
    eventually(lambda: states() == {"refused": 12, "settled": 12}, "all others are done")
    process.terminate()
    assert end(process).document["effects"] == {"done": 12}


def knows_a_flag(ledger: Path) -> bool:
    """Return whether the ledger knows of a flag that stands."""
    with Ledger.open(store_url(ledger)) as known:
        return bool(read_book(known.fact(FLAGS)).standing.in_force)
