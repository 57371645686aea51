from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from config.clock import to_text
from tests.support.cloudevents import cloud_event, request
from tests.support.commands import forestall
from tests.support.kafka import Broker

pytestmark = pytest.mark.kafka

STAMP = 1_714_564_800_000


def test_drafts_are_made_of_live_topics(kafka: Broker, tmp_path: Path) -> None:
    known, unknown = kafka.topic(2, retention_ms=-1), kafka.topic(1, retention_ms=-1)
    kafka.produce(known, [request() for _ in range(30)], timestamps=range(STAMP, STAMP + 30))
    loyalty = [
        cloud_event("loyalty.earned", {"customer_id": f"c{n}", "points": n}, time=to_text((STAMP + n) * 1000))
        for n in range(20)
    ]
    kafka.produce(unknown, loyalty, keys=[b"c%d" % n for n in range(20)], timestamps=range(STAMP, STAMP + 20))
    found = forestall(
        "contracts", "draft", "--topics", f"{known},{unknown}", "--bootstrap-servers", kafka.bootstrap,
        "--into", tmp_path / "drafts", "--sample", 10, "--json",
    ).document  # fmt: skip
    by_topic = {item["topic"]: item for item in found["topics"]}
    assert (by_topic[known]["decoded"], by_topic[known]["partitions"], by_topic[known]["sampled"]) == (10, 2, 10)
    assert (by_topic[unknown]["rejects"], by_topic[unknown]["sampled"]) == ({"unknown-type": 10}, 10)
    assert [(item["type"], item["records"]) for item in found["drafts"]] == [("loyalty.earned", 10)]
    assert orjson.loads(orjson.dumps(found["written"])) == [str(tmp_path / "drafts" / "loyalty.earned.yaml")]


@pytest.mark.parametrize("arguments", [[], ["DIR", "--topics", "t"]])
def test_either_a_recording_or_live_topics_are_drafted_from(arguments: list[str]) -> None:
    forestall("contracts", "draft", *arguments).says(2, "Name the folder of a recording, or --topics")
