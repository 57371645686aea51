"""How far each remedy may go by what it has earned, reckoned up naively: the life of each level is lived again when all
is over, all outcomes are kept, and bounds are found by trying. For `procedure_oracle`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from statistics import NormalDist
from typing import Any

from tests.support.procedure_policy import AGENTS, MODELS, SECOND, WHENS
from tests.support.procedure_rules import Row, span

Triple = tuple[str, str, str]
"""Agent, remedy, segment."""
Version = tuple[str, int, Row, list[Row]]
LEVELS = ["recommend", "supervised", "autonomous"]
NEVER = -(2**62)
GOOD = ("verified", "settled")
OVER = (*GOOD, "compensated", "escalated")
"""States that say what came of an action; of what was refused nothing came."""


@dataclass
class Life:
    """What became of one level."""

    level: str = ""
    """ "" as long as it never changed."""
    since: int = NEVER
    barred: int = NEVER
    wakes: dict[str, int] = field(default_factory=dict)
    """When it is looked at although nothing is heard."""
    heard: dict[str, Row] = field(default_factory=dict)
    """By action the newest outcome, and when it was."""
    moves: list[tuple[int, str, str]] = field(default_factory=list)


class Levels:
    """The levels of one world.

    Args:
        versions: Of the policy: hash, from when on, main document, rules.
        sent: Control records, and what drifted: at, type, data; each at an instant of its own.
    """

    def __init__(self, versions: list[Version], sent: Iterable[Any]) -> None:
        self._versions = versions
        self._told: dict[Triple, list[tuple[int, Row]]] = {}
        self._drifts: list[tuple[int, str, str, bool]] = []
        self._lives: dict[Triple, Life] = {}
        for one in sorted(sent, key=lambda one: one.at):
            if one.type == "action.outcome":
                name = (one.data["agent"], one.data["remedy"], one.data.get("segment") or "")
                self._told.setdefault(name, []).append((one.at, one.data))
            elif one.type.startswith("drift."):
                begins = one.type == "drift.begun"
                self._drifts.append((one.at, MODELS[one.data["model"]], one.data["feature"], begins))

    @property
    def triples(self) -> list[Triple]:
        """All that anything was heard of."""
        return [*self._told]

    def segment(self, at: int, facts: Row) -> str:
        """Return the segment of a case."""
        segments = self._main(at)["autonomy"]["segments"]
        return next((str(one["name"]) for one in segments if WHENS[one["when"]](facts)), "other")

    def level(self, at: int, triple: Triple, quality: float) -> tuple[str, str]:
        """Return the level in force at an instant, and what holds it down at last."""
        limit = self._limit(at, triple)
        if limit is None:
            return "autonomous", ""
        since, level, why = next(
            (move for move in reversed(self.moves(triple)) if move[0] <= at), (NEVER, limit["start"], "start")
        )
        if since < _anew(limit) <= at:
            level, why = limit["start"], "anew"
        for most, because in (
            (limit["ceiling"], "ceiling"),
            ("supervised" if self._drifted(at, triple[0]) else "autonomous", "drift"),
            ("supervised" if quality < limit["demotion"]["quality_min"] else "autonomous", "quality"),
        ):
            if LEVELS.index(most) < LEVELS.index(level):
                level, why = most, because
        return level, why

    def moves(self, triple: Triple) -> list[tuple[int, str, str]]:
        """Return all changes of a level: when, to what, and why."""
        if triple not in self._lives:
            self._lives[triple] = self._life(triple)
        return self._lives[triple].moves

    # -- a life -------------------------------------------------------------------------------------------------------

    def _life(self, triple: Triple) -> Life:
        life, told = Life(), list(self._told.get(triple, ()))
        while told or life.wakes:
            name = min(life.wakes, key=life.wakes.__getitem__, default="")
            if name and (not told or life.wakes[name] <= told[0][0]):
                self._look(life, triple, life.wakes.pop(name))
                continue
            now, data = told.pop(0)
            if self._hear(life, triple, now, data):
                self._look(life, triple, now)
        return life

    def _hear(self, life: Life, triple: Triple, now: int, data: Row) -> bool:
        """Take note of an outcome; return whether it counts."""
        limit = self._limit(now, triple)
        segments = {"other", *(each["name"] for each in self._main(now)["autonomy"]["segments"])}
        is_known = triple[0] in AGENTS and triple[1] in self._main(now)["remedies"] and triple[2] in segments
        if data["state"] not in OVER or limit is None or not is_known:
            return False
        false = data["state"] == "compensated" or data["collateral"] is True
        good = data["verdict"] == "verified" and data["state"] in GOOD and not false
        given_up = data["state"] == "escalated" and data["verdict"] != "inconclusive"
        bad = data["verdict"] == "ineffective" or data["state"] == "compensated" or given_up
        at = now if bad or false or data["at"] is None else min(data["at"], now)
        before = life.heard.get(data["action_id"])
        if before is not None:
            at = max(at, before["at"])
            if data["seq"] < before["seq"]:
                before["at"] = at
            if data["seq"] <= before["seq"]:
                return False
        if at <= now - span(limit["evidence"]["within"]):
            return False
        life.heard[data["action_id"]] = {"at": at, "seq": data["seq"], "good": good, "bad": bad, "false": false}
        return True

    def _look(self, life: Life, triple: Triple, now: int) -> None:
        """Let the level change, if it has to, and note when to look again."""
        limit = self._limit(now, triple)
        if limit is None:
            return
        if life.since < _anew(limit) <= now:
            life.level, life.since, life.barred = "", _anew(limit), NEVER
        level, why = self._next(life, limit, triple[0], now)
        if why:
            life.level, life.since = level, now
            life.moves.append((now, level, why))
            if why in ("failures", "bounds"):
                life.barred = now + span(limit["demotion"]["probation"])
        level = _at_most(life.level or limit["start"], limit["ceiling"])
        if now < life.barred and level != limit["ceiling"]:
            life.wakes["probation"] = life.barred
        life.wakes.pop("lapse", None)
        if LEVELS.index(level) > LEVELS.index(limit["start"]):
            life.wakes["lapse"] = max(life.since, _newest(life)) + span(limit["evidence"]["within"])

    def _next(self, life: Life, limit: Row, agent: str, now: int) -> tuple[str, str]:
        """Return the level that it comes to now, and why; no reason where it stays."""
        evidence, wanted, broken = limit["evidence"], limit["promotion"], limit["demotion"]
        within = span(evidence["within"])
        latest = sorted((one["at"], name) for name, one in life.heard.items())[-evidence["last"] :]
        counted = [life.heard[name] for at, name in latest if at > now - within and at > life.since]
        number, good = len(counted), sum(one["good"] for one in counted)
        false = sum(one["false"] for one in counted)
        lately = sum(one["bad"] for one in counted if one["at"] > now - span(broken["within"]))
        helps, fails = bounds(good, number, evidence["confidence"]), bounds(false, number, evidence["confidence"])
        level = _at_most(life.level or limit["start"], limit["ceiling"])
        if level != "recommend":
            lower = LEVELS[LEVELS.index(level) - 1]
            if lately >= broken["failures"]:
                return lower, "failures"
            if number >= broken["judged_from"] and (helps[1] < wanted["success_min"] or fails[0] > wanted["false_max"]):
                return lower, "bounds"
        if LEVELS.index(level) > LEVELS.index(limit["start"]) and now >= max(life.since, _newest(life)) + within:
            return limit["start"], "lapsed"
        if now < life.barred or level == limit["ceiling"]:
            return level, ""
        if level == "recommend":
            return ("supervised", "probation-over") if life.level else (level, "")
        enough = (
            good >= wanted["verified_min"] and helps[0] >= wanted["success_min"] and fails[1] <= wanted["false_max"]
        )
        return ("autonomous", "earned") if enough and not self._drifted(now, agent) else (level, "")

    # -- what holds ---------------------------------------------------------------------------------------------------

    def _main(self, at: int) -> Row:
        return [version[2] for version in self._versions if version[1] <= at][-1]

    def _limit(self, at: int, triple: Triple) -> Row | None:
        names = dict(zip(("agent", "remedy", "segment"), triple, strict=True))
        for limit in self._main(at)["autonomy"]["limits"]:
            if all(limit.get(what, "*") in ("*", name) for what, name in names.items()):
                return dict(limit)
        return None

    def _drifted(self, at: int, agent: str) -> bool:
        drifting = {what: begins for when, whose, what, begins in self._drifts if whose == agent and when <= at}
        return any(drifting.values())


@cache
def bounds(hits: int, trials: int, confidence: float) -> tuple[float, float]:
    """Return the least and the highest true share that so many hits are still likely of, each with the confidence."""
    if trials == 0:
        return 0.0, 1.0
    z, share = NormalDist().inv_cdf(confidence), hits / trials

    def is_far(true: float) -> bool:
        return (share - true) ** 2 > z * z * true * (1 - true) / trials

    found = []
    for far in (0.0, 1.0):
        near = share
        for _ in range(50):
            middle = (far + near) / 2
            far, near = (middle, near) if is_far(middle) else (far, middle)
        found.append(near)
    return found[0], found[1]


def _anew(limit: Row) -> int:
    written = limit.get("anew_from")
    return NEVER if written is None else round(datetime.fromisoformat(written).timestamp() * SECOND)


def _newest(life: Life) -> int:
    return max((one["at"] for one in life.heard.values()), default=NEVER)


def _at_most(level: str, ceiling: str) -> str:
    return min(level, ceiling, key=LEVELS.index)
