"""Levels of autonomy against an oracle that shares no code with them: it keeps everything, and works out anew at each
outcome what there is to be said.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from config.clock import DAY, HOUR
from config.policies.autonomy import Limit
from operators.autonomy import Ledger, Trial, apply, judge, level_of, note, trial_of
from tests.support.autonomy import LIMIT
from tests.support.examples import examples

RANKS = ["recommend", "supervised", "autonomous"]


@dataclass(frozen=True)
class Told:
    """An outcome as it is told."""

    hours: int
    """After the one before."""
    action: int
    state: str
    verdict: str | None
    collateral: bool | None


TOLD = st.builds(
    Told,
    hours=st.sampled_from([1, 1, 1, 5, 30, 100]),
    action=st.integers(0, 60),
    state=st.sampled_from(
        ["settled"] * 6 + ["verified", "dispatched", "ineffective", "refused", "escalated", "compensated"]
    ),
    verdict=st.sampled_from(["verified"] * 5 + ["ineffective", "inconclusive", None]),
    collateral=st.sampled_from([False] * 5 + [None, True]),
)
LIMITS = st.builds(
    lambda **given: replace(LIMIT, **given),
    start=st.sampled_from(RANKS),
    last=st.integers(5, 12),
    within=st.sampled_from([3 * DAY, 30 * DAY]),
    verified_min=st.integers(1, 5),
    success_min=st.sampled_from([0.3, 0.6]),
    false_max=st.sampled_from([0.25, 0.6]),
    failures=st.integers(1, 4),
    failures_within=st.sampled_from([6 * HOUR, 3 * DAY]),
    judged_from=st.integers(1, 8),
    probation=st.sampled_from([2 * HOUR, 4 * DAY]),
)


class Oracle:
    """Levels by the book: every record is kept, and the bounds are found by looking for them."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.records: list[tuple[int, int, int, Told]] = []
        """(time, action, number, what was told)"""
        self.level, self.moved, self.since, self.barred = RANKS.index(limit.start), False, -(2**60), -(2**60)
        self.gone: set[int] = set()

    def hear(self, now: int, told: Told, number: int) -> None:
        if told.state in ("settled", "verified", "compensated", "escalated"):
            self.records.append((now, told.action, number, told))
            self.move(now)

    def counted(self, now: int) -> list[tuple[int, Told]]:
        newest: dict[int, tuple[int, int, int, Told]] = {}
        for record in self.records:
            newest[record[1]] = record
        latest = sorted((at, f"{action:032d}", told) for at, action, _, told in newest.values())[-self.limit.last :]
        return [(at, told) for at, _, told in latest if at > max(self.since, now - self.limit.within)]

    def move(self, now: int) -> None:
        limit, counted = self.limit, self.counted(now)
        helped = sum(
            told.verdict == "verified" and not told.collateral and told.state in ("settled", "verified")
            for _, told in counted
        )
        failed = [at for at, told in counted if self.failed(told)]
        false = sum(bool(told.collateral) or told.state == "compensated" for _, told in counted)
        change = 0
        if self.level > 0:
            lately = [at for at in failed if at > now - limit.failures_within]
            enough = len(counted) >= limit.judged_from
            broken = (
                bound(helped, len(counted), 1) < limit.success_min or bound(false, len(counted), -1) > limit.false_max
            )
            change = -1 if len(lately) >= limit.failures or (enough and broken) else 0
        if change == 0 and now >= self.barred:
            if self.level == 0:
                change = int(self.moved)
            elif self.level == 1:
                sure = bound(helped, len(counted), -1) >= limit.success_min
                clean = bound(false, len(counted), 1) <= limit.false_max
                change = int(sure and clean and helped >= limit.verified_min)
        if change:
            self.level, self.moved, self.since = self.level + change, True, now
            self.barred = now + limit.probation if change < 0 else self.barred

    @staticmethod
    def failed(told: Told) -> bool:
        if told.state == "escalated":
            return told.verdict != "inconclusive"
        return told.state == "compensated" or told.verdict == "ineffective"


