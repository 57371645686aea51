"""How many actions a second go through the effect ledger, from intended to settled: taken in, written down before each
thing that is asked, asked of a target that does nothing and answers at once, verified, and told.

All is as in the remediation flow — intake, shards, sagas, ledger with group commit, bulkhead — but for the target,
which lives in this process: it tells how things are, does, and tells what it has done.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from benchmarks.recordings import FOLDER
from config.actions import Action, encode_action
from config.clock import HOUR, SECOND
from config.effects import Call, Reply, Result
from config.playbooks.load import load_playbook
from config.playbooks.model import Playbook
from config.targets import Targets, load_targets
from dataflows.remedy_means import Means
from dataflows.remedy_rows import shard_names, shard_of
from dataflows.remedy_shard import Shard
from dataflows.remedy_sources import BATCH, Intake
from dataflows.worker import GC_THRESHOLDS
from sinks.actions import Recorded
from sinks.bulkhead import Bulkheads, Places
from sinks.ledger import Ledger
from sinks.ledger_queries import actions_by_state

AT = 1_700_000_000 * SECOND
SHARDS = 8
CUSTOMER = "customer:c"
LOOK_AGAIN_S = 0.001
STATES = ({"trouble": 1}, {"trouble": 0})
"""How an entity is before something was done, and after."""


class Nothing:
    """A target that does nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        self._done: set[str] = set()

    def carry_out(self, call: Call) -> Reply:
        """Answer at once."""
        state, result = None, "done"
        if call.verb == "measure":
            state, result = STATES[call.action_id in self._done], "measured"
        elif call.verb == "do":
            self._done.add(call.action_id)
        made: Result = result  # type: ignore[assignment]
        return Reply(call.action_id, call.turn, made, state=state)

    def close(self) -> None:
        """Nothing is held on to."""


class InPlace:
    """A bulkhead without threads: places are those of the real one, and calls are answered as they are handed over."""

    def __init__(self, targets: Targets) -> None:
        self._places = {name: Places(one.concurrency, one.waiting) for name, one in targets.by_name.items()}
        self._target = Nothing()

    def take_place(self, target: str, action_id: str, freed: Callable[[str], None]) -> bool:
        """Take a place, or stand in line."""
        return self._places[target].take(action_id, freed)

    def give_up(self, target: str, action_id: str) -> None:
        """Want no place any more."""
        self._places[target].give_up(action_id)

    def submit(self, call: Call, answer: Callable[[Reply], None]) -> None:
        """Answer at once."""
        places = self._places[call.target]
        places.use(call.action_id)
        reply = self._target.carry_out(call)
        places.leave(0.0)
        answer(reply)

    def close(self) -> None:
        """Nothing is held on to."""


class Given:
    """A source of actions that are all there."""

    def __init__(self, source: str, bodies: Sequence[bytes]) -> None:
        self.source, self._bodies = source, bodies

    def open(self, position: int) -> None:
        """Begin."""

    def read(self, position: int) -> tuple[Sequence[Recorded], int]:
        """Return what comes next."""
        chosen = self._bodies[position : position + BATCH]
        return [Recorded(position + n, CUSTOMER, body) for n, body in enumerate(chosen)], position + len(chosen)


