"""From the order to the effect, live, under kills: limits hold, people are asked, and everything is done once.

Detection, remediation and the target are killed in turns of a seed while orders come in and people answer. What is
left is reckoned up from the databases by plain SQL: nothing of the engine is asked how it is to be read.
`LIVE_SEEDS=10` runs as many rounds, from the seed `LIVE_SEED` on (`make chaos-live`).
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from subprocess import Popen
from typing import Any

import pytest
import yaml

from config.clock import DAY, to_text
from dataflows.remedy_clock import wall_clock
from tests.support.approvals import record_of, signed, write_keys
from tests.support.cloudevents import cloud_event
from tests.support.commands import children, end, eventually, start, store_url
from tests.support.kafka import Broker
from tests.support.live import Job
from tests.support.live_reckoning import Allowed, Left, outputs, rows
from tests.support.policies import acting_policy, rule
from tests.support.remedies import quick_playbooks, target_process, targets_file

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

FIRST = int(os.environ.get("LIVE_SEED", "1"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("LIVE_SEEDS", "1")))
KILLED = ("detection", "remediation", "target") * 2
WAVE, CUSTOMERS = 4, 6
ORDERS = WAVE * len(KILLED)
PER_CUSTOMER, OF_ALL = 1, 8
PRICE, COSTLY_PRICE = 20.0, 800.0
COSTLY = range(0, ORDERS, 4)
"""Orders that people have to be asked about."""
LONG_S = 5.0
"""Wall time since its start in which a part has done what there was for it to do."""
TROUBLES = "slow=0.1,fail_before=0.05,fail_after=0.1,lose_request=0.05,lose_reply=0.1,duplicate=0.05"


def policy(folder: Path) -> Path:
    """Write a policy that asks about costly orders, about a customer's further ones, and does so much in all."""
    bundle, table = acting_policy(folder) / "bundle.yaml", folder / "fulfilment.yaml"
    limits = {
        "per-customer": {"per": "customer", "most": PER_CUSTOMER, "then": "approve"},
        "of-all": {"per": "all", "most": OF_ALL},
    }
    limits = {name: limit | {"description": "Few.", "within": "1d"} for name, limit in limits.items()}
    document = yaml.safe_load(bundle.read_text()) | {"guardrails": {"limits": limits}}
    bundle.write_text(yaml.safe_dump(document, sort_keys=False))
    rules = yaml.safe_load(table.read_text())
    rules["rules"].insert(0, rule("asks", "money_at_risk >= costly", "approve", "open_ticket"))
    table.write_text(yaml.safe_dump(rules, sort_keys=False))
    return folder


