"""What is in `deploy/`, as tests read it."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from typing import Any

from config.yaml_text import read_yaml
from tests.support.commands import ROOT

DEPLOY = ROOT / "deploy"


@cache
def document(path: str) -> Any:
    """Return what a file holds; not to be changed."""
    return read_yaml((DEPLOY / path).read_text(encoding="utf-8"))


def compose() -> dict[str, Any]:
    """Return the services of compose."""
    services: dict[str, Any] = document("compose.yaml")["services"]
    return services


def topics_made() -> dict[str, int]:
    """Return the partitions of each topic that compose makes, as the shell understands it."""
    script = compose()["topics"]["command"][0].replace("$$", "$").replace("/opt/kafka/bin/kafka-topics.sh", "echo")
    said = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=True).stdout
    return {name: int(count) for name, count in re.findall(r"--topic (\S+) --partitions (\d+)", said)}
