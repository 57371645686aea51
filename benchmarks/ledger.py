"""How many actions a second go through the effect ledger, from intended to settled: taken in, written down before each
thing that is asked, asked of a target that does nothing and answers at once, verified, and told.

All is as in the remediation flow — intake, shards, sagas, ledger with group commit — but for the target, which lives
in this process: it tells how things are, does, and tells what it has done.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from benchmarks.recordings import FOLDER
from config.actions import Action, encode_action
from config.clock import HOUR, SECOND
from config.effects import Call, Reply, Result
from config.playbooks.load import load_playbook
from config.playbooks.model import Playbook
from config.targets import Targets, load_targets
from dataflows.remedy_means import Means
from dataflows.remedy_rows import shard_names
from dataflows.remedy_shard import Shard
from dataflows.remedy_sources import BATCH, Intake
from dataflows.worker import GC_THRESHOLDS
from sinks.actions import Recorded
from sinks.ledger import Ledger
from sinks.ledger_queries import actions_by_state

AT = 1_700_000_000 * SECOND
SHARDS = 8
CUSTOMER = "customer:c"
STATES = ({"trouble": 1}, {"trouble": 0})
"""How an entity is before something was done, and after."""


class Nothing:
    """A target that does nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        self._done: set[str] = set()

    def has_room(self, target: str) -> bool:
        """Return that there is room."""
        return True

    def submit(self, call: Call, answer: Callable[[Reply], None]) -> None:
        """Answer at once."""
        state, result = None, "done"
        if call.verb == "measure":
            state, result = STATES[call.action_id in self._done], "measured"
        elif call.verb == "do":
            self._done.add(call.action_id)
        made: Result = result  # type: ignore[assignment]
        answer(Reply(call.action_id, call.turn, made, state=state))


class Given:
    """A source of actions that are all there."""

    source = "bench"

    def __init__(self, bodies: Sequence[bytes]) -> None:
        self._bodies = bodies

    def open(self, position: int) -> None:
        """Begin."""

    def read(self, position: int) -> tuple[Sequence[Recorded], int]:
        """Return what comes next."""
        chosen = self._bodies[position : position + BATCH]
        return [Recorded(position + n, CUSTOMER, body) for n, body in enumerate(chosen)], position + len(chosen)


def ledger(actions: int, url: str = "") -> dict[str, float]:
    """Return how many actions a second are settled, and how long each takes, microseconds.

    Args:
        actions: How many.
        url: Of an empty database; by default a file beside the other benchmarks' own.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=FOLDER) as folder:
        books, targets = _files(Path(folder))
        with Ledger.open(url or f"sqlite:///{folder}/ledger.db", create=True) as place:
            wall, cpu = _measured(place, books, targets, [_body(number) for number in range(actions)])
            states = actions_by_state(place)
    if states != {"settled": actions}:
        raise RuntimeError(f"not all actions were settled: {states}")
    return {
        "actions": float(actions),
        "per_s": actions / wall,
        "us": 1e6 * wall / actions,
        "cpu_us": 1e6 * cpu / actions,
    }


def _measured(
    place: Ledger, books: dict[str, Playbook], targets: Targets, bodies: Sequence[bytes]
) -> tuple[float, float]:
    """Carry all out; return the seconds of wall and processor time that it took."""
    names = shard_names(SHARDS)
    means = Means(place, books, targets, Nothing())
    shards = {name: Shard(name, means, AT) for name in names}
    intake = Intake(place, Given(bodies), names)
    gc.set_threshold(*GC_THRESHOLDS)  # as in a worker
    began, used, now, came = time.perf_counter(), time.process_time(), AT, True
    while came or any(shard.open for shard in shards.values()):
        now += SECOND // 50
        new, came = intake.take() if came else ([], False)
        for shard in shards.values():
            shard.take(new, now)
            shard.turn(now)
    return time.perf_counter() - began, time.process_time() - used


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


def _body(number: int) -> bytes:
    identity = f"{number:032x}"
    made = Action(
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
    return encode_action(made)
