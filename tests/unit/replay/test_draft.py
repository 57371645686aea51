from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from config.contracts import BUILT_IN, ContractSet, load_contracts, parse_contract
from operators.decode import Decoder
from replay.draft import Draft, TopicSurvey, round_up, stretches, survey
from tests.support.cloudevents import TIME, cloud_event, raw_batch, request
from tests.support.recordings import Record, numbered, record, records_of

CONTRACTS = load_contracts(BUILT_IN)
MS = 1_714_564_800_000


def look(tmp_path: Path, *values: Any, keys: list[bytes] | None = None) -> tuple[TopicSurvey, list[Draft]]:
    """Survey one partition of `things` with these values, a second apart."""
    bodies = [value if isinstance(value, bytes | None) else orjson.dumps(value) for value in values]
    records: list[Record] = [(i, MS + 1000 * i, keys[i] if keys else None, body) for i, body in enumerate(bodies)]
    (found,), drafts = survey(record(tmp_path / "r", {("things", 0): records}), CONTRACTS, 1000)
    return found, drafts


def in_force(draft: Draft) -> ContractSet:
    """The contract of a draft, as if it were active."""
    text = yaml.safe_dump({**draft.document, "status": "active"})
    contract = parse_contract(text.encode(), "draft.yaml")
    return ContractSet({contract.type: contract})


def test_survey_counts_what_decodes_and_why_the_rest_does_not(tmp_path: Path) -> None:
    found, drafts = look(tmp_path, request(), request(status="x"), None, b"nope", keys=[b"a", b"b", b"a", b"c"])
    assert (found.topic, found.partitions, found.records, found.sampled, found.decoded) == ("things", 1, 4, 4, 1)
    assert found.rejects == {"contract": 1, "not-json": 1, "tombstone": 1}
    assert found.types == {"request.completed": 1}
    assert (found.keyless, found.distinct_keys) == (0, 3)
    assert drafts == []


def test_lateness_proposed_would_have_called_no_sampled_record_late(tmp_path: Path) -> None:
    times = ["12:00:00", "12:05:00", "12:01:30", "12:06:00"]
    found, _ = look(tmp_path, *(cloud_event("request.completed", {"service": "s", "route": "/", "status": 200,
                    "duration_ms": 1}, time=f"2024-05-01T{t}Z") for t in times))  # fmt: skip
    assert found.behind_s["max"] == 210
    assert found.lateness_max == "5m"


def test_silence_is_measured_between_kafka_timestamps(tmp_path: Path) -> None:
    found, _ = look(tmp_path, request(), request(), request())
    assert (found.silence_s["max"], found.idle_timeout) == (1, "5s")


def test_unknown_fields_of_known_types_are_shown(tmp_path: Path) -> None:
    found, _ = look(tmp_path, request(colour="red"), request())
    assert found.unknown_fields == {"request.completed:colour": 1}


def test_cloudevents_of_an_unknown_type_get_a_draft_that_decodes_them(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"door": "d1", "count": 1, "level": 0.5, "at": TIME, "open": True, "tags": ["a"], "email": "a@b.c"},
        {"door": "d2", "count": 2, "level": 1, "at": TIME, "open": False, "tags": [], "note": None},
    ]
    values = [cloud_event("door.opened", row, subject=row["door"]) for row in rows]
    _, (draft,) = look(tmp_path, *values)
    contracts = in_force(draft)
    contract = contracts.of("door.opened")
    assert (contract.key, contract.flow, [m.field for m in contract.measures]) == ("door", "telemetry", ["level"])
    assert {name: (f.type, f.required) for name, f in contract.fields.items()} == {
        "door": ("string", True), "count": ("integer", True), "level": ("number", True), "at": ("timestamp", True),
        "open": ("boolean", True), "tags": ("array", True), "email": ("string", False),
    }  # fmt: skip
    assert contract.fields["email"].dropped
    assert len(Decoder(contracts).decode(raw_batch(values))) == 2


def test_a_type_on_several_topics_gets_one_draft_of_them_all(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"door": f"d{i}", "at": TIME} for i in range(3)]
    rows[2]["late"] = 1
    opened = [cloud_event("door.opened", row, subject=row["door"]) for row in rows]
    partitions: dict[tuple[str, int], list[Record]] = {
        ("doors", 0): [(i, MS + 1000 * i, None, value) for i, value in enumerate(opened[:2])],
        ("gates", 0): [(0, MS, None, opened[2]), (1, MS, None, b"{}")],
    }
    surveys, drafts = survey(record(tmp_path / "r", partitions), CONTRACTS, 1000)
    assert [found.topic for found in surveys] == ["doors", "gates"]
    (draft,) = (each for each in drafts if each.type == "door.opened")
    assert (draft.topic, draft.records) == ("doors, gates", 3)
    assert set(in_force(draft).of("door.opened").fields) == {"door", "at", "late"}


