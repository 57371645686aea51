"""Lives of a job on live topics: such a job ends only when it is made to, so somebody has to decide when."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dataflows.live import LiveJob
from tests.support.chaos import KILLED, End, apart_code, prepared, strike, workers_of
from tests.support.faults import Call, Fault, Hold, Kill, Point, Stop

LOOK_EVERY_S = 0.1
"""Between two looks at what a job has put out."""
MEANWHILE_S = 0.8
"""Wall time since the flow was built, when there is still a lot to do."""
REFUSED = 7
"""Exit code of a second job that was refused as it should be."""


@dataclass(frozen=True)
class Pause:
    """SIGSTOP, and SIGCONT some time later."""

    after_s: float
    """Wall time since the flow was built."""
    seconds: float
    worker: int | None
    """Which worker; None for all."""


@dataclass
class Watch:
    """Sees to it that a life ends: by what is to befall it, when it has settled, or when its time is up.

    Args:
        job: What lives.
        fault: What befalls it; None for nothing.
        chosen: The worker that a `Kill` of a worker is meant for.
        pauses: When workers stand still.
        second: Whether another job is started beside it.
        meanwhile: Done soon after the flow was built, given the supervisor's number; returns what was wrong.
        settled: Tells that it has put out all that it should; asked only when nothing is to befall it.
        limit_s: How long it may take, from the first flow's being built: then it is struck, or has failed to settle.
    """

    job: LiveJob
    fault: Fault | None
    chosen: int = 0
    pauses: tuple[Pause, ...] = ()
    second: bool = False
    meanwhile: Callable[[int], list[str]] | None = None
    settled: Callable[[], bool] = lambda: False
    limit_s: float = 5.0
    wrong: list[str] = field(default_factory=list)
    """What was found that must not be."""
    took_s: float = 0.0
    """How long it took to settle."""
    missed: bool = False
    """Whether it was struck because its time was up."""

    def __call__(self, supervisor: int) -> End:
        """Watch the life of `supervisor` to its end."""
        folder, began = Path(self.job.recovery).parent, time.monotonic()
        built: float | None = None
        look_at = 0.0
        asked, meanwhile = self.second, self.meanwhile
        due = sorted((signal_at for pause in self.pauses for signal_at in _signals(pause)), key=lambda each: each[0])
        while True:
            pid, status = os.waitpid(supervisor, os.WNOHANG)
            if pid:
                return self._ended(os.waitstatus_to_exitcode(status))
            now = time.monotonic()
            if built is None and len(workers_of(folder)) == self.job.processes:
                built = now
            while due and built is not None and now >= built + due[0][0]:
                _, number, worker = due.pop(0)
                _send(number, workers_of(folder), worker)
            if asked and built is not None and now > built + 0.05:
                asked = False
                self._try_second(supervisor, folder)
            if meanwhile is not None and built is not None and now > built + MEANWHILE_S:
                self.wrong += meanwhile(supervisor)
                meanwhile, built = None, time.monotonic()
                continue
            if self._time_to_strike(now, began, built):
                for number, worker in [(number, worker) for _, number, worker in due if number == signal.SIGCONT]:
                    _send(number, workers_of(folder), worker)
                victim = self.fault.victim if isinstance(self.fault, Kill) else "all"
                strike(supervisor, victim, self.chosen, folder)
                return End.STRUCK
            if self.fault is None and now >= look_at and built is not None:
                if self.settled():
                    self.took_s = now - began
                    return self._stop(supervisor, folder)
                look_at = time.monotonic() + LOOK_EVERY_S
                if now - began > self.limit_s:
                    (folder / "settle.failure").write_text(f"not settled within {self.limit_s:.0f} s")
                    strike(supervisor, "all", 0, folder)
                    return End.FAILED
            time.sleep(0.002)

    def _time_to_strike(self, now: float, began: float, built: float | None) -> bool:
        fault = self.fault
        if fault is None:
            return built is None and now - began > 3 * self.limit_s
        if isinstance(fault, Kill):
            since = built if fault.since_flow else began
            if since is not None and now >= since + fault.after_s:
                return True
        self.missed = now - began > 6 * self.limit_s if built is None else now - built > self.limit_s
        return self.missed

    def _ended(self, code: int) -> End:
        if code == 0:
            return End.STOPPED if isinstance(self.fault, Stop) else End.WELL
        meant = isinstance(self.fault, Point | Hold | Call) and code == KILLED
        spoilt = isinstance(self.fault, Call) and self.fault.effect.startswith("error")
        return End.STRUCK if meant or spoilt else End.FAILED

    def _stop(self, supervisor: int, folder: Path) -> End:
        for worker in workers_of(folder):
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGTERM)
        deadline = time.monotonic() + self.limit_s
        while time.monotonic() < deadline:
            pid, status = os.waitpid(supervisor, os.WNOHANG)
            if pid:
                return End.STOPPED if status == 0 else End.FAILED
            time.sleep(0.005)
        for worker in workers_of(folder):
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGUSR1)
        time.sleep(0.5)
        (folder / "stop.failure").write_text(f"not stopped within {self.limit_s:.0f} s")
        strike(supervisor, "all", 0, folder)
        return End.FAILED

    def _try_second(self, supervisor: int, folder: Path) -> None:
        code = apart_code(lambda: _second(self.job), folder)
        # The fault of this life may have ended the first job meanwhile.
        runs = os.waitid(os.P_PID, supervisor, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        if code != REFUSED and runs:
            self.wrong.append(f"a second job was not refused: it ended with {code}")


def _second(job: LiveJob) -> int:
    from config.errors import ForestallError

    try:
        with prepared(job):
            return 0
    except ForestallError as error:
        return REFUSED if "another" in error.message or "in use" in error.message else 1


def _signals(pause: Pause) -> list[tuple[float, int, int | None]]:
    return [
        (pause.after_s, signal.SIGSTOP, pause.worker),
        (pause.after_s + pause.seconds, signal.SIGCONT, pause.worker),
    ]


def _send(number: int, workers: list[int], chosen: int | None) -> None:
    for place, worker in enumerate(workers):
        if chosen is None or place == chosen % len(workers):
            with suppress(ProcessLookupError):
                os.kill(worker, number)
