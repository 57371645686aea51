"""A real Prometheus server, on loopback, for as long as a test needs it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.commands import eventually

GET_IT = "no Prometheus server; get it with `apt-get install prometheus`, or put prometheus and promtool on the PATH"


class Unavailable(Exception):
    """This machine has no Prometheus."""


@dataclass(frozen=True)
class Programs:
    """Where Prometheus is installed."""

    prometheus: str
    promtool: str

    @staticmethod
    def found() -> Programs:
        """Return those on the PATH.

        Raises:
            Unavailable: there are none.
        """
        server, tool = shutil.which("prometheus"), shutil.which("promtool")
        if server is None or tool is None:
            raise Unavailable(GET_IT)
        return Programs(server, tool)

    def check(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run promtool."""
        return subprocess.run([self.promtool, *map(str, arguments)], capture_output=True, text=True)

    @contextmanager
    def scraping(self, target: str, folder: Path, rules: Path | None = None) -> Iterator[Server]:
        """Run a server that scrapes `target` five times a second.

        Args:
            target: `host:port`.
            folder: For its configuration and data.
            rules: A file of rules, evaluated once a second.
        """
        folder.mkdir()
        config = folder / "prometheus.yml"
        config.write_text(
            yaml.safe_dump(
                {
                    "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "1s"},
                    "rule_files": [str(rules)] if rules else [],
                    "scrape_configs": [{"job_name": "forestall", "static_configs": [{"targets": [target]}]}],
                }
            )
        )
        address = f"127.0.0.1:{free_port()}"
        options = [
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
        ]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([self.prometheus, *options], stdout=log, stderr=log)
        server = Server(f"http://{address}")
        try:
            eventually(lambda: process.poll() is not None or server.is_ready(), "Prometheus is ready")
            assert process.poll() is None, (folder / "log").read_text()
            yield server
        finally:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    url: str

    def is_ready(self) -> bool:
        """Whether it answers."""
        return fetch(f"{self.url}/-/ready")[0] == 200

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the result of an instant query: `metric` and `value` of each series."""
        status, body = fetch(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        assert status == 200, body
        result: list[dict[str, Any]] = json.loads(body)["data"]["result"]
        return result

    def value(self, expression: str) -> float | None:
        """Return the value of the one series of an instant query; None while there is none."""
        result = self.query(expression)
        assert len(result) < 2, result
        return float(result[0]["value"][1]) if result else None


def fetch(url: str) -> tuple[int, str]:
    """GET `url`; return status and body, 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def free_port() -> int:
    """Return a port of loopback that is free now."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])
