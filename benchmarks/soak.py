"""A live job for a long time, at half of its highest rate, with a kill a minute: does it stay as it is?

    python -m benchmarks.soak --minutes 30 --into docs

Telemetry of some services and orders of the same few customers are produced in real time; state is bounded by settings
short enough to come to its limits within the warm-up. One worker dies by `kill -9` each minute, and the supervisor
starts them all again. Memory, file handles, the recovery folder and the lag are sampled; what grew is told, in JSON and
as a picture. A broker of its own runs beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Producer

from benchmarks.soak_report import Sample, faults, plot
from config.clock import DAY, to_text
from tests.support.commands import eventually
from tests.support.kafka import Broker, broker
from tests.support.live import Job

TELEMETRY, ORDERS = "soak-telemetry", "soak-orders"
PARTITIONS = 2
SERVICES = 12
CUSTOMERS = 200
ORDER_EVERY = 100
"""One record in so many is about an order."""
SAMPLE_S = 2.0
TICK_S = 0.05
EPOCH_S = 1.0
BACKLOG = 1_000_000
"""Records by which the highest rate is measured."""
SETTINGS: dict[str, dict[str, Any]] = {
    "time": {"lateness_max": "5s", "idle_timeout": "10s", "alignment_max": "1h"},
    "runtime": {"epoch_interval": f"{EPOCH_S:.0f}s"},
    "state": {"dedupe_ttl": "1m"},
    "journey": {"finished_ttl": "1h", "unfinished_ttl": "1h"},
    "journey.limits": {"orders_max": 4},
    "restarts": {"deaths_max": 1000, "backoff_max": "1s"},
}


class Load:
    """Produces records of now, at a rate.

    Args:
        kafka: The broker.
        seed: Of what the records say.
    """

    def __init__(self, kafka: Broker, seed: int) -> None:
        self._random = random.Random(seed)
        # Compressed, half an hour fits on a disk; a batch is what a producer under such a load sends.
        self._producer = Producer(kafka.client(compression_type="lz4", linger_ms=50, batch_num_messages=10_000))
        self.produced = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def write(self, count: int) -> None:
        """Write so many records of this instant."""
        at = time.time_ns() // 1000
        time_text, produce = to_text(at), self._producer.produce
        for number in range(self.produced, self.produced + count):
            if number % ORDER_EVERY:
                topic, partition, value = TELEMETRY, number % PARTITIONS, self._request(number, time_text)
            else:
                topic, partition, value = ORDERS, 0, self._order(number, at)
            while True:
                try:
                    produce(topic, value, partition=partition)
                    break
                except BufferError:
                    self._producer.poll(0.05)
        self.produced += count
        self._producer.poll(0)

    def _request(self, number: int, time_text: str) -> str:
        # Written out: a producer that costs more than the job would measure itself.
        return (
            f'{{"specversion":"1.0","id":"{number}","source":"/soak","type":"request.completed","time":"{time_text}",'
            f'"data":{{"service":"service-{number % SERVICES}","route":"/","status":200,'
            f'"duration_ms":{20 + self._random.random() * 180:.3f}}}}}'
        )

    def _order(self, number: int, at: int) -> str:
        turn, delivered = divmod(number // ORDER_EVERY, 2)
        data: dict[str, Any] = {"order_id": f"o{turn}", "customer_id": f"c{turn % CUSTOMERS}"}
        kind = "shipment.delivered" if delivered else "order.placed"
        if not delivered:
            item = {"product_id": "p", "seller_id": "s", "seller_state": "SP", "price": 10.0, "freight": 1.0}
            data |= {"customer_state": "SP", "promised_at": to_text(at + 60 * DAY), "items": [item]}
        head = {"specversion": "1.0", "id": f"{number}", "source": "/soak", "time": to_text(at)}
        return orjson.dumps(head | {"type": kind, "data": data}).decode()

    def flush(self) -> None:
        """Wait until the broker has everything."""
        self._producer.flush(60)

    def begin(self, rate: float) -> None:
        """Write at `rate`, records per second, until `end`."""

        def run() -> None:
            began, written = time.monotonic(), 0
            while not self._stop.wait(TICK_S):
                due = int((time.monotonic() - began) * rate) - written
                self.write(due)
                written += due

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Write no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()


def soak(minutes: float, kill_every_s: float, rate: float | None, into: Path, seed: int, processes: int) -> list[str]:
    """Run the soak and write `soak.json` and `soak.svg`; return what is wrong."""
    chance = random.Random(seed)
    samples: list[Sample] = []
    kills: list[float] = []
    with tempfile.TemporaryDirectory(prefix="forestall-soak-") as scratch:
        place = Path(scratch) / "kafka"
        place.mkdir()
        kafka = broker(place)
        job = Job(kafka, Path(scratch) / "job", [TELEMETRY, ORDERS], **SETTINGS)
        load = Load(kafka, seed)
        try:
            kafka.create(TELEMETRY, PARTITIONS, retention_bytes=2**31, segment_bytes=2**27)
            kafka.create(ORDERS, 1)
            highest = None
            if rate is None:
                load.write(BACKLOG)
                load.flush()
            job.start("--processes", processes)
            if rate is None:
                highest = _highest(job, load)
                rate = highest / 2
            eventually(lambda: len(job.workers()) == processes, "workers started")
            load.begin(rate)
            _run(job, load, minutes * 60, kill_every_s, chance, samples, kills)
            load.end()
            eventually(lambda: _lag(job, load) == 0, "all is read")
            ended = job.stop().document
        finally:
            load.end()
            if job.process is not None and job.process.poll() is None:
                job.kill()
            kafka.stop()
    found = faults(samples, kills, rate)
    document = {
        "minutes": minutes,
        "processes": processes,
        "highest_per_s": highest and round(highest),
        "rate_per_s": round(rate),
        "produced_per_s": round((load.produced - (BACKLOG if highest else 0)) / (60 * minutes)),
        "records": load.produced,
        "kills": len(kills),
        "restarts": ended["restarts"],
        "events": ended["events"],
        "faults": found,
        "killed_at": [round(kill, 1) for kill in kills],
        "samples": [asdict(sample) | {"at": round(sample.at, 1)} for sample in samples],
    }
    into.mkdir(parents=True, exist_ok=True)
    (into / "soak.json").write_bytes(orjson.dumps(document) + b"\n")
    (into / "soak.svg").write_text(plot(samples, kills))
    return found


def _highest(job: Job, load: Load) -> float:
    """Return records per second over all that there is. The first are seen when the first epoch is over."""
    eventually(lambda: _lag(job, load) < load.produced, "something is read")
    began = time.monotonic()
    eventually(lambda: _lag(job, load) == 0, "all is read")
    return load.produced / (EPOCH_S + time.monotonic() - began)


def _run(
    job: Job,
    load: Load,
    seconds: float,
    kill_every_s: float,
    chance: random.Random,
    samples: list[Sample],
    kills: list[float],
) -> None:
    began = time.monotonic()
    next_kill, next_sample = kill_every_s, 0.0
    while (now := time.monotonic() - began) < seconds:
        if now >= next_kill and (workers := job.workers()):
            kills.append(now)
            os.kill(chance.choice(workers), signal.SIGKILL)
            next_kill += kill_every_s
        if now >= next_sample:
            samples.append(_sample(job, load, now))
            next_sample = now + SAMPLE_S
        time.sleep(0.1)


def _sample(job: Job, load: Load, at: float) -> Sample:
    workers = job.workers()
    return Sample(
        at=at,
        memory_bytes=sum(_of(worker, _resident) for worker in workers),
        files=sum(_of(worker, _files) for worker in workers),
        recovery_bytes=_size(job.recovery),
        lag_records=_lag(job, load),
        workers=len(workers),
    )


def _lag(job: Job, load: Load) -> int:
    if job.process is not None and job.process.poll() is not None:
        raise RuntimeError(f"the job ended with {job.process.returncode}: {job.process.communicate()}")
    return load.produced - sum(job.offsets().values())


def _of(process: int, measure: Callable[[Path], int]) -> int:
    with suppress(OSError):  # it died meanwhile
        return measure(Path("/proc") / str(process))
    return 0


def _resident(process: Path) -> int:
    return int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _files(process: Path) -> int:
    return sum(1 for _ in (process / "fd").iterdir())


def _size(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # state logs come and go
            size += path.stat().st_size
    return size


def main(arguments: Sequence[str]) -> int:
    """Run the soak; exit with 1 if something grew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--kill-every", type=float, default=60, metavar="SECONDS")
    parser.add_argument("--rate", type=float, metavar="PER_S", help="default: half of the highest rate, measured first")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--into", type=Path, default=Path("docs"), metavar="DIR")
    given = parser.parse_args(arguments)
    found = soak(given.minutes, given.kill_every, given.rate, given.into, given.seed, given.processes)
    sys.stdout.write(json.dumps({"faults": found, "report": str(given.into / "soak.json")}) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
