"""The target system as a process of its own, over HTTP."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx
import pytest

from replay.target import BODY_BYTES_MAX, Request
from tests.support.commands import children, end, forestall, start
from tests.support.target import SECRET, get, post


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "target.key"
    file.write_bytes(SECRET + b"\n")
    return file


class Served:
    """A running target."""

    def __init__(self, secret: Path, database: Path, *more: object) -> None:
        options = ("--secret-file", secret, "--db", database, "--port", 0, *more)
        self.process: Popen[str] = start("target", *options, measured=True)
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        assert line.startswith("listening on http://127.0.0.1:"), line
        self.url = line.split()[2].rstrip(";")

    def ask(self, request: Request) -> httpx.Response:
        url, target = httpx.URL(self.url), request.target
        address = url.copy_with(path=target.path, query=target.query.encode() or None)
        return httpx.request(request.method, address, headers=request.headers, content=request.body, trust_env=False)

    def post(self, path: str, key: str, content: Any) -> httpx.Response:
        return self.ask(post(path, key, content, now=int(time.time()), host=self.url.partition("//")[2]))

    def get(self, path: str, query: str = "") -> httpx.Response:
        return self.ask(get(path, query, now=int(time.time()), host=self.url.partition("//")[2]))


@pytest.fixture
def served(secret: Path, tmp_path: Path) -> Iterator[Served]:
    made = Served(secret, tmp_path / "t" / "target.db")
    yield made
    made.process.kill()
    made.process.communicate()


def test_obeys_over_http_and_goes_on_after_a_kill(served: Served, secret: Path, tmp_path: Path) -> None:
    assert httpx.get(served.url + "/health", trust_env=False).json() == {"status": "ok"}
    message = {"entity": "customer:alice"}
    first = served.post("/crm/send_message", "k1", message)
    assert (first.status_code, first.json()["status"]) == (200, "done")
    served.process.send_signal(signal.SIGKILL)
    served.process.wait()
    again = Served(secret, tmp_path / "t" / "target.db")
    assert again.post("/crm/send_message", "k1", message).json() == first.json()
    assert again.get("/crm/effects/k1").json()["status"] == "done"
    assert again.get("/crm/state", "entity=customer%3Aalice").json()["messages"] == 1
    again.process.terminate()
    assert end(again.process).code == 0


def test_refuses_over_http(served: Served) -> None:
    assert httpx.post(served.url + "/crm/send_message", json={}, trust_env=False).status_code == 401
    huge = httpx.post(served.url + "/crm/send_message", content=b" " * (BODY_BYTES_MAX + 1), trust_env=False)
    assert huge.status_code == 413
    signed_for_another = post("/crm/send_message", "k", {}, now=int(time.time()))
    host = {"host": served.url.partition("//")[2]}
    assert served.ask(signed_for_another._replace(headers={**signed_for_another.headers, **host})).status_code == 401


def test_loses_replies_over_http(secret: Path, tmp_path: Path) -> None:
    lossy = Served(secret, tmp_path / "target.db", "--faults", "/crm/send_message:lose_reply=1", "--seed", 3)
    with pytest.raises(httpx.TransportError):
        lossy.post("/crm/send_message", "k1", {"entity": "customer:alice"})
    assert lossy.get("/crm/effects/k1").json()["status"] == "done"
    lossy.process.terminate()
    assert end(lossy.process).code == 0


def test_serves_for_as_long_as_a_command_runs_and_exits_as_it_does(secret: Path, tmp_path: Path) -> None:
    targets = tmp_path / "more" / "targets.yaml"
    options = ("target", "--secret-file", secret, "--port", 0, "--targets", targets, "--")
    asks = f"""
import sys, httpx
from config.targets import load_targets
url = load_targets(__import__("pathlib").Path({str(targets)!r})).by_name["crm"].url
print(httpx.get(url.removesuffix("/crm") + "/health", trust_env=False).json(), url)
sys.exit(3)
"""
    ended = end(start(*options, sys.executable, "-c", asks))
    assert (ended.code, "{'status': 'ok'}" in ended.out) == (3, True), ended
    with pytest.raises(httpx.ConnectError):
        httpx.get(ended.out.split()[-1], trust_env=False)
    assert end(start(*options, sys.executable, "-c", "")).code == 0
    end(start(*options, tmp_path / "no-program")).says(3, "no-program", "cannot be run")
    killed = "import os; os.kill(os.getpid(), 9)"
    end(start(*options, sys.executable, "-c", killed)).says(3, "ended by signal 9")


def test_stopped_it_stops_the_command_that_it_serves(secret: Path) -> None:
    waits = "print('ready', flush=True); import time; time.sleep(600)"
    process = start("target", "--secret-file", secret, "--port", 0, "--", sys.executable, "-c", waits)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    (command,) = children(process)
    process.terminate()
    assert end(process).code == 3
    assert not Path(f"/proc/{command}").exists()


def test_says_what_is_wrong_with_its_options(secret: Path, tmp_path: Path, served: Served) -> None:
    forestall("target", "--secret-file", tmp_path / "none").says(2, "--secret-file", "one line")
    forestall("target", "--secret-file", secret, "--faults", "fly=1").says(2, "fly=1", "lose_reply")
    port = served.url.rpartition(":")[2]
    forestall("target", "--secret-file", secret, "--port", port).says(3, port, "--port")
