"""A world in which remedies are carried out by the real flow against a target that misbehaves, over a network that
loses and delays, by processes that are killed at every boundary: all by a seed, in virtual time.
"""

from __future__ import annotations

import heapq
import shutil
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import httpx
import sqlalchemy as sa

from config.actions import Action, Approval
from config.clock import HOUR, MINUTE, SECOND
from config.effects import Call, Reply, Result
from config.errors import FencedError
from config.http_signature import Target as Signed
from config.playbooks.model import Playbook
from config.targets import Target, Targets, load_targets
from dataflows.remedy_means import Means
from dataflows.remedy_rows import new_action
from dataflows.remedy_shard import Shard
from replay.target import Request, Service
from replay.target_faults import Faults
from replay.target_shop import OPERATIONS, Shop
from sinks.bulkhead import Places
from sinks.http_target import HttpTarget, reply_of
from sinks.ledger import Ledger
from sinks.ledger_queries import find_actions
from tests.support.playbooks import AT, action, playbook, step
from tests.support.remedies import targets_file
from tests.support.target import KEYS

SHARDS = ["shard-000", "shard-001"]
SOURCE = "test"
TROUBLE = 40 * MINUTE
"""So long things go wrong; after that everything has to come to its end."""
PATIENCE = 60 * 24 * HOUR
"""By then it must have."""
KEYLESS = "logistics"
SILENT = "pager"
"""A system that does not tell what became of an effect."""
CONTROLS = {
    "ledger": "what is asked is not written down before",
    "keys": "no system honours idempotency keys, though they say so",
    "query": "an outcome that is not known is taken for none",
    "fence": "a process that was replaced may go on writing",
    "expiry": "requests are obeyed however late",
    "beside": "what a target changes without being asked is not looked at",
    "waiting": "what never left its queue counts as an attempt",
    "room": "more is handed over than a target has room for",
}
"""Mechanisms that can be taken away: then something must be found."""


class Killed(BaseException):
    """The process dies here."""


def books(folder: Path) -> dict[str, Playbook]:
    """Return playbooks of all shapes."""
    retry = {"attempts": 3, "first": "1s", "most": "20s"}
    look: dict[str, Any] = {"after": "5m", "patience": "20m", "unchanged": ["notes", "reviews"]}

    def system(step_id: str, target: str, operation: str, inverse: str, **more: Any) -> dict[str, Any]:
        undo = {"operation": inverse, "within": "24h"} if inverse else None
        return step(step_id, target=target, operation=operation, inverse=undo, timeout="2s", retry=retry, **more)

    tell = system("tell", "crm", "send_message", "withdraw_message")
    money = {"amount": {"type": "number", "value": "5.0"}}
    credit = system("credit", "billing", "credit", "reverse_credit", parameters=money)
    refund = system("refund", "billing", "refund", "", parameters=money, irreversible="it is gone")
    send = system("send", KEYLESS, "expedite", "cancel_expedite", precondition="now < valid_until")
    page = system("page", SILENT, "page", "resolve_page")
    ticket = system("ticket", "crm", "open_ticket", "close_ticket", rung=2)
    made = [
        playbook(folder, tell, name="tell", verify=look),
        playbook(folder, tell, credit, send, name="all", verify=look),
        playbook(folder, credit, ticket, name="ladder", verify=look | {"otherwise": "escalate"}),
        playbook(folder, refund, tell, name="refund", verify=look, approval="always"),
        playbook(folder, send, page, name="ship", verify=look),
    ]
    return {one.name: one for one in made}


@dataclass
class Setting:
    """What all worlds of a process share."""

    folder: Path
    make: Callable[[Path], dict[str, Playbook]] = books
    """Makes the playbooks in a folder."""
    playbooks: dict[str, Playbook] = field(init=False)
    targets: Targets = field(init=False)
    http: dict[str, HttpTarget] = field(init=False)
    now: int = AT

    def __post_init__(self) -> None:
        self.playbooks = self.make(self.folder)
        changed = {"settle": "5s", "breaker": {"failures": 6, "open_first": "5s", "open_most": "1m"}}
        file = targets_file(self.folder, "http://shop", **changed)
        text = file.read_text()
        for name, trait in ((KEYLESS, "keyed"), (SILENT, "queryable")):
            text = text.replace(f"  {name}:\n", f"  {name}:\n    {trait}: false\n")
        file.write_text(text)
        self.targets = load_targets(file)
        self.http = {
            name: HttpTarget(target, lambda: self.now / SECOND, resolve=lambda host, port: ["127.0.0.1"])
            for name, target in self.targets.by_name.items()
        }