def bound(hits: int, trials: int, side: int) -> float:
    """Return the share at which the score test no longer tells what was counted from chance, by halving."""
    if trials == 0:
        return 0.0 if side < 0 else 1.0
    z, share = NormalDist().inv_cdf(LIMIT.confidence), hits / trials
    inside, outside = share, (0.0 if side < 0 else 1.0)
    if abs(share - outside) <= z * (outside * (1 - outside) / trials) ** 0.5:
        return outside
    for _ in range(60):
        middle = (inside + outside) / 2
        near = abs(share - middle) <= z * (middle * (1 - middle) / trials) ** 0.5
        inside, outside = (middle, outside) if near else (inside, middle)
    return round(inside, 9)


def data(told: Told, seq: int, at: int) -> dict[str, Any]:
    given = {"verdict": told.verdict, "collateral": told.collateral}
    return {"action_id": f"{told.action:032d}", "state": told.state, "seq": seq, "at": at} | given


@examples(300)
@given(limit=LIMITS, told=st.lists(TOLD, max_size=60))
def test_levels_are_those_of_an_oracle(limit: Limit, told: list[Told]) -> None:
    ledger, oracle, now = Ledger(), Oracle(limit), 0
    for number, each in enumerate(told):
        now += each.hours * HOUR
        oracle.hear(now, each, number)
        trial = trial_of(data(each, number + 1, now), now)
        if trial is not None:
            assert note(ledger, trial, limit, now) == ""
            move = judge(ledger, limit, now)
            if move is not None:
                apply(ledger, move, limit, now)
        assert level_of(ledger, limit) == RANKS[oracle.level]
        assert len(ledger.trials) <= limit.last


@dataclass(frozen=True)
class Heard:
    """An outcome whose clock says anything."""

    action: int
    hours: int
    state: str
    collateral: bool


HEARD = st.builds(
    Heard, st.integers(0, 12), st.integers(-30, 30), st.sampled_from(["settled", "settled", "escalated"]), st.booleans()
)


def heard(all_: list[Heard], now: int) -> list[tuple[int, Trial]]:
    """Return (action, what each outcome says of it), numbered per action as they are told."""
    seqs: dict[int, int] = {}
    made = []
    for each in all_:
        seqs[each.action] = seqs.get(each.action, 0) + 1
        said = Told(0, each.action, each.state, "verified", each.collateral)
        trial = trial_of(data(said, seqs[each.action], each.hours * HOUR), now)
        assert trial is not None
        made.append((each.action, trial))
    return made


def in_the_end(trials: list[tuple[int, Trial]], last: int, since: int) -> list[Trial]:
    """Return what is to count when all are heard: the newest of each action, as late as any of it."""
    newest: dict[int, Trial] = {}
    for action, trial in sorted(trials, key=lambda each: each[1].seq):
        latest = max(trial.at, newest[action].at if action in newest else trial.at)
        newest[action] = Trial(latest, trial.action_id, trial.seq, trial.verified, trial.failed, trial.false)
    return sorted(trial for trial in newest.values() if trial.at > since)[-last:]


@examples(200)
@given(told=st.lists(HEARD, max_size=40), last=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_however_actions_are_mixed_and_whatever_clocks_say_the_same_counts(
    told: list[Heard], last: int, seed: int
) -> None:
    limit, now, chance = replace(LIMIT, last=last, within=20 * HOUR), 20 * HOUR, random.Random(seed)
    trials = heard(told, now)
    waiting = {action: [trial for of, trial in trials if of == action] for action, _ in trials}
    mixed = []
    while waiting:
        action = chance.choice(sorted(waiting))
        mixed.append(waiting[action].pop(0))
        # Any that came before may come once more, in any order.
        mixed += chance.sample(mixed, min(len(mixed), chance.choice([0, 0, 1])))
        waiting = {of: left for of, left in waiting.items() if left}
    ledger = Ledger()
    for trial in mixed:
        note(ledger, trial, limit, now)
    assert ledger.trials == in_the_end(trials, last, 0)


@examples(200)
@given(told=st.lists(HEARD, max_size=40), seed=st.integers(0, 2**32))
def test_where_nothing_is_too_old_the_same_counts_in_any_order(told: list[Heard], seed: int) -> None:
    limit, now = replace(LIMIT, last=40, within=90 * DAY), 20 * HOUR
    trials = heard(told, now)
    shuffled = [trial for _, trial in trials] * 2
    random.Random(seed).shuffle(shuffled)
    ledger = Ledger()
    for trial in shuffled:
        note(ledger, trial, limit, now)
    assert ledger.trials == in_the_end(trials, 40, -(2**60))
