"""A real Kafka broker for tests: Apache Kafka's jars from Maven Central, one KRaft node on loopback, no container."""

from __future__ import annotations

import base64
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

ROOT = Path(__file__).resolve().parents[2]
LIBS = ROOT / "var" / "kafka" / "libs"
EXTERNAL = "FORESTALL_TEST_KAFKA"
START_S = 60.0
TOPIC_S = 20.0
JAVA = ("java", "-Xms128m", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dlog4j2.level=WARN")
"""A quick start on few cores matters more here than the throughput of a broker that runs for hours."""
DELIVERY_S = 30.0
SESSION_S = 2.0
"""After so long without a word from a broker the controller holds it for dead."""


class Unavailable(Exception):
    """This machine has no broker for tests; the message says how to get one."""


class Broker:
    """A broker that tests may use, kill and restart.

    Args:
        folder: Where its configuration, data and log go.
        settings: Further lines of `server.properties`, which override those made here.
        listeners: Further listeners, `name -> (port, protocol)`, for example `{"TLS": (9093, "SSL")}`.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        listeners: Mapping[str, tuple[int, str]] | None = None,
    ) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        port, controller = free_port(), free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        self._properties = folder / "server.properties"
        self._properties.write_text(_properties(folder, port, controller, settings or {}, listeners or {}))
        self._format(cluster_id())

    def _format(self, cluster: str) -> None:
        format_storage(self._properties, cluster, "--standalone")

    @property
    def log(self) -> Path:
        """What the broker wrote to its standard output, warnings and worse."""
        return self._folder / "broker.log"

    @property
    def may_be_killed(self) -> bool:
        """Whether it is ours to stop."""
        return True

    def start(self) -> None:
        """Start it, with the data it has, and wait until it answers."""
        assert self._process is None, "the broker runs already"
        self._process = start_node(self._properties, self.log)
        self.wait()

    def wait(self) -> None:
        """Wait until it answers: the port is open long before."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                raise RuntimeError(f"the broker exited: {self.log.read_text()[-2000:]}")
            with suppress(KafkaException):
                if self.admin().list_topics(timeout=2).brokers:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"the broker did not answer within {START_S:.0f} s: {self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """Kill it as a loss of power would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Shut it down in good order."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Start it again after `kill` or `stop`, or stop it first; ports and data are the same."""
        if self._process is not None:
            self.stop()
        self.start()

    def pause(self) -> None:
        """Stop it in its tracks, until `resume`; connections stay."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def command(self, tool: str, *arguments: str) -> str:
        """Run one of Kafka's own commands, by the name of its class, and return what it prints."""
        line = [*_java(), f"org.apache.kafka.tools.{tool}", "--bootstrap-server", self.bootstrap, *arguments]
        ran = subprocess.run(line, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise RuntimeError(f"{tool} {' '.join(arguments)}: {ran.stdout}{ran.stderr}")
        return ran.stdout

    def admin(self) -> AdminClient:
        """Return an administrative client."""
        return AdminClient(self.client())

    def client(self, **more: Any) -> dict[str, Any]:
        """Return the configuration of a client; underscores in names stand for dots."""
        return {
            "bootstrap.servers": self.bootstrap,
            "log_level": 0,
            **{name.replace("_", "."): value for name, value in more.items()},
        }

    def topic(self, partitions: int = 1, prefix: str = "t", **config: object) -> str:
        """Make a fresh topic and return its name; underscores in names of its configuration stand for dots."""
        name = f"{prefix}-{uuid.uuid4().hex[:12]}"
        self.create(name, partitions, **config)
        return name

    def create(self, name: str, partitions: int = 1, **config: object) -> None:
        """Make the topic `name`, and wait until clients can use it."""
        settings = {key.replace("_", "."): str(value) for key, value in config.items()}
        admin = self.admin()
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=settings)
        admin.create_topics([topic])[name].result(TOPIC_S)
        _until(lambda: self.partitions(name) == partitions, f"topic {name} did not appear")

    def add_partitions(self, name: str, count: int) -> None:
        """Let the topic `name` have so many partitions, and wait until clients can use them."""
        admin = self.admin()
        admin.create_partitions([NewPartitions(name, count)])[name].result(TOPIC_S)
        _until(lambda: self.partitions(name) == count, f"topic {name} did not grow")

    def delete(self, name: str) -> None:
        """Delete the topic `name`, and wait until it is gone."""
        admin = self.admin()  # kept until the answer is there
        admin.delete_topics([name])[name].result(TOPIC_S)
        _until(lambda: self.partitions(name) == 0, f"topic {name} did not go")

    def partitions(self, name: str) -> int:
        """Return how many partitions the topic `name` has; 0 when there is no such topic."""
        found = self.admin().list_topics(timeout=10).topics.get(name)
        return 0 if found is None or found.error is not None else len(found.partitions)

    def produce(
        self,
        topic: str,
        values: Iterable[bytes | None],
        partition: int = 0,
        keys: Iterable[bytes | None] | None = None,
        timestamps: Iterable[int] | None = None,
        **more: Any,
    ) -> None:
        """Write records to one partition, in order, and wait until the broker has them all."""
        producer = Producer(self.client(enable_idempotence=True, linger_ms=0, **more))
        failed: list[Exception] = []

        def delivered(error: Any, message: object) -> None:
            if error is not None:
                failed.append(KafkaException(error))

        values = list(values)
        key_of = list(keys) if keys is not None else [None] * len(values)
        stamps = list(timestamps) if timestamps is not None else [0] * len(values)
        for value, key, stamp in zip(values, key_of, stamps, strict=True):
            while True:
                try:
                    producer.produce(
                        topic, value=value, key=key, partition=partition, timestamp=stamp, on_delivery=delivered
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
        left = producer.flush(DELIVERY_S)
        if failed or left:
            raise RuntimeError(f"{len(failed)} records were not delivered, {left} are left: {failed[:1]}")


class ExternalBroker(Broker):
    """A broker that runs already, named by `FORESTALL_TEST_KAFKA`; it is not ours to stop."""

    def __init__(self, bootstrap: str) -> None:
        self._process = None
        self.bootstrap = bootstrap

    @property
    def may_be_killed(self) -> bool:
        """Whether it is ours to stop."""
        return False

    def start(self) -> None:
        """Check that it answers."""
        try:
            self.admin().list_topics(timeout=10)
        except KafkaException as error:
            raise Unavailable(f"no broker answers at {EXTERNAL}={self.bootstrap}") from error


def broker(folder: Path) -> Broker:
    """Return a broker for tests, started.

    Raises:
        Unavailable: this machine cannot run one.
    """
    external = os.environ.get(EXTERNAL)
    made = ExternalBroker(external) if external else local_broker(folder)
    made.start()
    return made


def local_broker(
    folder: Path,
    settings: Mapping[str, str] | None = None,
    listeners: Mapping[str, tuple[int, str]] | None = None,
) -> Broker:
    """Return a broker of this machine, not started: see `Broker`.

    Raises:
        Unavailable: its jars or Java are missing.
    """
    check_local()
    return Broker(folder, settings, listeners)


def check_local() -> None:
    """Check that this machine can run a broker.

    Raises:
        Unavailable: its jars or Java are missing.
    """
    if shutil.which("java") is None:
        raise Unavailable("no Java for a Kafka broker: install a JRE of version 17 or later")
    if not list(LIBS.glob("kafka_*.jar")):
        raise Unavailable(f"no Kafka broker: run `make broker`, or set {EXTERNAL} to host:port of one")


def free_port() -> int:
    """Return a port of loopback that is free now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def cluster_id() -> str:
    """Return a fresh id of a cluster."""
    text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return text.replace("-", "A")  # else it may look like an option


def format_storage(properties: Path, cluster: str, how: str) -> None:
    """Make the storage of a node, whose quorum is `--standalone` or elsewhere: `--no-initial-controllers`."""
    line = [*_java(), "kafka.tools.StorageTool", "format", how, "-t", cluster, "-c", str(properties)]
    formatted = subprocess.run(line, capture_output=True, text=True, check=False)
    if formatted.returncode:
        raise RuntimeError(f"the storage cannot be formatted: {formatted.stdout}{formatted.stderr}")


def start_node(properties: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a node of Kafka, which dies with this process."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [*_java(), "kafka.Kafka", str(properties)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=_die_with_parent,
        )


def _java() -> list[str]:
    return [*JAVA, "-cp", f"{LIBS}/*"]


def _properties(
    folder: Path,
    port: int,
    controller: int,
    settings: Mapping[str, str],
    listeners: Mapping[str, tuple[int, str]],
) -> str:
    own = {"PLAINTEXT": (port, "PLAINTEXT"), "CONTROLLER": (controller, "PLAINTEXT")}
    every = own | dict(listeners)
    values = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
        "listeners": ",".join(f"{name}://127.0.0.1:{number}" for name, (number, _) in every.items()),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, (_, protocol) in every.items()),
        "log.dirs": str(folder / "data"),
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # Few and quick: tests wait for each of these.
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",
        # After a kill the controller refuses the same broker until its old session has expired.
        "broker.heartbeat.interval.ms": "500",
        "broker.session.timeout.ms": f"{SESSION_S * 1000:.0f}",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
        # Records keep the timestamps of what tests tell of, which is long ago: nothing is deleted for its age.
        "log.retention.ms": "-1",
        # Retention that a topic asks for, and compaction, happen while a test looks, not minutes later.
        "log.retention.check.interval.ms": "500",
        "log.cleaner.backoff.ms": "200",
        "log.initial.task.delay.ms": "500",
        "log.segment.delete.delay.ms": "500",
        "log.index.size.max.bytes": "1048576",
        **settings,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _until(met: Any, reason: str) -> None:
    deadline = time.monotonic() + TOPIC_S
    while not met():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{reason} within {TOPIC_S:.0f} s")
        time.sleep(0.05)


def _die_with_parent() -> None:
    """In the child: a killed test run leaves no broker behind, and Ctrl-C stops the tests first."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    os.setpgid(0, 0)
