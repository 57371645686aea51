"""What docs/detectors.md says of each method is what manifests and code say."""

from __future__ import annotations

import re
from pathlib import Path

from config.agents.load import load_manifests
from detectors.methods import METHODS, VECTOR_METHODS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "detectors.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ((?:`[a-z-]+`(?:, )?)+) \|[^|]*\|[^|]*\| ([^|]*) \|$", re.MULTILINE)


def documented() -> dict[str, set[str]]:
    """Return the agents that use each method, by the last column of the table of methods."""
    return {
        method: {agent for agent in row[2].split(", ") if agent != "none"}
        for row in ROW.finditer(PAGE)
        for method in re.findall(r"`([a-z-]+)`", row[1])
    }


def test_every_method_stands_in_the_table_with_the_agents_that_use_it() -> None:
    used: dict[str, set[str]] = {method: set() for method in (*METHODS, *VECTOR_METHODS)}
    for agent, manifest in load_manifests().items():
        for entry in manifest.detectors:
            if entry.method in used:
                used[entry.method].add(agent)
    assert documented() == used
