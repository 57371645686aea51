"""Counts what an outbox holds, and what a writer released, once it is durable there."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

import msgspec

from config.instruments import switched_on
from config.metrics import (
    CASES,
    DECISIONS,
    DRIFTS,
    DURABLE_SECONDS,
    FINDINGS,
    HELD_BACK,
    LEVELS,
    OUTBOX_ENTRIES,
    OUTBOX_OLDEST,
    OUTCOMES,
    RELEASE_SECONDS,
    RELEASED,
    SNAPSHOT_SECONDS,
    STATE_BYTES,
)
from sinks.chain import Entry
from sinks.latency import DELAYS

STORE = "store"
"""What the label `sink` calls the store; topics go by their names."""
MEANT = frozenset({"finding", "case", "decision", "action", "guardrail"})
"""Kinds whose event time says when they should have been known; a late record's or dead letter's does not."""


class _Finding(msgspec.Struct):
    agent: str
    kind: str


class _Guardrail(msgspec.Struct):
    guardrail: str


class _Decision(msgspec.Struct):
    outcome: str
    guardrails: list[_Guardrail] = []


class _Withheld(msgspec.Struct):
    guardrails: list[_Guardrail]


class _Drift(msgspec.Struct):
    feature: str


class _Level(msgspec.Struct):
    agent: str
    cause: str
    level: str


class _Result(msgspec.Struct):
    verified: bool = False
    failed: bool = False
    false: bool = False
    ignored: str = ""

    @property
    def name(self) -> str:
        named = ("ignored", "false", "failed", "verified")
        return next((name for name in named if getattr(self, name)), "unclear")


_finding = msgspec.json.Decoder(_Finding).decode
_decision = msgspec.json.Decoder(_Decision).decode
_drift = msgspec.json.Decoder(_Drift).decode
_withheld = msgspec.json.Decoder(_Withheld).decode
_level = msgspec.json.Decoder(_Level).decode
_result = msgspec.json.Decoder(_Result).decode


def count_released(sink: str, entries: Sequence[Entry], began: float) -> None:
    """Count a release that has just become durable.

    Args:
        sink: `STORE`, or the name of a topic.
        entries: What was not there before.
        began: `time.perf_counter()` when it was begun.
    """
    if not switched_on():
        return
    RELEASE_SECONDS.observe(time.perf_counter() - began, sink)
    for kind, count in Counter(entry.kind for entry in entries).items():
        RELEASED.add(count, sink, kind)
    if sink == STORE:
        for entry in entries:
            _count_meaning(entry)
        DELAYS.observe((entry.at for entry in entries if entry.kind in MEANT), time.time_ns() // 1000)


def _count_meaning(entry: Entry) -> None:
    if entry.kind == "finding":
        finding = _finding(entry.body)
        FINDINGS.add(1, finding.agent, finding.kind)
    elif entry.kind == "decision":
        decision = _decision(entry.body)
        DECISIONS.add(1, decision.outcome)
        for each in decision.guardrails:
            HELD_BACK.add(1, each.guardrail, "decision")
    elif entry.type == "guardrail.withheld":
        for each in _withheld(entry.body).guardrails:
            HELD_BACK.add(1, each.guardrail, "action")
    elif entry.type == "drift.begun":
        DRIFTS.add(1, _drift(entry.body).feature)
    elif entry.type == "autonomy.changed":
        told = _level(entry.body)
        LEVELS.add(1, told.agent, told.cause, told.level)
    elif entry.kind == "autonomy":
        OUTCOMES.add(1, _result(entry.body).name)
    elif entry.kind == "case":
        CASES.add(1, entry.type.partition(".")[2])


class OutboxMetrics:
    """Metrics of one outbox.

    Args:
        part: Its sink part.
    """

    def __init__(self, part: str) -> None:
        self._part = part
        self._written: deque[tuple[int, float]] = deque()
        """The last number and the wall time, seconds, of every write that is not released."""
        self._bytes = 0

    def holds(self, base_seq: int, seq: int) -> None:
        """Say what it holds: the entries after `base_seq` up to `seq`."""
        if not switched_on():
            return
        written = self._written
        if seq > (written[-1][0] if written else base_seq):
            written.append((seq, time.time()))
        while written and written[0][0] <= base_seq:
            written.popleft()
        OUTBOX_ENTRIES.set(seq - base_seq, self._part)
        OUTBOX_OLDEST.set(written[0][1] if written else 0, self._part)

    def saved(self, size: int, seconds: float) -> None:
        """Count a snapshot of so many bytes."""
        SNAPSHOT_SECONDS.observe(seconds, "outbox")
        STATE_BYTES.add(size - self._bytes, "outbox")
        self._bytes = size


def until_durable(durable: Callable[[], None]) -> Callable[[], None]:
    """Return `durable`, which will also tell how long it took until it was called."""
    began = time.perf_counter()

    def called() -> None:
        DURABLE_SECONDS.observe(time.perf_counter() - began)
        durable()

    return called