def ledger(actions: int, url: str = "", processes: int = 1, *, threads: bool = False) -> dict[str, float]:
    """Return how many actions a second are settled, and how long each takes, microseconds.

    Args:
        actions: How many.
        url: Of an empty database; by default a file beside the other benchmarks' own.
        processes: Workers that share the shards, as those of `forestall run remediation --processes` do.
        threads: Whether calls go through the threads of the bulkhead. A real target is waited for there; one that does
            nothing only has them fight over the interpreter, while a transaction waits.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=FOLDER) as folder:
        url = url or f"sqlite:///{folder}/ledger.db"
        with Ledger.open(url, create=True) as place:
            context = get_context("spawn")
            together, told = context.Barrier(processes), context.SimpleQueue()
            workers = [
                context.Process(target=_work, args=(number, processes, actions, url, threads, together, told))
                for number in range(processes)
            ]
            for worker in workers:
                worker.start()
            times: list[tuple[float, float, float]] = [told.get() for _ in workers]
            for worker in workers:
                worker.join()
            states = actions_by_state(place)
    if states != {"settled": actions}:
        raise RuntimeError(f"not all actions were settled: {states}")
    wall = max(ended for _, ended, _ in times) - min(began for began, _, _ in times)
    return {
        "actions": float(actions),
        "per_s": actions / wall,
        "us": 1e6 * wall / actions,
        "cpu_us": 1e6 * sum(used for *_, used in times) / actions,
    }


def _work(
    number: int, processes: int, actions: int, url: str, threads: bool, together: Barrier, told: SimpleQueue[Any]
) -> None:
    """Carry out the actions of a worker's shards; tell when it began and ended, and its processor time, seconds.

    The clock is one for all processes of a machine.
    """
    names = shard_names(SHARDS)
    own = names[number::processes]
    made = [_action(each) for each in range(actions)]
    bodies = [encode_action(action) for action in made if shard_of(action, names) in own]
    with TemporaryDirectory() as folder, Ledger.open(url) as place:
        books, targets = _files(Path(folder))
        nobody = {name: Nothing() for name in targets.by_name}
        hands = Bulkheads(targets, nobody) if threads else InPlace(targets)
        means = Means(place, books, targets, hands)
        shards = [Shard(name, means, AT) for name in own]
        intake = Intake(place, Given(f"bench-{number}", bodies), names)
        gc.set_threshold(*GC_THRESHOLDS)  # as in a worker
        together.wait()
        began, used, now, came = time.perf_counter(), time.process_time(), AT, True
        while came or any(shard.open for shard in shards):
            now += SECOND // 50
            new, came = intake.take() if came else ([], False)
            moved = 0
            for shard in shards:
                shard.take(new, now)
                moved += shard.turn(now)
            if not moved and not came:
                time.sleep(LOOK_AGAIN_S)
        hands.close()
        told.put((began, time.perf_counter(), time.process_time() - used))


def _files(folder: Path) -> tuple[dict[str, Playbook], Targets]:
    step = {
        "id": "message",
        "target": "crm",
        "operation": "send_message",
        "entity": "customer",
        "parameters": {"order": {"type": "string", "value": "entity_id"}},
        "inverse": {"operation": "withdraw_message", "within": "24h"},
    }
    verify = {
        "target": "crm",
        "entity": "customer",
        "reads": {"trouble": "number"},
        "after": "0s",
        "holds": "after.trouble < before.trouble",
    }
    about = {"owner": "bench", "escalation": "bench", "version": "1", "description": "Nothing."}
    book = folder / "tell.yaml"
    book.write_text(yaml.safe_dump({"playbook": "tell", **about, "steps": [step], "verify": verify}))
    file = folder / "targets.yaml"
    (folder / "crm.key").write_text("of nobody\n")
    crm = {"kind": "http", "url": "https://crm.example", "key_id": "bench", "secret_file": "crm.key"}
    file.write_text(yaml.safe_dump({"owner": "bench", "targets": {"crm": crm}}))
    return {"tell": load_playbook(book)}, load_targets(file)


def _action(number: int) -> Action:
    identity = f"{number:032x}"
    return Action(
        action_id=identity,
        case_id=identity,
        decision_id=identity,
        remedy="tell",
        target=f"crm:order:o{number}",
        at=AT,
        valid_until=AT + HOUR,
        entity=f"order:o{number}",
        customer=CUSTOMER,
        agent="fulfilment",
        kind="order.promise_at_risk",
        facts={"confidence": 0.95, "findings": 1, "money_at_risk": 80.0},
        bundle="b" * 32,
    )
