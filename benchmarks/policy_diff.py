"""What it costs to hold two policies against many recorded decisions, in a store as a job leaves it."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from config.policies.load import DEFAULT_FOLDER
from sinks.schema import outputs
from sinks.store import Store

KINDS = {
    "order.promise_at_risk": ("fulfilment", "order"),
    "order.promise_passed": ("fulfilment", "order"),
    "order.stuck": ("fulfilment", "order"),
    "payment.double_charge": ("billing", "order"),
    "account.takeover": ("fraud", "account"),
    "service.degraded": ("outage", "service"),
    "usage.silent_churn": ("experience", "subscription"),
}
BATCH = 10_000
PROGRAM = "from dataflows.cli import main; main()"


def policy_diff(decisions: int, advance: Callable[[int], None]) -> dict[str, float]:
    """Return what comparing the default policy with a looser one costs, over so many decisions, start and all."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        url = f"sqlite:///{folder / 'store.db'}"
        _fill(url, decisions, advance)
        looser = folder / "looser"
        looser.mkdir()
        for file in DEFAULT_FOLDER.glob("*.yaml"):
            (looser / file.name).write_text(file.read_text().replace("sure: {value: 0.9", "sure: {value: 0.7"))
        size = (folder / "store.db").stat().st_size
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        command = ("policy", "diff", str(DEFAULT_FOLDER), str(looser), "--store", url, "--json")
        ended = subprocess.run((sys.executable, "-c", PROGRAM, *command), stdout=subprocess.PIPE, check=True)
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    found = orjson.loads(ended.stdout)["recorded"]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    counts = {name: found[name] for name in ("decisions", "different", "cases")}
    return counts | {"wall_s": wall, "cpu_s": cpu, "decisions_per_s": decisions / wall, "store_bytes": size}


def _fill(url: str, decisions: int, advance: Callable[[int], None]) -> None:
    rng = random.Random(7)
    with Store.open(url, create=True) as store:
        rows = _rows(rng, decisions)
        while batch := list(islice(rows, BATCH)):
            with store.begin() as connection:
                connection.execute(outputs.insert(), batch)
            advance(len(batch))


def _rows(rng: random.Random, decisions: int) -> Iterator[dict[str, Any]]:
    for number in range(decisions):
        at = 1_700_000_000_000_000 + number * 1_000_000
        body = orjson.dumps(_decision(rng, number, at), option=orjson.OPT_SORT_KEYS)
        yield {
            "part": "part-000",
            "seq": number + 1,
            "kind": "decision",
            "type": "decision",
            "id": f"{number:032x}",
            "event_at": at,
            "key": f"customer-{number // 4}",
            "body": body,
            "chain": b"",
        }


def _decision(rng: random.Random, number: int, at: int) -> dict[str, Any]:
    kind = rng.choice(list(KINDS))
    agent, entity = KINDS[kind]
    facts = {
        "kind": kind,
        "agent": agent,
        "entity_kind": entity,
        "severity": rng.choice(["low", "medium", "high", "critical"]),
        "confidence": round(rng.random(), 4),
        "kind_confidence": round(rng.random(), 4),
        "source_families": rng.randint(0, 3),
        "evidence_age_hours": round(rng.random() * 90, 4),
        "priority": round(rng.random() * 30, 6),
        "money_at_risk": round(rng.random() * 900, 2),
        "lead_hours": round(rng.random() * 100 - 20, 4),
        "harm_at": at + rng.randrange(10**12),
        "findings": rng.randint(1, 5),
        "reopened": 0,
        "open_cases": rng.randint(1, 3),
        "linked": rng.random() < 0.1,
        "contacts_30d": rng.randint(0, 3),
        "open_remedy": "",
        "mode": "act",
        "expected_at": at + rng.randrange(10**12) if rng.random() < 0.7 else None,
        "tickets_open": rng.choice([None, 0, 0, 1]),
        "touched_customers": None,
    }
    return {
        "decision_id": f"{number:032x}",
        "case_id": f"{number // 3:032x}",
        "at": at,
        "outcome": "recommend",
        "remedy": "open_ticket",
        "rule": "fulfilment/recommend-chase",
        "fired": ["fulfilment/recommend-chase"],
        "nearly": ["fulfilment/chase"],
        "bundle": "0" * 32,
        "facts": facts,
        "reason": "The order may be in trouble (order.stuck, severity high, confidence 0.81).",
        "parameters": {"severity": facts["severity"]},
        "error": "",
        "approver": "",
    }
