from __future__ import annotations

import tomllib
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from config.errors import BrokerError, ForestallError, TopicError
from config.kafka import Kafka, client_config
from config.settings import load
from dataflows.kafka_reach import partitions_of, reach
from sinks.topic_check import prepare_topics
from tests.conftest import absent
from tests.support.commands import forestall
from tests.support.kafka import Unavailable
from tests.support.kafka_security import GUEST, MECHANISMS, PASSWORD, SecureBroker, secure_broker
from tests.support.live import Job, simulated
from tests.support.topics import read

pytestmark = pytest.mark.kafka

PATIENCE = timedelta(seconds=2)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    try:
        running = secure_broker(tmp_path_factory.mktemp("secure"))
    except Unavailable as error:
        absent(str(error))
        raise
    yield running
    running.broker.stop()


def settings_of(secure: SecureBroker, tmp_path: Path, listener: str, **changes: str) -> Kafka:
    file = tmp_path / "job.toml"
    file.write_text(secure.settings(listener, **changes), encoding="utf-8")
    return load(file).kafka


GUARDED = [
    ("TLS", {}),
    ("MUTUAL", {}),
    *((listener, {"mechanism": mechanism}) for listener in ("SASL", "SASLTLS") for mechanism in MECHANISMS),
]


@pytest.mark.parametrize(("listener", "changes"), GUARDED)
def test_records_are_written_and_read_through_each_guarded_listener(
    secure: SecureBroker, tmp_path: Path, listener: str, changes: dict[str, str]
) -> None:
    kafka = settings_of(secure, tmp_path, listener, **changes)
    topic = secure.broker.topic()
    assert partitions_of(reach(kafka), [topic]) == {topic: 1}
    failed: list[object] = []
    producer = Producer(client_config(kafka, enable_idempotence=True))
    producer.produce(topic, b"value", on_delivery=lambda error, _: failed.append(error) if error else None)
    assert (producer.flush(20), failed) == (0, [])
    consumer = Consumer(client_config(kafka, group_id="test", enable_auto_commit=False))
    consumer.assign([TopicPartition(topic, 0, 0)])
    (message,) = consumer.consume(1, 20)
    consumer.close()
    assert message.value() == b"value"


@pytest.mark.parametrize(
    ("listener", "changes", "why", "remedy"),
    [
        ("SASL", {"password_file": "{wrong}"}, "Invalid username or password", "password in .password_file"),
        (
            "SASLTLS",
            {"password_file": "{wrong}", "mechanism": "SCRAM-SHA-512"},
            "invalid credentials with SASL mechanism SCRAM-SHA-512",
            "password in .password_file",
        ),
        ("SASL", {"username": "nobody", "mechanism": "SCRAM-SHA-256"}, "invalid credentials", "security.username"),
        ("TLS", {"ca_file": "{folder}/stranger-ca.pem"}, "certificate verify failed", "kafka.security.ca_file"),
        ("TLS", {"ca_file": ""}, "certificate verify failed", "kafka.security.ca_file"),
        ("MUTUAL", {"certificate_file": "", "key_file": ""}, "certificate", "kafka.security.certificate_file"),
        (
            "MUTUAL",
            {"certificate_file": "{folder}/stranger.pem", "key_file": "{folder}/stranger.key"},
            "certificate",
            "that the brokers trust",
        ),
    ],
)
def test_refusal_that_no_waiting_mends_is_told_at_once(
    secure: SecureBroker, tmp_path: Path, listener: str, changes: dict[str, str], why: str, remedy: str
) -> None:
    (tmp_path / "wrong").write_text("close sesame\n", encoding="utf-8")
    filled = {
        name: value.format(wrong=tmp_path / "wrong", folder=secure.folder) if value else value
        for name, value in changes.items()
    }
    with pytest.raises(BrokerError) as caught:
        reach(settings_of(secure, tmp_path, listener, **filled), timedelta(minutes=5))
    assert why in caught.value.message
    assert f"127.0.0.1:{secure.ports[listener]}" in caught.value.message
    assert remedy in caught.value.remedy
    assert not caught.value.retry
    assert "\n" not in caught.value.message
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("listener", "changes"),
    [
        ("TLS", {"protocol": "PLAINTEXT", "ca_file": ""}),
        ("SASL", {"protocol": "PLAINTEXT", "mechanism": "", "username": "", "password_file": ""}),
    ],
)
def test_listener_of_another_protocol_is_told_with_what_to_check(
    secure: SecureBroker, tmp_path: Path, listener: str, changes: dict[str, str]
) -> None:
    with pytest.raises(BrokerError, match="protocol PLAINTEXT") as caught:
        reach(settings_of(secure, tmp_path, listener, **changes), PATIENCE)
    assert "kafka.security.protocol" in caught.value.remedy
    assert caught.value.retry


