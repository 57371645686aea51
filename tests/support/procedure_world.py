"""A world in which cases are decided about and acted on: findings, flags, people and forgers by a seed; the case stage
and what follows it, restarted now and then; its actions carried out by the real flow against a target that misbehaves,
killed at every boundary; what came of them heard by the case stage again. In virtual time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import orjson
import sqlalchemy as sa

from config.actions import Action, decode_action
from config.clock import HOUR, MINUTE, SECOND
from config.events import BROADCAST, Event
from config.policies.documents import Outcome
from config.policies.load import load_bundle
from config.policies.versions import Versions
from dataflows.remedy_flags import Restraint, remedies_of
from dataflows.remedy_means import Means
from operators.approvals import Answer
from operators.flags import FLAG, Limit, Standing
from operators.guard import WITHHELD
from sinks.ledger_schema import outcomes
from tests.support.approvals import event_of, keys_of, public_key, signed
from tests.support.findings import end_of, finding
from tests.support.playbooks import AT
from tests.support.procedure_bundle import books, write_policy
from tests.support.procedure_history import drifts, history, outcome_event
from tests.support.procedure_policy import CHANGE_H, DESK, PEOPLE, SPAN_H
from tests.support.procedure_stages import Stages
from tests.support.remedy_world import Setting, World

TICK = 15 * MINUTE
"""So often the case stage hears of what happened since, and the flow of what it decided."""
AGENTS = ("fulfilment", "fulfilment", "billing", "outage", "experience", "fraud")
KINDS = ("order.late", "order.late", "order.stuck", "order.lost", "order.double", "order.odd")
MONEY = (5.0, 40.0, 60.0, 120.0, 450.0, 600.0, 2000.0)
MODES: tuple[Outcome, ...] = ("act", "act", "act", "act", "approve", "recommend")
FLAGS = ("observe-only", "notify-only", "reversible-only")
SCOPES = ("*", "agent:fulfilment", "agent:billing", "remedy:tell", "remedy:ship", "remedy:credit")
CAUSES = [f"lane:{name}" for name in "abcdefgh"]
CUSTOMERS, ORDERS = 12, 4


@dataclass
class Sent:
    """A control record as somebody wrote it, whether it counts or not."""

    at: int
    """When it takes effect."""
    type: str
    data: dict[str, Any]


@dataclass
class Released:
    """An output, in the order in which they leave."""

    at: int
    type: str
    key: str
    data: dict[str, Any]


@dataclass
class Told:
    """All that a world leaves for those who reckon up."""

    mode: str
    """How far the job may go."""
    released: list[Released] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    """Control records, and what drifted."""


class ProcedureSetting(Setting):
    """What all worlds of a process share, and the policy."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, books)
        self.versions = write_policy(folder / "policy")
        self.policy = Versions(tuple(load_bundle(version) for version in self.versions))
        self.remedies = remedies_of(self.policy.bundles, self.playbooks)
        self.keys = keys_of(
            *(
                public_key(name, *person.roles, valid_from=person.valid_from, revoked_at=person.revoked_at)
                for name, person in PEOPLE.items()
            )
        )