class Compartment:
    """The places of a target, and the few calls that are under way at a time."""

    def __init__(self, target: Target, control: str) -> None:
        self.most = target.concurrency + target.waiting
        self.places = Places(target.concurrency, target.waiting if control != "room" else 1_000)
        self.free = target.concurrency
        self.waiting: deque[Callable[[], None]] = deque()


class Hands:
    """Puts calls onto the network of a world, and their answers back; those of one process."""

    def __init__(self, world: World, targets: Targets) -> None:
        self._world = world
        self._compartments = {name: Compartment(target, world.control) for name, target in targets.by_name.items()}
        self._changing: dict[str, str] = {}
        """Which action is about to change an entity."""

    @property
    def idle(self) -> int:
        """How many places nobody uses who has them."""
        return sum(each.places.held for each in self._compartments.values())

    def take_place(self, target: str, action_id: str, freed: Callable[[str], None]) -> bool:
        has_room = self._compartments[target].places.take(action_id, freed)
        self._world.lined_up += not has_room
        return has_room

    def give_up(self, target: str, action_id: str) -> None:
        self._compartments[target].places.give_up(action_id)

    def submit(self, call: Call, answer: Callable[[Reply], None]) -> None:
        world, inside = self._world, self._compartments[call.target]
        world.boundary("before it is sent")
        inside.places.use(call.action_id)
        if inside.places.taken > inside.most:
            raise AssertionError(f"{inside.places.taken} calls are at {call.target}, {inside.most} may be")
        if call.verb == "do":
            world.asked.setdefault(call.key, world.now)
        about = world.about(call.action_id) if call.verb in ("do", "undo") else ""
        if about and self._changing.setdefault(about, call.action_id) != call.action_id:
            raise AssertionError(f"{call.action_id} and {self._changing[about]} change {about} at a time")

        def begins() -> None:
            inside.free -= 1
            if world.troubled and world.chance.random() < 0.01:
                # The process stands still here, and goes on when another has long taken over.
                world.after(round(world.chance.uniform(0, 60) * SECOND), lambda: world.send(call, ends))
            else:
                world.send(call, ends)

        def ends(reply: Reply) -> None:
            inside.free += 1
            inside.places.leave()
            self._changing.pop(about, None)
            answer(reply)
            if inside.waiting and inside.free:
                inside.waiting.popleft()()

        if inside.free:
            begins()
        else:
            inside.waiting.append(begins)
        world.boundary("after it is sent")


