"""Rounds on a real broker: a fresh job, some lives that are struck, one that settles, one more that changes nothing."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from config.errors import ForestallError
from dataflows.live import LiveJob
from dataflows.recovered import interpret
from replay.manifest import Idle
from sinks.engine import store_path
from sinks.preflight import inspect
from sinks.schema import outputs
from sinks.store import Store
from tests.chaos.kafka_plans import Blow, Plan
from tests.chaos.kafka_settings import OUTPUTS, settings_text
from tests.chaos.kafka_verdict import broken_topics, expected_on, gone
from tests.support.chaos import Damage, End, Life, job_of, live
from tests.support.chaos_clock import follow
from tests.support.chaos_live import Watch
from tests.support.chaos_place import Place
from tests.support.chaos_tear import keep, tear
from tests.support.chaos_topics import Output as Record
from tests.support.chaos_world import topics_of
from tests.support.faults import Call, Kill, Stop
from tests.support.verdict import Content, Output, Position, broken_at_end, broken_midway, content_of, position_of

SETTLE_S = 30.0
"""When nothing befalls it any more, a job puts out within so long all that it should."""
SLOW_S = 6.0
QUIET_S = 1.5
"""Where it is not known what must come, nothing has come for so long."""
LAG_S = 5.0
"""Within so long after that its consumer group shows no lag."""
NOTHING = frozenset[Output]()


@dataclass
class Figures:
    """What rounds did."""

    rounds: int = 0
    lives: int = 0
    kills: int = 0
    """Lives ended by kill -9."""
    missed: int = 0
    """Those among them that did not come to the point where they were to be struck, and were when their time was up."""
    broker_kills: int = 0
    stops: int = 0
    """Lives ended by SIGTERM."""
    gave_up: int = 0
    """Lives that ended by themselves while something befell the broker, to be started again."""
    tears: int = 0
    refused: int = 0
    """Starts refused for torn recovery files."""
    purging: int = 0
    purged: int = 0
    seconds: float = 0.0
    settle_s_max: float = 0.0
    violations: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Input:
    """What a job reads, and what it must put out."""

    tag: str
    records: int
    reference: Content | None
    """None while it depends on when partitions were idle."""


@dataclass
class _Round:
    job: LiveJob
    input: Input
    outputs: dict[str, str]
    """Topics of outputs, by the name of their setting."""
    seen: frozenset[Output] = NOTHING
    told: list[Record] = field(default_factory=list)
    setup: Damage | None = None
    quiet_since: float = 0.0
    """When what it has put out was seen to change last."""
    position: Position | None = None
    complete_since: float | None = None


class KafkaCampaign:
    """Rounds against one broker.

    Args:
        folder: Where all goes. The folder of a round stays only when something was violated.
        place: The broker.
        events: Size of a world.
    """

    def __init__(self, folder: Path, place: Place, events: int) -> None:
        self.figures = Figures()
        self._folder, self._place, self._events = folder, place, events
        _, self._proxied = place.call("addresses")
        self._worlds: dict[str, Input] = {}

    def run(self, name: str, plan: Plan, damage: Damage | None = None) -> list[str]:
        """Run a round, perhaps with something switched off; return what was violated."""
        started, figures = time.monotonic(), self.figures
        folder = self._folder / name
        folder.mkdir()
        made = self._input(name, plan)
        wanted = {key: f"{key}-{name}" for key in OUTPUTS} if plan.topics else {}
        config = folder / "settings.toml"
        config.write_text(settings_text(self._proxied, list(topics_of(made.tag)), name, wanted, plan.input == "silent"))
        store = folder / "store.db"
        job = LiveJob(store_url=f"sqlite:///{store}", recovery=f"{store}.recovery", config=str(config))
        if wanted:
            self._place.call("make", dict.fromkeys(wanted.values(), 2))
        setup = follow(self._events, SLOW_S) if plan.input == "silent" else None
        round_ = _Round(job, made, wanted, setup=_both(damage, setup))
        wrong = self._round(round_, plan)
        self._place.call("calm")
        if not wrong:
            self._tidy(name, plan, round_, folder)
        figures.rounds += 1
        figures.seconds += time.monotonic() - started
        figures.violations += [f"{name}: {each}" for each in wrong]
        return wrong

    # -- input -----------------------------------------------------------------------------------------------------

    def _input(self, name: str, plan: Plan) -> Input:
        if plan.input in ("there", "transactions"):
            tag = f"{plan.input[0]}{plan.world}"
            if tag not in self._worlds:
                some = (40, 300) if plan.input == "transactions" else ()
                count = self._place.call("load", tag, plan.world, self._events, transactional=some)
                self._worlds[tag] = Input(tag, count, self._reference(tag))
            return self._worlds[tag]
        silences = (2.2, 2.2) if plan.input == "silent" else ()
        count = self._place.call("load_slowly", name, plan.world, self._events, SLOW_S, silences)
        return Input(name, count, None if plan.input == "silent" else self._reference(name))

    def _reference(self, tag: str, idle: Sequence[Idle] = ()) -> Content:
        """Replay a recording of the input; return what that put out."""
        folder = self._folder / f"reference-{tag}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self._place.call("record", tag, folder / "recording", idle)
        job = job_of(folder / "recording", folder)
        (folder / "settings.toml").write_text(settings_text("", [], tag, {}, bool(idle)))
        life = live(msgspec.structs.replace(job, config=str(folder / "settings.toml")))
        if life.end is not End.WELL:
            raise RuntimeError(f"the embedded replay {life.end.value}: {life.words}")
        return content_of(job.store_url)

    # -- a round ---------------------------------------------------------------------------------------------------

    def _round(self, round_: _Round, plan: Plan) -> list[str]:
        for number, blow in enumerate(plan.blows):
            round_.job = msgspec.structs.replace(round_.job, processes=blow.processes)
            recovery = Path(round_.job.recovery)
            if blow.tear is not None and recovery.exists():
                wrong, over = self._torn(round_, blow)
                if wrong or over:
                    return [f"after {blow.tear!r} before life {number}: {each}" for each in wrong]
            self._place.call("plan", blow.weather)
            life, watch = self._live(round_, blow)
            wrong = watch.wrong + self._judged(life, blow)
            if not wrong and life.purged is not None:
                wrong = self._midway(round_)
            if blow.weather:
                self._place.call("calm")
            if wrong:
                return [f"life {number}, {blow}: {each}" for each in wrong]
            if number == 0 and recovery.exists():
                keep(recovery)
        self._place.call("calm")
        if plan.input in ("slow", "silent"):
            self._place.call("trickled")
        return self._settled(round_) or self._again(round_)

    def _live(self, round_: _Round, blow: Blow) -> tuple[Life, Watch]:
        watch = Watch(round_.job, blow.fault, blow.chosen, blow.pauses, blow.second)
        life = live(round_.job, blow.fault, round_.setup, blow.chosen, watch)
        self._count(life)
        kinds = [event.what for event in blow.weather]
        self.figures.broker_kills += kinds.count("kill")
        if life.end is End.STRUCK and not (isinstance(blow.fault, Call) and blow.fault.effect.startswith("error")):
            self.figures.kills += 1
        self.figures.missed += watch.missed
        self.figures.stops += life.end is End.STOPPED
        return life, watch

    def _count(self, life: Life) -> None:
        self.figures.lives += 1
        self.figures.purging += bool(life.purged)
        self.figures.purged += life.purged or 0

    def _judged(self, life: Life, blow: Blow) -> list[str]:
        """Return what is wrong with how a life ended."""
        if life.end in (End.STRUCK, End.STOPPED):
            return []
        troubled = blow.weather or blow.pauses or isinstance(blow.fault, Call)
        passing = '"retry":true' in life.words or "BrokerError" in life.words
        if life.end is End.FAILED and troubled and passing:
            self.figures.gave_up += 1
            return []
        return [f"{life.end.value}: {life.words}"]

    def _torn(self, round_: _Round, blow: Blow) -> tuple[list[str], bool]:
        """Damage the recovery folder and start; return what is wrong, and whether the round is over.

        A start that is refused must have changed nothing; then the folder is put back.
        """
        assert blow.tear is not None
        recovery, before = Path(round_.job.recovery), position_of(round_.job.store_url)
        whole = recovery.with_name("whole")
        shutil.rmtree(whole, ignore_errors=True)
        shutil.copytree(recovery, whole)
        if not tear(recovery, blow.tear):
            return [], False
        self.figures.tears += 1
        life = live(round_.job, Kill(0.5, True), round_.setup, 0, Watch(round_.job, Kill(0.5, True)))
        self._count(life)
        wrong = self._midway(round_) if life.end is not End.FAILED else self._outside(round_)
        if life.end is End.FAILED:
            self.figures.refused += 1
            if not life.words or "no words" in life.words:
                wrong.append("refused without a word")
            if position_of(round_.job.store_url) != before:
                return wrong, True  # it went on for a while, and then halted: there is no way back
            shutil.rmtree(recovery)
            shutil.copytree(whole, recovery)
        return wrong, False

    def _midway(self, round_: _Round) -> list[str]:
        """Return what is wrong after a life."""
        path = store_path(round_.job.store_url)
        if path is None or not path.exists():
            return []
        return self._outside(round_) or self._ahead(round_)

    def _outside(self, round_: _Round) -> list[str]:
        """Return what is wrong with what can be seen from outside."""
        reference, wrong = round_.input.reference, list[str]()
        if reference is not None:
            wrong, round_.seen = broken_midway(round_.job.store_url, round_.seen, reference)
        return wrong

    def _ahead(self, round_: _Round) -> list[str]:
        """Progress told to the consumer group must not be ahead of what is durable."""
        try:
            durable = interpret(inspect(Path(round_.job.recovery)).snapshots, ["detection.topics"]).channels
        except ForestallError as error:
            return [f"recovery folder: {error.message}"]
        group = Path(round_.job.recovery).parent.name
        told = self._place.call("committed", group, list(topics_of(round_.input.tag)))
        wrong = []
        for (topic, partition), offset in told.items():
            state = durable.get(f"{topic}/{partition}")
            reached = 0 if state is None else state.next_offset
            if offset > reached:
                wrong.append(f"{topic}/{partition}: {offset} committed to the group, durable is {reached}")
        return wrong

    # -- its end ---------------------------------------------------------------------------------------------------

    def _settled(self, round_: _Round) -> list[str]:
        """Run on until all is out; compare."""
        watch = Watch(round_.job, None, settled=lambda: self._done(round_), limit_s=SETTLE_S)
        life = live(round_.job, None, round_.setup, 0, watch)
        self._count(life)
        if life.end is not End.STOPPED:
            return [f"at the end: {life.end.value}: {life.words}"]
        self.figures.settle_s_max = max(self.figures.settle_s_max, watch.took_s)
        reference = round_.input.reference or self._reference(round_.input.tag, self._idle(round_))
        wrong = _but_done(broken_at_end(round_.job.store_url, reference))
        if lag := self._lag(round_):
            wrong.append(f"the consumer group shows a lag of {lag}")
        return wrong + self._topics(round_, reference)

    def _topics(self, round_: _Round, reference: Content) -> list[str]:
        names = list(round_.outputs.values())
        wrong = []
        if names:
            expected = expected_on(round_.outputs, reference.outputs)
            told = self._place.call("read", names)
            wrong = broken_topics(told, expected, complete=True) + gone(round_.told, told)
            round_.told = told
            if left := self._place.call("undecided", names):
                wrong.append(f"transactions are open: {left}")
        return wrong

    def _done(self, round_: _Round) -> bool:
        """Whether all that must come is out, as far as a look tells, and the consumer group tells so, too."""
        if not self._complete(round_):
            return False
        now = time.monotonic()
        if round_.complete_since is None:
            round_.complete_since = now
        return self._lag(round_) == 0 or now - round_.complete_since > LAG_S

    def _complete(self, round_: _Round) -> bool:
        url = round_.job.store_url
        path = store_path(url)
        if path is None or not path.exists():
            return False
        with Store.open(url) as store:
            if store.totals()["records"] < round_.input.records:
                return False
            counts: dict[str, int] = store.counts()
        reference = round_.input.reference
        if reference is None:
            position, now = position_of(url), time.monotonic()
            if position != round_.position:
                round_.position, round_.quiet_since = position, now
            return now - round_.quiet_since > QUIET_S
        if any(counts.get(kind, 0) < count for kind, count in reference.counts.items()):
            return False
        wanted = len(expected_on(round_.outputs, reference.outputs))
        return not round_.outputs or len(self._place.call("read", list(round_.outputs.values()))) >= wanted

    def _lag(self, round_: _Round) -> int:
        topics = list(topics_of(round_.input.tag))
        told = self._place.call("committed", Path(round_.job.recovery).parent.name, topics)
        ends: dict[tuple[str, int], int] = self._place.call("ends", topics)
        return sum(max(end - told.get(place, 0), 0) for place, end in ends.items())

    def _again(self, round_: _Round) -> list[str]:
        """A further life finds nothing to do."""
        before = position_of(round_.job.store_url)
        fault = Stop(0.3)
        life = live(round_.job, fault, round_.setup, 0, Watch(round_.job, fault, limit_s=SETTLE_S))
        self._count(life)
        wrong = [] if life.end is End.STOPPED else [f"{life.end.value}: {life.words}"]
        if position_of(round_.job.store_url) != before:
            wrong.append("something was released")
        if round_.outputs and set(self._place.call("read", list(round_.outputs.values()))) != set(round_.told):
            wrong.append("something was sent to a topic")
        return [f"a further run: {each}" for each in wrong]

    def _idle(self, round_: _Round) -> list[Idle]:
        """Return when partitions were idle, as the job itself has told."""
        with Store.open(round_.job.store_url) as store, store.read() as connection:
            rows = connection.execute(sa.select(outputs.c.body).where(outputs.c.kind == "idle"))
            told: list[dict[str, Any]] = [msgspec.json.decode(bytes(body)) for (body,) in rows]
        return [Idle(each["topic"], each["partition"], each["next_offset"], each["watermark"]) for each in told]

    def _tidy(self, name: str, plan: Plan, round_: _Round, folder: Path) -> None:
        shutil.rmtree(folder)
        names = list(round_.outputs.values())
        self._place.call("delete", [*names, f"{name}.progress"] if names else [])
        if plan.input in ("slow", "silent"):
            self._place.call("forget", name)
            shutil.rmtree(self._folder / f"reference-{name}", ignore_errors=True)


def _but_done(wrong: list[str]) -> list[str]:
    """A live job is never done."""
    return [each for each in wrong if each != "a sink part is not done"]


def _both(first: Damage | None, second: Damage | None) -> Damage | None:
    chosen = [each for each in (first, second) if each is not None]
    if not chosen:
        return None

    def run() -> None:
        for each in chosen:
            each()

    return run