class ProcedureWorld(World):
    """One world.

    Args:
        seed: The same seed, the same world.
        setting: What it shares with others.
        broken: What is not kept, for a control that must be found out: `job`, the job's mode; `amount`, what was
            decided on the way to the target; `undecided`, that all is decided; `held`, that flags hold what was decided
            before them.
    """

    def __init__(self, seed: int, setting: ProcedureSetting, broken: str = "") -> None:
        self._draw, self._broken = Random(f"procedure {seed}"), broken
        super().__init__(seed, setting)
        mode: Outcome = self._draw.choice(MODES)
        self.told = Told(mode)
        self._stages = Stages(setting.policy, "act" if broken == "job" else mode, setting.keys)
        self._due: list[Event] = []
        self._heard: dict[str, int] = {}
        self._records = 0
        self._used: set[int] = set()
        self.cases = 0
        self._facts()
        self._flags()
        for event in (*history(self._draw, self._at), *drifts(self._draw, self._at)):
            self._hear(event)
        for tick in range(1, SPAN_H * HOUR // TICK + 1):
            self.after(tick * TICK, self._tick)

    @property
    def troubled(self) -> bool:
        """Whether anything goes wrong now."""
        return self.now < AT + SPAN_H * HOUR

    def _decided(self) -> list[Action]:
        return []

    def _means(self) -> Means:
        setting = self._setting
        assert isinstance(setting, ProcedureSetting)
        return replace(super()._means(), inadmissible=Restraint(self._limits, setting.remedies))

    def _limits(self, now: int) -> dict[str, Limit]:
        """Return the flags that stand, as the flow knows of them."""
        standing = Standing()
        for one in sorted(self.told.sent, key=lambda one: one.at):
            if one.type == FLAG and one.at <= now and self._broken != "held":
                standing.take(Event(one.at, "", BROADCAST, FLAG, one.data), one.at)
        return standing.in_force

    # -- what happens -------------------------------------------------------------------------------------------------

    def _at(self, earliest: int, latest: int) -> int:
        """Return an instant that nothing else happens at, so that nobody need know what comes first."""
        while (at := self._draw.randint(earliest, max(latest, earliest + SECOND))) in self._used:
            pass
        self._used.add(at)
        return at

    def _facts(self) -> None:
        draw, end = self._draw, AT + (SPAN_H - 2) * HOUR
        for customer in range(CUSTOMERS):
            for order in range(draw.randint(1, ORDERS)):
                self.cases += 1
                begins = draw.randint(AT, end - HOUR)
                for number in range(draw.choice((1, 1, 2, 3))):
                    at = self._at(begins, min(begins + 8 * HOUR, end))
                    harm = draw.choice((None, at + draw.randint(HOUR, 24 * HOUR)))
                    quality = draw.choice((*[None] * 7, 1.0, 0.9, 0.5))
                    found = finding(
                        agent=draw.choice(AGENTS),
                        kind=draw.choice(KINDS),
                        entity=f"order:{customer}-{order}",
                        customer=f"c{customer}",
                        occurrence=f"o{number}",
                        at=at,
                        severity=draw.choice(("low", "medium", "high", "critical")),
                        confidence=draw.choice((0.3, 0.55, 0.8, 0.9, 0.95)),
                        money_at_risk=draw.choice(MONEY),
                        harm_at=harm,
                        features={} if quality is None else {"data_quality": quality},
                        causes=draw.choice(([], [], [draw.choice(CAUSES)], sorted(draw.sample(CAUSES, 2)))),
                    )
                    self._due.append(found.event(f"c{customer}"))
                    if draw.random() < 0.3:
                        over = end_of(found, self._at(at + MINUTE, at + 10 * HOUR))
                        self._due.append(over.event(f"c{customer}"))

    def _flags(self) -> None:
        decisive = [event.at for event in self._due]
        for number in range(self._draw.choice((0, 0, 1, 2, 4, 6))):
            # Mostly just after something was decided, and before it is begun.
            near = self._draw.choice(decisive) if self._draw.random() < 0.7 else self._draw.randint(AT, max(decisive))
            at = self._at(near, near + 5 * MINUTE)
            data: dict[str, Any] = {"scope": self._draw.choice(SCOPES), "mode": self._draw.choice(FLAGS)}
            data |= {"set_by": "ops", "reason": "r"}
            if self._draw.random() < 0.5:
                data["until"] = at + self._draw.randint(HOUR // 2, 6 * HOUR)
            self._send(at, FLAG, data, number)
            if self._draw.random() < 0.3:
                back = self._at(at + MINUTE, at + 10 * HOUR)
                self._send(back, FLAG, data | {"mode": "normal"}, 100 + number)

    def _send(self, at: int, kind: str, data: dict[str, Any], number: int) -> None:
        self.told.sent.append(Sent(at, kind, data))
        self._due.append(Event(at, f"flag|{number}", BROADCAST, kind, data, "flags/0", number))

    # -- deciding -----------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Let the case stage hear of all that takes effect before now; hand over what it decided."""
        for stage in self._stages.all:
            if self._draw.random() < 0.1:
                stage.restart()
        self._came_of_it()
        due = [event for event in self._due if event.at < self.now]
        self._due = [event for event in self._due if event.at >= self.now]
        for event in self._stages.feed(due, self.now):
            self.told.released.append(Released(event.at, event.type, event.key, event.data))
            if event.type in ("action", WITHHELD):
                self._hand_over(decode_action(orjson.dumps(event.data)))
            elif event.type == "approval.requested":
                self._ask(event.data)

    def _hand_over(self, action: Action) -> None:
        if self._broken == "amount" and "amount" in action.parameters:
            action = msgspec.structs.replace(action, parameters={"amount": 1.5})
        if self._broken == "undecided":
            action = msgspec.structs.replace(action, action_id=action.action_id[::-1])
        self.actions.append(action)
        if self._draw.random() < 0.1:
            self.after(self._draw.randint(0, 6 * HOUR), lambda: self._wish(action))

    def _came_of_it(self) -> None:
        """Hear what the ledger told since, as it takes effect now."""
        columns = (outcomes.c.shard, outcomes.c.n, outcomes.c.key, outcomes.c.body)
        effective = self.now
        with self.ledger.read() as connection:
            rows = connection.execute(sa.select(*columns).order_by(outcomes.c.shard, outcomes.c.n)).all()
        for shard, number, key, body in rows:
            if number > self._heard.get(shard, 0):
                self._heard[shard] = number
                self._records += 1
                effective = self._at(effective + 1, effective + SECOND)
                told = dict.fromkeys(("verdict", "collateral", "at")) | {"case_key": key} | orjson.loads(body)
                self._hear(outcome_event(effective, f"ledger|{self._records}", told, self._records))

    def _hear(self, event: Event) -> None:
        self.told.sent.append(Sent(event.at, event.type, event.data))
        self._due.append(event)

    # -- people -------------------------------------------------------------------------------------------------------

    def _ask(self, request: dict[str, Any]) -> None:
        """Have people answer a request, and forgers."""
        draw, asked_at = self._draw, self.now
        for _ in range(draw.choice((0, 1, 2, 2, 3, 5))):
            left = max(request["expires_at"] - asked_at, 0) + HOUR // 2
            at = asked_at + round(left * draw.random() ** 3)
            self._answer(draw, request, self._at(at, at + SECOND))

    def _answer(self, draw: Random, request: dict[str, Any], at: int) -> None:
        asked = [name for name, person in PEOPLE.items() if {*person.roles} & {*request["roles"]}]
        by = draw.choice(asked if draw.random() < 0.7 else [*PEOPLE])
        roles = [role for role in PEOPLE[by].roles if role in request["roles"]] or PEOPLE[by].roles
        changes: dict[str, Any] = {"role": draw.choice(roles)}
        if draw.random() < 0.1:
            changes["answer"] = "reject"
        signer, tamper = "", False
        match draw.choice(["honest"] * 14 + ["forged", "tampered", "own", "digest", "role", "early", "nobody"]):
            case "forged":
                signer = draw.choice([name for name in PEOPLE if name != by])
            case "tampered":
                tamper = True
            case "own":
                by, signer = request["requester"], by
            case "digest":
                changes["digest"] = "0" * 32
            case "role":
                changes["role"] = DESK
            case "early":
                changes["answered_at"] = request["expires_at"] + 1
            case "nobody":
                by = "zoe"
        answer = signed(request, by, at, signer=signer, **changes)
        if tamper:
            answer = msgspec.structs.replace(answer, answer="approve", answered_at=at - 1)
        self._say(answer, at)
        if draw.random() < 0.2:
            self._say(answer, self._at(at + MINUTE, at + HOUR))

    def _say(self, answer: Answer, at: int) -> None:
        event = event_of(answer, at)
        self.told.sent.append(Sent(at, event.type, event.data))
        self._due.append(event)

    @property
    def in_force(self) -> dict[str, int]:
        """The instants from which on the versions of the policy hold, by their hashes."""
        setting = self._setting
        assert isinstance(setting, ProcedureSetting)
        begins = (0, AT + CHANGE_H * HOUR)
        return {bundle.hash: at for bundle, at in zip(setting.policy.bundles, begins, strict=True)}
