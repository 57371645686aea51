"""A look at the topics of a recording: what decodes, how disordered and how silent they are, and draft contracts
for what no contract describes yet.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
import orjson
import polars as pl

from config.clock import SECOND
from config.contracts import ContractSet
from config.duration import UNITS, format_duration
from operators.batch import RawBatch
from operators.decode import Decoder
from replay.infer import Json, infer_document
from replay.reader import PartitionReader
from replay.recording import Recording

STRETCHES = 4
"""Each partition is read in so many runs of consecutive records, spread evenly: disorder shows only within a run."""
EXAMPLES_MAX = 2000
"""Records of one type that a draft is inferred from."""
_SPANS = [timedelta(0)] + [
    count * UNITS[unit]
    for unit, counts in {"s": (1, 2, 5, 10, 30), "m": (1, 2, 5, 10, 30), "h": (1, 2, 6, 12), "d": (1, 2, 7, 14)}.items()
    for count in counts
]
_QUANTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}
IDLE_MIN = 5 * SECOND


class TopicSurvey(msgspec.Struct):
    """What was found in one topic."""

    topic: str
    partitions: int
    records: int
    sampled: int
    decoded: int
    rejects: dict[str, int]
    """By reason."""
    types: dict[str, int]
    """Decoded records by type."""
    keyless: int
    """Sampled records without a Kafka key."""
    distinct_keys: int
    unknown_fields: dict[str, int]
    """Fields that contracts do not name, `type:path`, among the decoded records."""
    behind_s: dict[str, float]
    """Quantiles of how far records come behind their partition's newest event time, seconds; where nothing decodes,
    behind its newest Kafka timestamp."""
    silence_s: dict[str, float]
    """Quantiles of the time between consecutive records of a partition, by Kafka's timestamps, seconds."""
    lateness_max: str
    """Proposed: no sampled record would have been late."""
    idle_timeout: str
    """Proposed: twice what 99 of 100 silences were shorter than."""


class Draft(msgspec.Struct):
    """A contract proposed."""

    topic: str
    """The topic with such records; several with commas."""
    type: str
    records: int
    """Sampled records that it was inferred from."""
    document: dict[str, Any]


@dataclass
class _Examples:
    """Records that no contract describes, by the type a draft would have."""

    data: list[Json] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    mapping: Json | None = None
    topics: list[str] = field(default_factory=list)
    behind: int = 0
    """How far records of these topics come behind, microseconds."""

    def join(self, other: _Examples, topic: str, behind: int) -> None:
        """Take over what another topic has of the type."""
        room = EXAMPLES_MAX - len(self.data)
        self.data += other.data[:room]
        self.keys += other.keys[:room]
        self.topics.append(topic)
        self.behind = max(self.behind, behind)
        if other.mapping is not None:
            # A mapping is of the records of its topics: names of these that look alike in a type are one type.
            self.mapping = other.mapping | {"topics": self.topics}


def survey(recording: Recording, contracts: ContractSet, sample: int) -> tuple[list[TopicSurvey], list[Draft]]:
    """Return what a sample of each topic shows, and drafts of contracts for what none describes.

    Args:
        recording: What to look at.
        contracts: The contracts in force.
        sample: Records read of each partition, at most, ≥ 1.

    Raises:
        RecordingError: The recording is damaged.
    """
    decoder = Decoder(contracts, schemas=recording.schemas(), sample_every=1)
    by_topic: dict[str, list[PartitionReader]] = defaultdict(list)
    for known in recording.partitions:
        by_topic[known.topic].append(recording.reader(known.topic, known.partition))
    surveys: list[TopicSurvey] = []
    examples: dict[str, _Examples] = {}
    for topic, readers in sorted(by_topic.items()):
        found = _Topic(topic, contracts)
        for reader in readers:
            for batch in stretches(reader, sample):
                found.add(batch, decoder)
            reader.close()
        surveys.append(found.survey(len(readers), recording.manifest.topics.get(topic, 0)))
        found.gather(examples)
    drafts = (_draft(name, of) for name, of in sorted(examples.items()) if name not in contracts)
    return surveys, [draft for draft in drafts if draft is not None]


