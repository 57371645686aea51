"""A minute of the soak: that it kills, catches up, and writes down what it saw."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from benchmarks.soak import soak
from tests.support.kafka import Broker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def test_a_minute_of_the_soak(kafka: Broker, tmp_path: Path) -> None:  # the fixture says what is missing, if it is
    soak(1.0, 20.0, 500.0, tmp_path, seed=1, processes=2)
    found = orjson.loads((tmp_path / "soak.json").read_bytes())
    assert found["kills"] == 2
    assert found["restarts"] == 2
    assert found["events"] == found["records"] > 0
    assert {sample["workers"] for sample in found["samples"]} >= {2}
    assert max(sample["memory_bytes"] for sample in found["samples"]) > 50e6
    assert 10 < max(sample["files"] for sample in found["samples"]) < 300
    assert not [fault for fault in found["faults"] if "not made up for" in fault]  # a minute says nothing of growth
    assert (tmp_path / "soak.svg").read_text().startswith("<svg")
