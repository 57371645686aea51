"""Rounds on a real broker: a fresh job, some lives that are struck, one that settles, one more that changes nothing."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from dataflows.live import LiveJob
from tests.chaos.kafka_checks import Checks
from tests.chaos.kafka_inputs import Inputs
from tests.chaos.kafka_plans import SLOW_S, Blow, Plan
from tests.chaos.kafka_settings import OUTPUTS, settings_text
from tests.support.chaos import Damage, End, Life, live
from tests.support.chaos_clock import follow
from tests.support.chaos_disk import full_disk, remove_disk, small_disk, unlocked
from tests.support.chaos_live import Watch
from tests.support.chaos_place import Place
from tests.support.chaos_tear import keep, tear
from tests.support.chaos_world import topics_of
from tests.support.faults import Call, Kill, Stop
from tests.support.verdict import position_of

SETTLE_S = 120.0
"""When nothing befalls it any more, a job puts out within so long all that it should; some machines are busy."""
REASON_LENGTH = 120
ELSEWHERE_S = 4.0
"""Wall time for which a job goes on on another host."""


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
    """Lives that ended by themselves while something befell broker or disk, to be started again."""
    reasons: dict[str, int] = field(default_factory=dict)
    """What those said, the beginning of it."""
    tears: int = 0
    refused: int = 0
    """Starts refused for torn recovery files."""
    purging: int = 0
    purged: int = 0
    seconds: float = 0.0
    settle_s_max: float = 0.0
    violations: list[str] = field(default_factory=list)


@dataclass
class _Round:
    checks: Checks
    setup: Damage | None

    @property
    def job(self) -> LiveJob:
        return self.checks.job

    @property
    def folder(self) -> Path:
        return Path(self.job.recovery).parent

    def watch(self, blow: Blow) -> Watch:
        return Watch(self.job, blow.fault, blow.chosen, blow.pauses, blow.second, limit_s=blow.limit_s)


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
        self._inputs = Inputs(folder, place, events)
        _, self._proxied = place.call("addresses")

    def run(self, name: str, plan: Plan, damage: Damage | None = None) -> list[str]:
        """Run a round, perhaps with something switched off; return what was violated."""
        started, figures, folder = time.monotonic(), self.figures, self._folder / name
        round_ = self._prepared(name, plan, damage)
        try:
            wrong = self._round(round_, plan)
        finally:
            if plan.small_disk:
                remove_disk(folder, keep=folder / "kept")
        self._place.call("calm")
        if not wrong:
            shutil.rmtree(folder)
            names = list(round_.checks.outputs.values())
            self._place.call("delete", [*names, f"{name}.progress"] if names else [])
            self._inputs.forget(round_.checks.input)
        figures.rounds += 1
        figures.seconds += time.monotonic() - started
        figures.violations += [f"{name}: {each}" for each in wrong]
        return wrong

    def _prepared(self, name: str, plan: Plan, damage: Damage | None) -> _Round:
        folder = self._folder / name
        folder.mkdir()
        made = self._inputs.of(name, plan)
        silent = plan.input == "silent"
        wanted = {key: f"{key}-{name}" for key in OUTPUTS} if plan.topics else {}
        if wanted:
            self._place.call("make", dict.fromkeys(wanted.values(), 2))
        config = folder / "settings.toml"
        config.write_text(settings_text(self._proxied, list(topics_of(made.tag)), name, wanted, silent))
        where = small_disk(folder) if plan.small_disk else folder
        store, recovery = where / "store.db", folder / "store.db.recovery"
        job = LiveJob(store_url=f"sqlite:///{store}", recovery=str(recovery), config=str(config))
        setup = _both(damage, follow(self._events, SLOW_S) if silent else None)
        return _Round(Checks(self._place, name, made, wanted, job), setup)

    def _round(self, round_: _Round, plan: Plan) -> list[str]:
        for number, blow in enumerate(plan.blows):
            checks = round_.checks
            checks.job = msgspec.structs.replace(round_.job, processes=blow.processes)
            if blow.tear is not None and Path(round_.job.recovery).exists():
                wrong, over = self._torn(round_, blow)
                if wrong or over:
                    return [f"after {blow.tear!r} before life {number}: {each}" for each in wrong]
            self._place.call("plan", blow.weather)
            life, wrong = self._live(round_, blow)
            if not wrong and life.purged is not None:
                wrong = checks.midway()
            if blow.weather:
                self._place.call("calm")
            if wrong:
                return [f"life {number}, {blow}: {each}" for each in wrong]
            if number == 0 and Path(round_.job.recovery).exists():
                keep(Path(round_.job.recovery))
        self._place.call("calm")
        if plan.input in ("slow", "silent"):
            self._place.call("trickled")
        return self._settled(round_) or self._again(round_)

    # -- lives -----------------------------------------------------------------------------------------------------

    def _live(self, round_: _Round, blow: Blow) -> tuple[Life, list[str]]:
        """Run a life; return it, and what was wrong."""
        watch = round_.watch(blow)
        if blow.host:
            watch.meanwhile = lambda supervisor: self._elsewhere(round_, supervisor)
        with full_disk(round_.folder) if blow.full else nullcontext():
            life = self._counted(live(round_.job, blow.fault, round_.setup, blow.chosen, watch))
        figures, fault = self.figures, blow.fault
        figures.broker_kills += [event.what for event in blow.weather].count("kill")
        figures.kills += life.end is End.STRUCK and not (isinstance(fault, Call) and fault.effect.startswith("error"))
        figures.missed += watch.missed
        figures.stops += life.end is End.STOPPED
        return life, watch.wrong + self._judged(life, blow)

    def _counted(self, life: Life) -> Life:
        self.figures.lives += 1
        self.figures.purging += bool(life.purged)
        self.figures.purged += life.purged or 0
        return life

    def _judged(self, life: Life, blow: Blow) -> list[str]:
        """Return what is wrong with how a life ended."""
        if life.end in (End.STRUCK, End.STOPPED):
            return []
        if life.end is End.FAILED and blow.host:
            # What it had opened is fenced; what it opens now is further on than what it recovered.
            return [] if "FENCED" in life.words or "TIME TRAVEL" in life.words else [f"not fenced: {life.words}"]
        troubled = blow.weather or blow.pauses or isinstance(blow.fault, Call)
        passing = '"retry":true' in life.words or "BrokerError" in life.words
        if life.end is End.FAILED and ((troubled and passing) or blow.full):
            self.figures.gave_up += 1
            said = life.words[:REASON_LENGTH]
            self.figures.reasons[said] = self.figures.reasons.get(said, 0) + 1
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
        fault = Kill(0.5, True)
        life = self._counted(live(round_.job, fault, round_.setup, 0, Watch(round_.job, fault)))
        if life.end is not End.FAILED:
            return round_.checks.midway(), False
        self.figures.refused += 1
        wrong = round_.checks.outside()
        if not life.words or "no words" in life.words:
            wrong.append("refused without a word")
        if position_of(round_.job.store_url) != before:
            return wrong, True  # it went on for a while, and then halted: there is no way back
        shutil.rmtree(recovery)
        shutil.copytree(whole, recovery)
        return wrong, False

    def _elsewhere(self, round_: _Round, supervisor: int) -> list[str]:
        """Stop a life, go on with a copy of its recovery folder as another host would, and let the first go on too."""
        os.killpg(supervisor, signal.SIGSTOP)
        try:
            folder = round_.folder / "elsewhere"
            folder.mkdir()
            shutil.copytree(round_.job.recovery, folder / "store.db.recovery")
            there = msgspec.structs.replace(round_.job, recovery=str(folder / "store.db.recovery"))
            fault = Kill(ELSEWHERE_S, True)
            setup = _both(round_.setup, partial(unlocked, folder))
            life = self._counted(live(there, fault, setup, 0, Watch(there, fault, limit_s=SETTLE_S)))
            self.figures.kills += life.end is End.STRUCK
            # The first may have been stopped amid a transaction of the store, for which the second waits in vain.
            if life.end is End.FAILED and '"retry":true' not in life.words:
                return [f"elsewhere: {life.end.value}: {life.words}"]
            round_.checks.job, round_.setup, round_.checks.moved = there, setup, True
            return []
        finally:
            os.killpg(supervisor, signal.SIGCONT)

    # -- the end ---------------------------------------------------------------------------------------------------

    def _settled(self, round_: _Round) -> list[str]:
        """Run on until all is out; compare."""
        checks = round_.checks
        watch = Watch(round_.job, None, settled=checks.settled, limit_s=SETTLE_S)
        life = self._counted(live(round_.job, None, round_.setup, 0, watch))
        if life.end is not End.STOPPED:
            return [f"at the end: {life.end.value}: {life.words}"]
        self.figures.settle_s_max = max(self.figures.settle_s_max, watch.took_s)
        return checks.at_end(checks.input.reference or self._inputs.replayed(checks.input.tag, checks.idle()))

    def _again(self, round_: _Round) -> list[str]:
        """A further life finds nothing to do."""
        before, fault = position_of(round_.job.store_url), Stop(0.3)
        life = self._counted(live(round_.job, fault, round_.setup, 0, Watch(round_.job, fault, limit_s=SETTLE_S)))
        wrong = [] if life.end is End.STOPPED else [f"{life.end.value}: {life.words}"]
        return [f"a further run: {each}" for each in wrong + round_.checks.unchanged(before)]


def _both(first: Damage | None, second: Damage | None) -> Damage | None:
    chosen = [each for each in (first, second) if each is not None]
    if not chosen:
        return None

    def run() -> None:
        for each in chosen:
            each()

    return run
