"""Records that no producer should send, among those of a small world: each ends in one place, none disturbs another."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from config.clock import DAY, to_text
from config.contracts import BUILT_IN
from replay.recording import Recording
from replay.world.model import Spec
from replay.world.record import simulate
from replay.writer import RecordingWriter
from sinks.store import Store
from tests.support.cloudevents import ORDER, REQUEST, cloud_event, request
from tests.support.commands import Ended, end, forestall, logs, start, store_url

pytestmark = pytest.mark.slow

CANARY = "canary-7e1f"
"""Stands in every bad record where personal data could stand; must show nowhere but in the store."""
NESTED = b"[" * 100_000 + b"]" * 100_000
STEP = 40
"""Offsets between two good records: room for every bad one."""


@dataclass(frozen=True)
class Bad:
    """A bad record and where it must end."""

    value: bytes | None
    reason: str
    detail: str
    key: bytes | None = CANARY.encode()


def order(**changes: Any) -> bytes:
    return cloud_event("order.placed", {**ORDER, "order_id": CANARY, **changes}, id=CANARY)


def item(**changes: Any) -> bytes:
    return order(items=[{**ORDER["items"][0], **changes}])


BAD = (
    Bad(f"no JSON, {CANARY}".encode(), "not-json", "not JSON: "),
    Bad(b"", "not-json", "not JSON: "),
    Bad(b'{"' + CANARY.encode() + b'":"\xff\xfe"}', "not-json", "not JSON: "),
    Bad(order().replace(b"10.0", b"NaN"), "not-json", "not JSON: "),
    Bad(order()[:-9], "not-json", "not JSON: "),
    Bad(order(customer_id=CANARY + "\0"), "contract", "holds a NUL character"),
    Bad(f'["{CANARY}"]'.encode(), "not-cloudevent", "not an object but an array"),
    Bad(f'{{"order_id":"{CANARY}"}}'.encode(), "not-cloudevent", "`specversion` is not 1.0"),
    Bad(cloud_event("order.placed", ORDER, id=...), "not-cloudevent", "`id` is no text"),
    Bad(
        cloud_event("order.vanished", {"customer_id": CANARY, "field": "x"}),
        "unknown-type",
        "no contract for type order.vanished",
    ),
    Bad(cloud_event(f"{CANARY} of Ms Ä", {}), "unknown-type", "no contract for type of 19 characters"),
    Bad(
        cloud_event("order.placed", ORDER, id=CANARY, dataschema="urn:order.placed:7.0.0"),
        "unknown-version",
        "`dataschema` is not of major version 1",
    ),
    Bad(order(customer_id=None), "contract", "$.data.customer_id"),
    Bad(order(items=CANARY), "contract", "$.data.items"),
    Bad(item(price=f"{CANARY} 10.0"), "contract", "$.data.items[0].price"),
    Bad(item(price="10.0"), "contract", "$.data.items[0].price"),
    Bad(order().replace(b"10.0", b"1e999"), "not-json", "not JSON: "),
    Bad(item(price=-1), "contract", "$.data.items[0].price"),
    Bad(order(promised_at=f"tomorrow, {CANARY}"), "contract", "$.data.promised_at"),
    Bad(order(promised_at="9999-12-31T23:59:59Z"), "contract", "$.data.promised_at"),
    Bad(order(promised_at="0001-01-01T00:00:00+14:00"), "contract", "$.data.promised_at"),
    Bad(order(**{CANARY: "x" * (11 << 20)}), "limits", "bytes, more than 1048576"),
    Bad(order(items="?").replace(b'"?"', NESTED), "limits", "nested more than 256 levels deep"),
    Bad(cloud_event("order.placed", ORDER, time="9999-12-31T23:59:59Z"), "time", "outside 2000-01-01 … 2100-01-01"),
    Bad(cloud_event("order.placed", ORDER, time="1970-01-01T00:00:00Z"), "time", "outside 2000-01-01 … 2100-01-01"),
    Bad(cloud_event("order.placed", ORDER, time=CANARY), "time", "no RFC 3339 instant"),
    Bad(cloud_event("order.placed", ORDER, time=...), "time", "`time` is missing"),
    Bad(cloud_event("request.completed", REQUEST, time="2090-01-01T00:00:00Z"), "wild-clock", "2090-01-01"),
    Bad(None, "tombstone", "no value"),
)
assert len(BAD) < STEP

Records = Iterator[tuple[str, int, int, int, bytes | None, bytes | None]]


def good(world: Recording) -> Records:
    """Yield the records of a world at offsets with room between them, the keys no UTF-8; one record comes twice.

    One customer has a name that has a meaning elsewhere, as a wildcard.
    """
    for part in world.partitions:
        batch = world.reader(part.topic, part.partition).read(0, 10_000)
        assert batch is not None
        assert len(batch) == part.records
        for offset, stamp, key, value in zip(batch.offsets, batch.timestamps, batch.keys, batch.values, strict=True):
            yield part.topic, part.partition, offset * STEP, stamp, b"\xff\xfe" + (key or b""), value
            if (part.topic, part.partition, offset) == ("orders", 0, 0):
                time = to_text(stamp * 1000)
                strange = cloud_event("order.placed", {**ORDER, "customer_id": "*", "promised_at": time}, time=time)
                yield "orders", 0, 1, stamp, b"*", strange
            if offset == part.records // 2:
                yield part.topic, part.partition, offset * STEP + STEP - 2, stamp, key, value


def with_bad(records: Records) -> Records:
    """Put all bad records behind the third record of each first partition, and one more wild clock at its end."""
    for record in records:
        yield record
        topic, partition, offset, stamp, _, _ = record
        if partition == 0 and offset == 3 * STEP:
            for number, bad in enumerate(BAD, 1):
                yield topic, partition, offset + number, stamp, bad.key, bad.value


def write(folder: Path, records: Records, held: bool) -> Path:
    with RecordingWriter(folder, created_at=Spec(3, 3000, 10).until) as writer:
        for topic, partition, offset, stamp, key, value in records:
            writer.write(topic, partition, offset, stamp, key, value)
        if held:
            far = to_text(Spec(3, 3000, 10).until + 60 * DAY)
            writer.write("orders", 0, 10**6, stamp, None, request().replace(b"2024-05-01T12:00:00Z", far.encode()))
        writer.finish(Spec(3, 3000, 10).until)
    return folder


@dataclass(frozen=True)
class Played:
    """The world with bad records, replayed by a process of its own, and the same world without them."""

    folder: Path
    recording: Recording
    url: str
    clean_url: str
    ended: Ended


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("bad")
    simulate(Spec(3, 3000, 10), folder / "world")
    world = Recording.open(folder / "world")
    spoilt = write(folder / "spoilt", with_bad(good(world)), held=True)
    clean = write(folder / "clean", good(world), held=False)
    assert forestall("replay", clean).code == 0
    ended = end(start("replay", spoilt, "--json"))
    return Played(
        folder, Recording.open(spoilt), store_url(folder / "spoilt.db"), store_url(folder / "clean.db"), ended
    )


def letters(url: str) -> dict[tuple[str, int, int], dict[str, Any]]:
    found = forestall("dead-letters", "--store", url, "--json").document["dead_letters"]
    return {(letter["topic"], letter["partition"], letter["offset"]): letter for letter in found}


@pytest.mark.parametrize("number", range(len(BAD)), ids=lambda n: f"{BAD[n].reason}-{n}")
@pytest.mark.parametrize("topic", ["orders", "crm", "telemetry"])
def test_a_bad_record_is_a_dead_letter_with_reason_and_bytes(played: Played, topic: str, number: int) -> None:
    bad, letter = BAD[number], letters_of(played)[topic, 0, 3 * STEP + 1 + number]
    assert letter["reason"] == bad.reason
    assert bad.detail in letter["detail"]
    assert CANARY not in letter["detail"]
    value = bad.value or b""
    assert letter["value_bytes"] == len(value)
    kept = len(value) <= 64 * 1024
    assert b64decode(letter["value"]) == (value if kept else b"")
    assert letter["key"] is None or b64decode(letter["key"]) == bad.key
    assert (letter["key"] is not None) == kept


_letters: dict[str, dict[tuple[str, int, int], dict[str, Any]]] = {}


def letters_of(played: Played) -> dict[tuple[str, int, int], dict[str, Any]]:
    if played.url not in _letters:
        _letters[played.url] = letters(played.url)
    return _letters[played.url]


def test_every_record_ends_in_exactly_one_place(played: Played) -> None:
    document = played.ended.document
    assert document["complete"]
    assert document["events"] == sum(played.recording.manifest.topics.values())
    with Store.open(played.url) as store:
        totals = store.totals()
    places = ("accepted", "late", "duplicates", "rejected", "held")
    assert sum(totals[place] for place in places) == totals["records"] == document["events"]
    assert totals["held"] == 1
    assert totals["rejected"] == document["dead_letters"] == len(letters_of(played))
    for row in forestall("report", "--store", played.url, "--json").document["channels"]:
        assert row["records"] == sum(row[place] for place in places)


def test_good_records_have_the_effect_they_have_without_the_bad_ones(played: Played) -> None:
    spoilt, clean = outputs(played.url), outputs(played.clean_url)
    assert {kind for kind, *_ in clean} >= {"finding", "case", "decision"}
    assert [row for row in spoilt if row[0] != "dead_letter"] == [row for row in clean if row[0] != "dead_letter"]
    with Store.open(played.url) as first, Store.open(played.clean_url) as second:
        assert first.totals()["accepted"] == second.totals()["accepted"]


def outputs(url: str) -> list[tuple[Any, ...]]:
    with Store.open(url) as store, store.read() as connection:
        query = "SELECT kind, type, id, event_at, key, body FROM outputs ORDER BY kind, id"
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def test_what_records_hold_shows_in_no_message_and_no_log(played: Played) -> None:
    ended = played.ended
    report = forestall("report", "--store", played.url)
    listed = forestall("dead-letters", "--store", played.url)
    texts = [ended.out, ended.err, report.out, report.err, listed.out, listed.err]
    recovery = played.folder / "spoilt.db.recovery"
    written = [path for path in recovery.rglob("*") if path.is_file() and not path.name.startswith("part-")]
    assert {"worker-0.log", "job.json"} <= {path.name for path in written}
    for text in [*texts, *(path.read_bytes().decode(errors="replace") for path in written)]:
        assert CANARY not in text
    assert logs(recovery) == ""


def test_dead_letters_go_back_in_once_their_contract_is_there(played: Played, tmp_path: Path) -> None:
    again = tmp_path / "again"
    unknown = sum(letter["reason"] == "unknown-type" for letter in letters_of(played).values())
    arguments = ("--store", played.url, "--reason", "unknown-type", "--redrive", "--into", again)
    assert forestall("dead-letters", *arguments, "--json").document["written"] == unknown
    (tmp_path / "contracts").mkdir()
    contract = (BUILT_IN / "account.changed.yaml").read_text().replace("account.changed", "order.vanished")
    (tmp_path / "contracts" / "order.vanished.yaml").write_text(contract)
    settings = tmp_path / "settings.toml"
    settings.write_text(f'[contracts]\nfolders = ["{BUILT_IN}", "contracts"]\n')
    played_again = forestall("replay", again, "--config", settings, "--json").document
    assert (played_again["events"], played_again["dead_letters"]) == (unknown, unknown - 3)