class Shop:
    """Both flows, a target, and people who answer.

    Args:
        kafka: The broker.
        folder: Of all files.
        seed: Of orders, kills, answers, and of the target's troubles.
    """

    def __init__(self, kafka: Broker, folder: Path, seed: int) -> None:
        self.kafka, self.folder, self.chance = kafka, folder, Random(seed)
        suffix = uuid.uuid4().hex[:8]
        self.names = {name: f"{name}-{suffix}" for name in ("orders", "outcomes", "approvals", "actions", "withheld")}
        for name in self.names.values():
            kafka.create(name, 2)
        self._options = ("--seed", seed, "--faults", TROUBLES, "--slow", 1.5)
        target, url = target_process(folder, *self._options)
        self._port = url.rpartition(":")[2]
        keys = write_keys(folder / "keys.yaml", {"maria": ["customer-operations"], "mallory": ["nobody"]})
        own = {name: self.names[name] for name in ("actions", "withheld", "outcomes")}
        settings: dict[str, dict[str, Any]] = {
            "control": {"topics": [self.names["outcomes"], self.names["approvals"]]},
            "policy": {"bundle": str(policy(folder / "policy")), "mode": "act"},
            "approvals": {"keys": str(keys)},
            "time": {"idle_timeout": "1s", "lateness_max": "2s"},
            "topics": own | {"transactional_id_prefix": f"job-{suffix}"},
            "remediation": {
                "targets": str(targets_file(folder, url)),
                "playbooks": str(quick_playbooks(folder / "playbooks")),
                "warmup": "0s",
            },
        }
        read = [self.names[name] for name in ("orders", "outcomes", "approvals")]
        self.job = Job(kafka, folder / "job", read, **settings)
        self.left = Left(self.job.store, folder / "ledger.db", folder / "target.db")
        self.parts: dict[str, Popen[str]] = {"target": target}
        self.answered: dict[str, str] = {}
        """What was answered, by request."""

    def start(self, name: str) -> None:
        if name == "target":
            self.parts[name], _ = target_process(self.folder, *self._options, "--port", self._port)
            return
        where = {"detection": ("--store", self.job.store_url), "remediation": ("--ledger", store_url(self.left.ledger))}
        command = ("run", name, "--config", self.job.config, *where[name], "--processes", 2, "--json")
        self.parts[name] = start(*command)

    def up(self, name: str) -> bool:
        assert self.parts[name].poll() is None, self.parts[name].communicate()
        return name == "target" or len(children(self.parts[name])) == 2

    def kill(self, name: str) -> None:
        """Kill a part and all its processes, in any order, as a loss of power would."""
        process = self.parts[name]
        pids = [process.pid, *children(process)] if process.poll() is None else []
        for pid in self.chance.sample(pids, len(pids)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()

    def order(self, number: int) -> None:
        """Write an order that is promised for tomorrow and still here: it is late."""
        now = wall_clock()
        whose = {"order_id": f"o{number}", "customer_id": f"c{number % CUSTOMERS}"}
        price = COSTLY_PRICE if number in COSTLY else PRICE
        items = [{"product_id": "p", "seller_id": "s", "seller_state": "SP", "price": price, "freight": 1.0}]
        placed = whose | {"customer_state": "RJ", "promised_at": to_text(now + DAY), "items": items}
        value = cloud_event("order.placed", placed, id=f"placed-{number}", time=to_text(now))
        self.kafka.produce(self.names["orders"], [value], number % 2, [whose["customer_id"].encode()])

    def answer(self) -> None:
        """Answer what is asked: a yes mostly; a no, a forged yes, or nothing else."""
        for request in outputs(self.job.store, "approval.requested"):
            if request["request_id"] in self.answered:
                continue
            said = self.chance.choices(("approve", "reject", "forged", ""), (8, 2, 2, 1))[0]
            self.answered[request["request_id"]] = said
            if said:
                given = {"signer": "mallory"} if said == "forged" else {"answer": said}
                answer = signed(request, "maria", wall_clock(), **given)
                body = record_of(answer, answer.answered_at, f"answer-{request['request_id']}")
                self.kafka.produce(self.names["approvals"], [body], 0, [request["case_key"].encode()])

    def work(self, name: str) -> int:
        """Return how much a part has done, by what it has written."""
        written = {
            "detection": (self.left.store, "SELECT count(*) n FROM outputs WHERE type != 'idle'"),
            "remediation": (
                self.left.ledger,
                "SELECT sum(seq) n FROM outcomes",
            ),
            "target": (self.left.target, "SELECT count(*) n FROM effects"),
        }
        return sum(row["n"] or 0 for row in rows(*written[name]))

    def worked(self, name: str) -> None:
        """Wait until a part has done something, or had time to where nothing is left to do; answer meanwhile."""
        before, since = self.work(name), float("inf")

        def moved() -> bool:
            nonlocal since
            self.answer()
            since = min(since, time.monotonic()) if self.up(name) else since
            return self.work(name) > before or time.monotonic() > since + LONG_S

        eventually(moved, f"{name} at work")

    def settled(self) -> bool:
        """Return whether nothing more is to come."""
        self.answer()
        assert all(part.poll() is None for part in self.parts.values())
        decided = {each["case_id"]: each["outcome"] for each in outputs(self.left.store, "decision")}
        asked = {each["case_id"]: each["request_id"] for each in outputs(self.left.store, "approval.requested")}
        vain = {request for request, said in self.answered.items() if said in ("forged", "")}
        vain |= {each["request_id"] for each in outputs(self.left.store, "approval.refused")}
        waiting = [case for case, outcome in decided.items() if outcome == "approve" and asked.get(case) not in vain]
        return len(decided) == ORDERS and "act" not in decided.values() and not waiting


@pytest.fixture
def shop(kafka: Broker, tmp_path: Path, seed: int) -> Iterator[Shop]:
    made = Shop(kafka, tmp_path, seed)
    yield made
    for name in made.parts:
        made.kill(name)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_decided_and_allowed_is_done_once_whoever_is_killed(shop: Shop, seed: int) -> None:
    for name in ("remediation", "detection"):
        shop.start(name)
        eventually(lambda: shop.up(name), f"{name} has started")  # noqa: B023
    for life, name in enumerate(shop.chance.sample(KILLED, len(KILLED))):
        for number in range(WAVE * life, WAVE * (life + 1)):
            shop.order(number)
        shop.worked(name)
        time.sleep(shop.chance.random())
        shop.kill(name)
        shop.start(name)
    eventually(shop.settled, "all is decided, answered, done and heard of")
    for name in ("detection", "remediation"):
        shop.parts[name].terminate()
        assert end(shop.parts[name]).document
    costly = frozenset(f"order:o{number}" for number in COSTLY)
    assert shop.left.wrong(Allowed(PER_CUSTOMER, OF_ALL, costly, shop.answered)) == []
    # That all of it was at work.
    approved = [each for each in outputs(shop.left.store, "approval.counted") if each["answer"] == "approve"]
    withheld = outputs(shop.left.store, "guardrail.withheld")
    assert min(len(shop.left.effects()), len(approved), len(withheld)) > 0