class World:
    """One world.

    Args:
        seed: The same seed, the same world.
        setting: What it shares with others.
        control: A mechanism that is taken away, for a control that must fail.
    """

    def __init__(self, seed: int, setting: Setting, control: str = "") -> None:
        self.seed, self.chance, self.control = seed, Random(seed), control
        self._setting = setting
        self.now = setting.now = AT
        self.killed: list[str] = []
        self.zombies: list[Shard] = []
        self.zombie_writes = 0
        self.asked: dict[str, int] = {}
        """When each effect was first asked of its target, by its key."""
        self.spilled: dict[str, str] = {}
        """Of which entity the target changed something else, beside what it was asked for, by the key of that."""
        self.tries: Counter[str] = Counter()
        """How often the network was given a request, by its key."""
        self.lined_up = self.expired = 0
        """How often an action had to wait for a place, and a call waited for its turn for too long."""
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._kill_chance = self.chance.choice([0.0, 0.005, 0.02, 0.05])
        self.shop = Shop(keyless=frozenset(OPERATIONS) if control == "keys" else frozenset({KEYLESS}))
        names = ("slow", "fail_before", "fail_after", "lose_request", "lose_reply", "refuse", "throttle", "lie")
        others = ("garbage", "redirect", "useless", "spill")
        chances = {name: self.chance.random() * self.chance.choice([0.0, 0.05, 0.15]) for name in (*names, *others)}
        keyed = {**chances, "duplicate": self.chance.random() * 0.1}
        paths = {f"/{system}/{name}": keyed for system in ("crm", "billing") for name in _operations(system)}
        # Who lies, and tells nothing when asked, is found out by nobody.
        paths |= {f"/{SILENT}/{name}": chances | {"lie": 0.0} for name in _operations(SILENT)}
        self._troubles = Service(self.shop, KEYS, Faults(seed, {**paths, "*": chances}, slow_s=20.0))
        self._honest = Service(self.shop, KEYS)
        self.actions = self._decided()
        folder = setting.folder / f"world-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.folder = folder
        self.ledger = Ledger.open(f"sqlite:///{folder}/ledger.db", create=True)
        _hasten(self.ledger)
        self._shards: list[Shard] = []
        self._arrived = 0

    # -- the world ----------------------------------------------------------------------------------------------------

    @property
    def troubled(self) -> bool:
        """Whether anything goes wrong now."""
        return self.now < AT + TROUBLE

    def after(self, span: int, happens: Callable[[], None]) -> None:
        """Have something happen after a span."""
        self._count += 1
        heapq.heappush(self._events, (self.now + span, self._count, happens))

    def boundary(self, where: str) -> None:
        """Perhaps die here."""
        if self.troubled and self.chance.random() < self._kill_chance:
            self.killed.append(where)
            raise Killed(where)

    def send(self, call: Call, answer: Callable[[Reply], None]) -> None:
        """Put a call onto the network."""
        unknown: Result = "not-sent" if self.control == "query" else "unknown"
        timeout = Reply(call.action_id, call.turn, unknown, "it did not answer", failed=True)
        if call.verb in ("query", "measure"):
            timeout = Reply(call.action_id, call.turn, "unavailable", "it did not answer", failed=True)
        request = self._setting.http[call.target].request(call)
        answered: list[Reply] = []

        def reply(one: Reply) -> None:
            if not answered:
                answered.append(one)
                answer(one)

        if request is None:
            self.expired += 1
            # What waits for its turn beyond what it is worth counts as if it had been tried: it is given up at last.
            self.tries[call.key] += call.verb == "do" and self.now > self._valid_until(call.action_id)
            waited: Result = "not-sent" if self.control == "waiting" else "expired"
            return reply(Reply(call.action_id, call.turn, waited, "it waited for its turn for too long"))
        self.tries[call.key] += 1
        lost = self.chance.random() if self.troubled else 1.0
        if lost < 0.03:
            return reply(Reply(call.action_id, call.turn, "not-sent", "it cannot be reached", failed=True))
        self.after(call.timeout, lambda: reply(timeout))
        if lost < 0.06:
            return None  # the request is lost
        self.after(self._delay(), lambda: self._arrives(call, request, reply, reply_is_lost=lost < 0.09))
        return None

    def _valid_until(self, action_id: str) -> int:
        return next(one.valid_until for one in self.actions if one.action_id == action_id)

    def about(self, action_id: str) -> str:
        """Return the entity that an action is about: nobody else may change it at the same time."""
        return next(one.about for one in self.actions if one.action_id == action_id)

    def _delay(self) -> int:
        slow = self.troubled and self.chance.random() < 0.05
        return round(self.chance.uniform(0.001, 4.0 if slow else 0.05) * SECOND)

    def _arrives(
        self, call: Call, request: httpx.Request, reply: Callable[[Reply], None], *, reply_is_lost: bool
    ) -> None:
        service = self._troubles if self.troubled else self._honest
        arrived_at = self.now
        target = Signed(request.method, request.headers["host"], request.url.path, request.url.query.decode())
        headers = {name.lower(): value for name, value in request.headers.items()}
        arrived = Request(request.method, target, headers, request.content)
        fault = service.fault(arrived)

        def happens() -> None:
            # Without its expiry, a request is obeyed whenever the target comes to it.
            now = arrived_at if self.control == "expiry" else self.now
            before = {one["key"] for one in self.shop.effects()} if fault.name == "spill" else None
            answer = service.answer(arrived, fault, now / SECOND)
            if before is not None:
                self.spilled |= {one["key"]: one["entity"] for one in self.shop.effects() if one["key"] not in before}
            if answer is not None and not reply_is_lost:
                told = reply_of(call, answer.status, {k.lower(): v for k, v in answer.headers}, answer.body)
                self.after(self._delay(), lambda: reply(told))

        self.after(round(fault.hold_s * SECOND), happens)

    def _decided(self) -> list[Action]:
        chance, made = self.chance, []
        # In some worlds a crowd comes at once: more than their targets have room for.
        few, crowd = chance.randint(4, 10), chance.choice([0, 0, 8, 16])
        together = AT + round(chance.uniform(0, 20) * MINUTE)
        entities = chance.choice([few + crowd, 4])  # each of the crowd its own, or all of them a few
        for number in range(few + crowd):
            at = AT + round(chance.uniform(0, 20) * MINUTE) if number < few else together
            entity = f"order:o{chance.randint(0, 3) if number < few else number % entities}"
            approved = chance.random() < 0.7
            made.append(
                action(
                    f"a{number}",
                    remedy=chance.choice(sorted(self._setting.playbooks)),
                    at=at,
                    valid_until=at + round(chance.choice([0.5, 5, 240]) * MINUTE),
                    entity=entity,
                    target=f"crm:{entity}",
                    customer=f"customer:{entity}",
                    approval=Approval("r1", ["bob"]) if approved else None,
                )
            )
        return sorted(made, key=lambda one: one.at)

    # -- the flow -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Let all happen, until nothing is left to do.

        Raises:
            AssertionError: it does not come to an end.
        """
        for one in self.actions:
            self.after(one.at - AT, lambda: None)
            if self.chance.random() < 0.2:
                self.after(round(self.chance.uniform(0, 60) * MINUTE), lambda one=one: self._wish(one))  # type: ignore[misc]
        self._begin()
        while self.now < AT + PATIENCE:
            if self._shards:
                try:
                    while self._take_in() or sum(shard.turn(self.now) for shard in self._shards):
                        pass
                    if self._hands.idle:
                        raise AssertionError(f"{self._hands.idle} places are kept for nobody at {self.now}")
                except Killed:
                    self._die()
            self._zombies_move()
            due = [shard.next_at for shard in self._shards]
            times = [at for at in due if at is not None] + [event[0] for event in self._events[:1]]
            if not times:
                return
            self.now = self._setting.now = max(self.now, min(times))
            while self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()
        raise AssertionError(f"it does not end: {[shard.open for shard in self._shards]} are open")

    def _begin(self) -> None:
        means = self._means()
        self._shards = []
        for name in SHARDS:
            shard = Shard(name, means, self.now)
            self._guard(shard)
            self._shards.append(shard)

    def _means(self) -> Means:
        setting = self._setting
        # Some processes have little room at their targets.
        concurrency, waiting = self.chance.choice([(4, 200), (2, 2), (1, 2), (1, 1)])
        by_name = {
            name: replace(target, concurrency=concurrency, waiting=waiting)
            for name, target in setting.targets.by_name.items()
        }
        targets = replace(setting.targets, by_name=by_name)
        self._hands = Hands(self, targets)
        return Means(self.ledger, setting.playbooks, targets, self._hands)

    def _guard(self, shard: Shard) -> None:
        """Have a shard die before or after it commits."""
        writer = shard.writer
        commit = writer.commit

        def guarded(progress: Any, effects: Any, *rest: Any) -> None:
            self.boundary("before the commit")
            if self.control == "ledger":
                sent = {row.action_id for row in effects if row.status == "unknown"}
                progress = [row for row in progress if row.action_id not in sent]
                effects = [row for row in effects if row.action_id not in sent]
            commit(progress, effects, *rest)
            self.boundary("after the commit")

        writer.commit = guarded  # type: ignore[method-assign, assignment]
        if self.control == "fence":
            writer._check_generation = lambda connection: None  # type: ignore[method-assign]

    def _die(self) -> None:
        if self.chance.random() < 0.3:
            self.zombies += self._shards
        self._shards = []
        self.after(round(self.chance.uniform(0, 30) * SECOND), self._begin)

    def _zombies_move(self) -> None:
        """Let processes go on that were taken for dead: they must not write or ask anything."""
        for shard in list(self.zombies):
            if self._shards and self.chance.random() < 0.2:
                before = self._count
                try:
                    self.zombie_writes += bool(shard.turn(self.now))
                except (FencedError, Killed):
                    self.zombies.remove(shard)
                self.zombie_writes += self._count != before

    def _take_in(self) -> int:
        """Take in what was decided by now."""
        due = [one for one in self.actions[self._arrived :] if one.at <= self.now]
        if not due:
            return 0
        self.boundary("before it is taken in")
        position = self.ledger.position(SOURCE)
        rows = [new_action(one, one.customer, SHARDS) for one in self.actions[position : self._arrived + len(due)]]
        fresh = self.ledger.take_in(SOURCE, position, position + len(rows), rows) if rows else []
        self._arrived = self.ledger.position(SOURCE)
        self.boundary("after it is taken in")
        for shard in self._shards:
            shard.take(fresh, self.now)
        return len(rows)

    def _wish(self, one: Action) -> None:
        self.ledger.wish_undone([one.action_id], "rolled back", self.now)

    def numbers(self, entity: str) -> dict[str, int]:
        """Return what the target knows of an entity, but for what it changed without being asked."""
        spilled = sum(whose == entity for whose in self.spilled.values())
        known = self.shop.numbers(entity)
        return known | {"notes": known["notes"] - spilled}

    def states(self) -> dict[str, str]:
        """Return the state of each action in the ledger."""
        return {row["action_id"]: row["state"] for row in find_actions(self.ledger)}

    def close(self) -> None:
        """Remove what it left."""
        self.ledger.close()
        self.shop.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _hasten(ledger: Ledger) -> None:
    """Have a ledger not wait for the disk: these processes die, but the machine does not."""
    engine = ledger._database.writer
    engine.dispose()
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))


def _operations(system: str) -> list[str]:
    return [name for one, op in OPERATIONS[system].items() for name in (one, op.inverse) if name]