def test_draft_is_not_in_force_before_somebody_says_so(tmp_path: Path) -> None:
    _, (draft,) = look(tmp_path, cloud_event("door.opened", {"door": "d1"}))
    assert draft.document["status"] == "draft"
    assert draft.document["team"] == {"name": "(owner to be named)"}


def test_customer_key_makes_a_business_draft_and_is_marked_unreviewed(tmp_path: Path) -> None:
    _, (draft,) = look(tmp_path, cloud_event("cart.left", {"cart": "x", "customer_id": "c", "worth": 1.5}))
    contract = in_force(draft).of("cart.left")
    assert (contract.key, contract.flow, contract.measures) == ("customer_id", "business", ())
    assert contract.fields["customer_id"].purposes == ("unreviewed",)


def test_plain_json_gets_a_draft_with_a_mapping_of_its_topic(tmp_path: Path) -> None:
    rows = [{"sensor": "s1", "when": TIME, "reading": 1.5}, {"sensor": "s2", "when": TIME, "reading": 2}]
    _, (draft,) = look(tmp_path, *rows)
    decoded = Decoder(in_force(draft)).decode(raw_batch([orjson.dumps(row) for row in rows], topic="things"))
    assert decoded.measures().select("key", "metric", "value").rows() == [
        ("s1", "reading", 1_500_000), ("s2", "reading", 2_000_000)
    ]  # fmt: skip


def test_debezium_changes_get_a_draft_of_the_row(tmp_path: Path) -> None:
    row = {"id": "r1", "state": "new"}
    change = {"before": None, "after": row, "op": "c", "source": {"ts_ms": MS}, "ts_ms": MS}
    values = [change, {"schema": {}, "payload": change}]
    _, (draft,) = look(tmp_path, *values)
    decoded = Decoder(in_force(draft)).decode(raw_batch(list(map(orjson.dumps, values)), topic="things"))
    assert [event.data for event in decoded.events()] == [row, row]


@pytest.mark.parametrize("value", [{"n": 1}, {}, {"a-b": "x"}, [1], {"op": "d", "after": None}])
def test_what_gives_no_key_gets_no_draft(tmp_path: Path, value: object) -> None:
    assert look(tmp_path, value)[1] == []


def test_fields_of_several_kinds_and_unusable_names_are_left_out(tmp_path: Path) -> None:
    rows = [{"k": "a", "mixed": 1, "class": "x", "x y": 1}, {"k": "b", "mixed": "1", "class": "x", "x y": 1}]
    _, (draft,) = look(tmp_path, *(cloud_event("t.t", row) for row in rows))
    assert list(in_force(draft).of("t.t").fields) == ["k"]


def test_objects_of_numbers_are_taken_for_maps_of_measures(tmp_path: Path) -> None:
    values = [cloud_event("node.seen", {"node": "n", "load": {"a.b": 1, "c": 2.5}}, subject="n")]
    _, (draft,) = look(tmp_path, *values)
    assert Decoder(in_force(draft)).decode(raw_batch(values)).measures()["metric"].to_list() == ["a.b", "c"]


def test_sample_is_read_in_runs_spread_over_the_partition(tmp_path: Path) -> None:
    recording = record(tmp_path / "r", {("t", 0): numbered(1000)})
    offsets = [offset for batch in stretches(recording.reader("t", 0), 40) for offset in batch.offsets]
    assert offsets == [o for start in (0, 250, 500, 750) for o in range(start, start + 10)]
    everything = [offset for batch in stretches(recording.reader("t", 0), 1000) for offset in batch.offsets]
    assert everything == [r[0] for r in records_of(recording.reader("t", 0))]
    assert list(stretches(record(tmp_path / "e", {("t", 0): []}, recorded_until=1).reader("t", 0), 5)) == []


@pytest.mark.parametrize(
    ("span", "text"), [(0, "0s"), (1, "1s"), (1_000_000, "1s"), (1_000_001, "2s"), (3_000_000_000_000, "35d")]
)
def test_spans_round_up_to_what_people_write(span: int, text: str) -> None:
    assert round_up(span) == text
