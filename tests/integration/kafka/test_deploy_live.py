"""What is in `deploy/`, and what operations are told to allow, on a real broker that allows nothing else.

Both flows run as users of their own, with the settings and the topics that compose has; what is decided is carried out.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from dataflows.remedy_clock import wall_clock
from sinks.store import Store
from tests.conftest import absent
from tests.support.commands import ROOT, end, eventually, forestall, start, store_url
from tests.support.deployment import DEPLOY, topics_made
from tests.support.kafka import Unavailable
from tests.support.kafka_security import PASSWORD, SecureBroker, secure_broker
from tests.support.live import late_orders
from tests.support.policies import acting_policy
from tests.support.prometheus import fetch, free_port
from tests.support.remedies import target_process, targets_file

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
RULES = re.findall(r"^    \$acls (--add .+)$", PAGE, re.M)
USERS = sorted(set(re.findall(r"--allow-principal User:(\S+)", PAGE)))
DETECTION, REMEDIATION = "forestall-detection", "forestall-remediation"
COMPACTED = ("forestall.progress", "forestall.remediation.progress")


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    """A broker with the topics that compose makes, and the rules and users that operations are told to make."""
    try:
        running = secure_broker(tmp_path_factory.mktemp("secure"))
    except Unavailable as error:
        absent(str(error))
        raise
    broker = running.broker
    for name, partitions in topics_made().items():
        broker.create(name, partitions, **({"cleanup_policy": "compact"} if name in COMPACTED else {}))
    for rule in RULES:
        broker.command("AclCommand", *shlex.split(rule))
    admin = broker.admin()
    login = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    for user in USERS:
        for done in admin.alter_user_scram_credentials(
            [UserScramCredentialUpsertion(user, login, PASSWORD.encode(), None)]
        ).values():
            done.result(20)
    yield running
    broker.stop()


def client(secure: SecureBroker, user: str, **more: str) -> dict[str, Any]:
    login = {"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": user, "sasl.password": PASSWORD}
    login |= {"security.protocol": "SASL_SSL", "ssl.ca.location": str(secure.folder / "ca.pem")}
    server = f"127.0.0.1:{secure.ports['SASLTLS']}"
    return {"bootstrap.servers": server, "log_level": 0} | login | {k.replace("_", "."): v for k, v in more.items()}


def may_write(secure: SecureBroker, user: str) -> set[str]:
    """Return the topics that a user may write to, by the broker's own word."""
    admin, found = AdminClient(client(secure, user)), set[str]()
    asked = admin.describe_topics(TopicCollection(list(topics_made())), include_authorized_operations=True)
    for topic, answer in asked.items():
        with suppress(KafkaException):
            if AclOperation.WRITE in answer.result().authorized_operations:
                found.add(topic)
    return found


WRITERS = {
    "orders": {"shop"},
    "crm": {"shop"},
    "telemetry": {"shop"},
    "approvals": {"approvals"},
    "flags": {"on-call"},
    "forestall.outcomes": {REMEDIATION},
    "forestall.remediation.progress": {REMEDIATION},
}
"""Who may write; to all other topics detection may."""


def test_nobody_writes_where_he_has_no_business(secure: SecureBroker) -> None:
    assert len(RULES) == 10
    detection = set(topics_made()) - WRITERS.keys()
    expected = {user: {topic for topic, users in WRITERS.items() if user in users} for user in USERS}
    assert {user: may_write(secure, user) for user in USERS} == expected | {DETECTION: detection}
    producer, refused = Producer(client(secure, "shop", message_timeout_ms="20000")), list[str]()
    producer.produce(
        "forestall.outcomes", b"{}", on_delivery=lambda error, _: refused.append(error.name() if error else "")
    )
    assert (producer.flush(30), refused) == (0, ["TOPIC_AUTHORIZATION_FAILED"])


@pytest.mark.parametrize(
    ("user", "others"), [(DETECTION, "forestall.remediation.x"), (REMEDIATION, "forestall.part-000")]
)
def test_no_flow_fences_the_other_off(secure: SecureBroker, user: str, others: str) -> None:
    producer = Producer(client(secure, user, transactional_id=others))
    with pytest.raises(KafkaException) as refused:
        producer.init_transactions(20)
    assert refused.value.args[0].code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED


@pytest.fixture
def target(tmp_path: Path) -> Iterator[str]:
    process, url = target_process(tmp_path)
    yield url
    process.kill()
    process.communicate()


def test_what_is_decided_is_carried_out_and_told_by_flows_with_no_more_rights(
    secure: SecureBroker, tmp_path: Path, target: str
) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    security = {
        "PROTOCOL": "SASL_SSL",
        "MECHANISM": "SCRAM-SHA-512",
        "PASSWORD_FILE": str(tmp_path / "password"),
        "CA_FILE": str(secure.folder / "ca.pem"),
    }
    given = {f"FORESTALL_KAFKA_SECURITY_{name}": value for name, value in security.items()} | {
        "FORESTALL_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{secure.ports['SASLTLS']}",
        "FORESTALL_POLICY_MODE": "act",
        "FORESTALL_POLICY_BUNDLE": str(acting_policy(tmp_path / "policy")),
        "FORESTALL_METRICS_HOST": "127.0.0.1",
        "FORESTALL_REMEDIATION_TARGETS": str(targets_file(tmp_path, target)),
        "FORESTALL_REMEDIATION_WARMUP": "0s",
        "FORESTALL_TIME_IDLE_TIMEOUT": "1s",
    }
    store, ledger, ports = (
        store_url(tmp_path / "store.db"),
        store_url(tmp_path / "ledger.db"),
        (free_port(), free_port()),
    )
    config = ("--config", DEPLOY / "job.toml")
    commands = {
        DETECTION: ("run", "detection", *config, "--store", store, "--recovery", tmp_path / "recovery"),
        REMEDIATION: ("run", "remediation", *config, "--ledger", ledger, "--folder", tmp_path / "remediation"),
    }
    running: list[Popen[str]] = []

    def lives() -> bool:
        assert all(process.poll() is None for process in running), [end(process) for process in running]
        return True

    try:
        # What was decided before anybody watched would only be recommended.
        for user, port in ((REMEDIATION, ports[1]), (DETECTION, ports[0])):
            if user == DETECTION:
                late_orders(secure.broker, "orders", 3, wall_clock())
            named = {"FORESTALL_KAFKA_SECURITY_USERNAME": user, "FORESTALL_METRICS_PORT": str(port)}
            running.append(start(*commands[user], "--json", measured=False, **given | named))
            ready = f"http://127.0.0.1:{port}/health/ready"
            eventually(lambda: lives() and fetch(ready)[0] == 200, f"{user} is ready")  # noqa: B023

        def told() -> bool:
            assert lives()
            with Store.open(store) as there:
                return there.counts().get("outcome", 0) > 0

        eventually(told, "an outcome is noted in its case")
        for process in running:
            process.terminate()
        assert [end(process).code for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()
            process.communicate()
    acted = forestall("actions", "list", "--ledger", ledger, "--effects", "--json").document["actions"]
    assert len(acted) == 3
    assert [effect["status"] for action in acted for effect in action["effects"]] == ["done"] * 3