def stretches(reader: PartitionReader, sample: int) -> Iterator[RawBatch]:
    """Yield runs of consecutive records of a partition, `sample` records in all, at most."""
    offset, end = reader.first_offset, reader.end_offset
    if end - offset <= sample:
        runs = [(offset, sample)]
    else:
        step = (end - offset) // STRETCHES
        runs = [(offset + i * step, max(1, sample // STRETCHES)) for i in range(min(STRETCHES, sample))]
    for start, left in runs:
        while left > 0 and (batch := reader.read(start, left)) is not None:
            yield batch
            left -= len(batch)
            start = batch.offsets[-1] + 1


class _Topic:
    """Gathers what the batches of one topic show."""

    def __init__(self, topic: str, contracts: ContractSet) -> None:
        self.topic = topic
        self._contracts = contracts
        self._sampled = self._decoded = self._keyless = 0
        self._rejects: Counter[str] = Counter()
        self._types: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()
        self._keys: set[bytes] = set()
        self._behind: list[pl.Series] = []
        self._silence: list[pl.Series] = []
        self._examples: dict[str, _Examples] = defaultdict(_Examples)

    def add(self, batch: RawBatch, decoder: Decoder) -> None:
        decoded = decoder.decode(batch)
        self._sampled += len(batch)
        self._decoded += len(decoded)
        self._keyless += batch.keys.count(None)
        self._keys.update(key for key in batch.keys if key is not None)
        self._rejects.update(reject.reason for reject in decoded.rejects)
        self._types.update(decoded.index["type"].to_list())
        for (type_name, path), count in decoded.quality.unknown_fields.items():
            self._unknown[f"{type_name}:{path}"] += count
        stamps = pl.Series([stamp * 1000 for stamp in batch.timestamps if stamp >= 0], dtype=pl.Int64())
        at = decoded.index["at"] if len(decoded) else stamps
        self._behind.append(at.cum_max() - at)
        self._silence.append(stamps.cum_max().diff().drop_nulls())
        for reject in decoded.rejects:
            if reject.reason in ("unknown-type", "not-cloudevent", "unmapped"):
                self._keep(reject.value, reject.key)

    def _keep(self, value: bytes, key: bytes | None) -> None:
        try:
            record = orjson.loads(value)
        except orjson.JSONDecodeError:
            return  # above 64 kB: the reject carries a hash only
        if not isinstance(record, dict):
            return
        text = None if key is None else key.decode(errors="backslashreplace")
        name = record.get("type")
        if record.get("specversion") == "1.0" and isinstance(name, str):
            data, mapping, text = record.get("data"), None, record.get("subject", text)
        else:
            name, (data, mapping) = self.topic, _foreign(record, self.topic)
        examples = self._examples[name]
        if isinstance(data, dict) and data and len(examples.data) < EXAMPLES_MAX:
            examples.data.append(data)
            examples.keys.append(text if isinstance(text, str) else None)
            examples.mapping = examples.mapping or mapping

    def survey(self, partitions: int, records: int) -> TopicSurvey:
        behind, silence = _joined(self._behind), _joined(self._silence)
        return TopicSurvey(
            topic=self.topic,
            partitions=partitions,
            records=records,
            sampled=self._sampled,
            decoded=self._decoded,
            rejects=dict(sorted(self._rejects.items())),
            types=dict(sorted(self._types.items())),
            keyless=self._keyless,
            distinct_keys=len(self._keys),
            unknown_fields=dict(self._unknown.most_common(20)),
            behind_s=_quantiles(behind),
            silence_s=_quantiles(silence),
            lateness_max=round_up(int(_top(behind))),
            idle_timeout=round_up(max(IDLE_MIN, 2 * int(silence.quantile(0.99, interpolation="higher") or 0))),
        )

    def gather(self, examples: dict[str, _Examples]) -> None:
        """Add what was kept of each type to what other topics have of it."""
        behind = int(_top(_joined(self._behind)))
        for name, kept in self._examples.items():
            if not kept.data:
                continue
            type_name = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:90]
            if not type_name[:1].isalpha():
                type_name = f"topic.{type_name}"
            examples.setdefault(type_name, _Examples()).join(kept, self.topic, behind)


def _draft(type_name: str, examples: _Examples) -> Draft | None:
    """Return a contract for a type; None where its records show none."""
    document = infer_document(type_name, examples.data, examples.keys, round_up(examples.behind))
    if document is None:
        return None
    if examples.mapping is not None:
        _map_fields(document, examples.mapping)
    return Draft(", ".join(examples.topics), type_name, len(examples.data), document)


def _foreign(record: Json, topic: str) -> tuple[Any, Json]:
    """Return the fields of a record that is no CloudEvent, and the beginning of a mapping to them."""
    payload = record["payload"] if "schema" in record and isinstance(record.get("payload"), dict) else record
    if "op" in payload and "after" in payload:
        time = {"path": "source.ts_ms", "unit": "ms"}
        return payload["after"], {
            "topics": [topic],
            "format": "debezium",
            "when": {"op": ["c", "u", "r"]},
            "time": time,
        }
    return record, {"topics": [topic]}


def _map_fields(document: Json, mapping: Json) -> None:
    prefix = "after." if mapping.get("format") == "debezium" else ""
    properties = document["schema"][0]["properties"]
    instants = [item["name"] for item in properties if item["logicalType"] == "timestamp" and item.get("required")]
    if instants and "time" not in mapping:
        mapping = mapping | {"time": instants[0]}
    mapping = mapping | {"data": {item["name"]: prefix + item["name"] for item in properties}}
    document["customProperties"].append({"property": "mapping", "value": [mapping]})


def round_up(span_us: int) -> str:
    """Return the smallest span that people would write and that is no shorter, as `config.duration` writes it."""
    span = timedelta(microseconds=span_us)
    return format_duration(next((nice for nice in _SPANS if nice >= span), timedelta(days=span.days + 1)))


def _joined(parts: Sequence[pl.Series]) -> pl.Series:
    return pl.concat([pl.Series([], dtype=pl.Int64()), *parts])


def _top(values: pl.Series) -> Any:
    return values.max() or 0


def _quantiles(values: pl.Series) -> dict[str, float]:
    """Return quantiles of microseconds, in seconds; nothing where there is no value."""
    found = {name: values.quantile(q, interpolation="higher") for name, q in _QUANTILES.items()}
    return {name: round(value / SECOND, 3) for name, value in found.items() if value is not None}