def test_broker_that_is_not_there_is_told_with_what_to_check(secure: SecureBroker, tmp_path: Path) -> None:
    file = tmp_path / "job.toml"
    file.write_text('[kafka]\nbootstrap_servers = "127.0.0.1:1"\n', encoding="utf-8")
    with pytest.raises(BrokerError, match="Connection refused") as caught:
        reach(load(file).kafka, PATIENCE)
    assert "kafka.bootstrap_servers" in caught.value.remedy


def test_all_missing_topics_are_named_at_once(secure: SecureBroker, tmp_path: Path) -> None:
    metadata = reach(settings_of(secure, tmp_path, "TLS"))
    with pytest.raises(TopicError, match=r"no topic one, two on the brokers"):
        partitions_of(metadata, ["one", "two"])


def test_what_a_user_may_not_do_is_told_at_the_start(secure: SecureBroker, tmp_path: Path) -> None:
    kafka = settings_of(secure, tmp_path, "SASLTLS", username=GUEST)
    hidden, seen, progress = secure.broker.topic(), secure.broker.topic(), secure.broker.topic(cleanup_policy="compact")
    allow(secure, ResourceType.TOPIC, seen, AclOperation.DESCRIBE)
    allow(secure, ResourceType.TOPIC, progress, AclOperation.DESCRIBE)
    with pytest.raises(TopicError, match=f"no topic {hidden} on the brokers, or no permission to see it"):
        partitions_of(reach(kafka), [hidden, seen])
    with pytest.raises(ForestallError) as caught:
        prepare_topics(client_config(kafka), [hidden, seen], progress, 1, "guest")
    for words in (
        f"Outputs cannot go to {hidden}: no such topic, or no permission to see it",
        f"No permission to write {', '.join(sorted([progress, seen]))}",
        "No transaction can be begun with an id such as guest.check",
    ):
        assert words in caught.value.message
    for topic in (seen, progress):
        allow(secure, ResourceType.TOPIC, topic, AclOperation.WRITE)
    allow(secure, ResourceType.TRANSACTIONAL_ID, "guest", AclOperation.WRITE)
    prepare_topics(client_config(kafka), [seen], progress, 1, "guest")


def allow(secure: SecureBroker, kind: ResourceType, name: str, operation: AclOperation) -> None:
    """Let the guest do something to what begins with `name`."""
    binding = AclBinding(
        kind, name, ResourcePatternType.PREFIXED, f"User:{GUEST}", "*", operation, AclPermissionType.ALLOW
    )
    admin = secure.broker.admin()  # kept until the answer is there
    for done in admin.create_acls([binding]).values():
        done.result(20)


@pytest.mark.slow
@pytest.mark.parametrize(("listener", "changes"), [("MUTUAL", {}), ("SASLTLS", {"mechanism": "SCRAM-SHA-512"})])
def test_whole_job_reads_and_writes_through_a_guarded_listener(
    secure: SecureBroker, tmp_path: Path, listener: str, changes: dict[str, str]
) -> None:
    world = simulated(tmp_path / "world", uuid.uuid4().hex[:8], events=2_000)
    world.create(secure.broker)
    world.produce(secure.broker)
    findings = secure.broker.topic(2, "findings")
    tables = tomllib.loads(secure.settings(listener, **changes))["kafka"]
    security = tables.pop("security")
    topics = {"findings": findings, "transactional_id_prefix": uuid.uuid4().hex}
    job = Job(
        secure.broker, tmp_path / "job", world.topics, kafka=tables, topics=topics, **{"kafka.security": security}
    )
    job.start("--processes", 2)
    try:
        job.wait_for(world.ends())
        live = job.stop().document
    finally:
        assert job.process is not None
        if job.process.poll() is None:
            job.kill()
    arguments = ("--config", job.config, "--store", f"sqlite:///{tmp_path}/replay.db", "--json")
    assert live["digest"] == forestall("replay", world.record(tmp_path / "R"), *arguments).document["digest"]
    assert len(read(secure.broker, [findings])) == live["findings"] > 0


def test_password_is_in_no_log_of_the_client(
    secure: SecureBroker, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kafka = settings_of(secure, tmp_path, "SASL", mechanism="SCRAM-SHA-256")
    producer = Producer({**client_config(kafka), "debug": "all", "log_level": 7})
    producer.list_topics(timeout=10)
    producer.flush(5)
    written = capfd.readouterr()
    assert "SASL" in written.err
    assert PASSWORD not in written.err + written.out
