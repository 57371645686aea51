"""The yardstick: only decoding the same bytes, with `polars.read_ndjson` and event times parsed.

Run as a program, DIR: prints wall and CPU seconds. Records come through the same reader in the same batches. Polars
refuses a whole batch for one malformed record, a handful per million; then those that are no JSON are left out.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import orjson
import polars as pl

from benchmarks.usage import Seconds
from config.settings import load
from replay.recording import Recording


def decode_only(recording: Recording, batch_records: int) -> tuple[int, Seconds]:
    """Return how many records were decoded and how long it took."""
    wall, cpu, decoded = time.perf_counter(), time.process_time(), 0
    for part in recording.partitions:
        with recording.reader(part.topic, part.partition) as reader:
            next_offset = reader.first_offset
            while (batch := reader.read(next_offset, batch_records)) is not None:
                next_offset = batch.offsets[-1] + 1
                values = [value for value in batch.values if value is not None]
                try:
                    frame = pl.read_ndjson(b"\n".join(values))
                except pl.exceptions.PolarsError:
                    parsable = b"\n".join(value for value in values if _is_json(value))
                    frame = pl.read_ndjson(parsable, ignore_errors=True)
                decoded += frame.select(pl.col("time").str.to_datetime("%+", time_unit="us", strict=False)).height
    return decoded, Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def _is_json(value: bytes) -> bool:
    try:
        return isinstance(orjson.loads(value), dict)
    except orjson.JSONDecodeError:
        return False


if __name__ == "__main__":
    count, seconds = decode_only(Recording.open(Path(sys.argv[1]), verify=False), load().runtime.batch_records)
    sys.stdout.buffer.write(orjson.dumps({"records": count, "wall": seconds.wall, "cpu": seconds.cpu}))
