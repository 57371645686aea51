"""Autonomy: what a remedy has earned by verified outcomes, and loses by failed ones. Pure.

Per agent, remedy and segment of cases there is a *level* — `recommend`, `supervised`, `autonomous` — that begins where
the policy says. It rises to `autonomous` when the lower bound of the share of actions that were seen to help, and the
upper bound of the share of false ones, are as good as the policy asks for. It falls by one when too many fail at a
time, or when the bounds on the other side show that what is asked for is surely not kept. Between the two it stays:
what cannot be told changes nothing. After each change only what is heard afterwards counts, and after a fall nothing is
earned for a probation.

A *false* action changed what it should not have (collateral), or was taken back. One that failed did not help, was
taken back, or could not be carried out. What was never done says nothing. What was earned lapses when nothing is heard
of it for as long as evidence counts.

What counts is a function of the *set* of outcomes: of each action the one with the highest `seq`, and of all actions
those of the latest time, which is the latest that any outcome of the action had. That is so however the outcomes of
actions are mixed and whatever clock told them, as long as those of *one* action come in the order of their `seq`, as
the remediation flow tells them. When they do not, it is so but for one case: the one with the highest `seq` came first,
told an earlier time, and was too old to count; then one before it that is not too old counts in its place.

A good outcome has the time that it tells, so that an old one that is told again is still old. A bad one has that at
which it was heard: no clock that is slow, or stands still, hides it.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from config.clock import TIME_MIN
from config.policies.autonomy import LEVELS, Level, Limit
from config.proportion import wilson
from operators.outcomes import ENDS

Cause = Literal["earned", "failures", "bounds", "lapsed", "probation-over"]
"""Why a level has changed."""
NAMED_MAX = 5
"""Actions that evidence names."""


class Trial(msgspec.Struct, array_like=True, frozen=True, order=True):
    """What came of an action, as far as it bears on a level. Ordered by time."""

    at: int
    action_id: str
    seq: int
    verified: bool
    failed: bool
    false: bool


class Ledger(msgspec.Struct):
    """What is known of one agent, remedy and segment."""

    trials: list[Trial] = []
    """By action the newest, in ascending order; bounded by `Limit.last`."""
    floor: tuple[int, str] = (TIME_MIN, "")
    """Time and action of the latest trial that had to make room: what is not later does not count any more."""
    level: Level | None = None
    """None as long as it never changed: the level that the policy begins with."""
    since: int = TIME_MIN
    """When it changed last; only what is heard later counts."""
    barred_until: int = TIME_MIN
    """Nothing is earned before."""
    changes: int = 0
    holds: dict[str, list[str]] = {}
    """Under the key BROADCAST alone: by agent, what has drifted of what its model reads."""


class Evidence(msgspec.Struct, frozen=True):
    """What the outcomes that count say."""

    outcomes: int
    verified: int
    failed: int
    false_actions: int
    failed_lately: int
    """Within the time that failures are counted in."""
    success_low: float
    success_high: float
    false_low: float
    false_high: float
    against: list[str]
    """The latest actions that failed or were false."""


@dataclass(frozen=True, slots=True)
class Move:
    """A change of level."""

    before: Level
    level: Level
    cause: Cause
    reason: str
    evidence: Evidence


def trial_of(told: Mapping[str, Any], now: int) -> Trial | None:
    """Return what an outcome says of its action, None where that is nothing (yet).

    Args:
        told: Data of the record, by its contract.
        now: When it takes effect, microseconds. No outcome is of later, whatever it says, and no bad one of earlier.
    """
    state, verdict = told["state"], told.get("verdict")
    if state not in ENDS or state == "refused":
        return None
    false = told.get("collateral") is True or state == "compensated"
    verified = verdict == "verified" and state in ("verified", "settled") and not false
    unclear = state in ("verified", "settled", "escalated") and verdict == "inconclusive"
    failed = verdict == "ineffective" or state == "compensated" or (state == "escalated" and not unclear)
    at = now if failed or false or told.get("at") is None else min(told["at"], now)
    return Trial(at, told["action_id"], told["seq"], verified, failed, false)


def note(ledger: Ledger, trial: Trial, limit: Limit, now: int) -> str:
    """Take note of a trial; return why it does not count, "" where it does.

    Args:
        ledger: Changed.
        trial: What came of an action.
        limit: What holds for it.
        now: Event time, microseconds.
    """
    trials = ledger.trials
    known = next((each for each in trials if each.action_id == trial.action_id), None)
    if known is not None:
        if trial.seq <= known.seq:
            if trial.seq < known.seq and trial.at > known.at:
                trials.remove(known)
                insort(trials, msgspec.structs.replace(known, at=trial.at))
            return "this outcome of the action, or a later one, was counted already"
        trial = msgspec.structs.replace(trial, at=max(trial.at, known.at))
    if (trial.at, trial.action_id) <= ledger.floor or trial.at <= now - limit.within:
        return "it is older than the outcomes that count"
    if known is not None:
        trials.remove(known)
    insort(trials, trial)
    while len(trials) > limit.last or trials[0].at <= now - limit.within:
        oldest = trials.pop(0)
        ledger.floor = (oldest.at, oldest.action_id)
    return ""


def begin_anew(ledger: Ledger, limit: Limit, now: int) -> None:
    """Forget what was earned or lost before the instant from which the policy begins anew."""
    if ledger.since < limit.anew_from <= now:
        ledger.level, ledger.since, ledger.barred_until = None, limit.anew_from, TIME_MIN


def level_of(ledger: Ledger, limit: Limit) -> Level:
    """Return how far its remedy may go by what the ledger says."""
    level = limit.start if ledger.level is None else ledger.level
    return min(level, limit.ceiling, key=LEVELS.index)


def lapses_at(ledger: Ledger, limit: Limit) -> int | None:
    """Return when what was earned lapses unless something is heard, None where nothing was: evidence grows old."""
    if LEVELS.index(level_of(ledger, limit)) <= LEVELS.index(limit.start):
        return None
    return max(ledger.since, ledger.trials[-1].at if ledger.trials else TIME_MIN) + limit.within


def evidence_of(ledger: Ledger, limit: Limit, now: int) -> Evidence:
    """Return what the outcomes since the last change say."""
    counted = [each for each in ledger.trials if each.at > max(ledger.since, now - limit.within)]
    verified, failed, false = (sum(getattr(each, name) for each in counted) for name in ("verified", "failed", "false"))
    success = wilson(verified, len(counted), limit.confidence)
    wrong = wilson(false, len(counted), limit.confidence)
    against = [each for each in counted if each.failed or each.false]
    return Evidence(
        outcomes=len(counted),
        verified=verified,
        failed=failed,
        false_actions=false,
        failed_lately=sum(each.failed for each in counted if each.at > now - limit.failures_within),
        success_low=success[0],
        success_high=success[1],
        false_low=wrong[0],
        false_high=wrong[1],
        against=[each.action_id for each in against[-NAMED_MAX:]],
    )


def judge(ledger: Ledger, limit: Limit, now: int, *, held: bool = False) -> Move | None:
    """Return the change of level that is due, None where none is.

    Args:
        ledger: What is known.
        limit: What is asked for.
        now: Event time, microseconds.
        held: Whether something else keeps it from rising beyond `supervised`.
    """
    level, evidence = level_of(ledger, limit), evidence_of(ledger, limit, now)
    rank = LEVELS.index(level)
    if rank > 0:
        lower = LEVELS[rank - 1]
        if evidence.failed_lately >= limit.failures:
            why = f"{evidence.failed_lately} actions failed lately; {limit.failures} are too many."
            return Move(level, lower, "failures", why, evidence)
        if evidence.outcomes >= limit.judged_from and (why := _broken(evidence, limit)):
            return Move(level, lower, "bounds", why, evidence)
    lapsing = lapses_at(ledger, limit)
    if lapsing is not None and now >= lapsing:
        return Move(level, limit.start, "lapsed", "Nothing was heard of its actions for too long.", evidence)
    if now < ledger.barred_until or level == limit.ceiling:
        return None
    if level == "recommend":
        if ledger.level is None:
            return None  # what begins there is never carried out, so that it could show nothing
        return Move(
            level, "supervised", "probation-over", "The probation is over: people may be asked again.", evidence
        )
    if held or missing(ledger, limit, now):
        return None
    why = (
        f"{evidence.verified} of {evidence.outcomes} actions were seen to help (surely {evidence.success_low:.1%}), "
        f"and {evidence.false_actions} were false (at most {evidence.false_high:.1%})."
    )
    return Move(level, "autonomous", "earned", why, evidence)


def apply(ledger: Ledger, move: Move, limit: Limit, now: int) -> None:
    """Let a change of level take place."""
    ledger.level, ledger.since, ledger.changes = move.level, now, ledger.changes + 1
    if move.cause in ("failures", "bounds"):
        ledger.barred_until = now + limit.probation


def missing(ledger: Ledger, limit: Limit, now: int) -> list[str]:
    """Return what is missing for the next level, in words; empty where nothing is, or where there is none."""
    level, evidence = level_of(ledger, limit), evidence_of(ledger, limit, now)
    if level == limit.ceiling:
        return []
    if level == "recommend" and ledger.level is None:
        return [f"it begins there, and is not carried out: {limit.owner} may let it begin higher"]
    found = [] if now >= ledger.barred_until else ["the end of its probation"]
    if level == "recommend":
        return found
    if evidence.verified < limit.verified_min:
        found.append(f"{limit.verified_min - evidence.verified} more verified actions")
    if evidence.success_low < limit.success_min:
        found.append(f"success of surely {limit.success_min:.1%}, not {evidence.success_low:.1%}")
    if evidence.false_high > limit.false_max:
        found.append(f"false actions of at most {limit.false_max:.1%}, not {evidence.false_high:.1%}")
    return found


def _broken(evidence: Evidence, limit: Limit) -> str:
    """Return in what the outcomes surely do not keep what is asked for, "" where that cannot be told."""
    if evidence.success_high < limit.success_min:
        return f"At most {evidence.success_high:.1%} of its actions help; {limit.success_min:.1%} are asked for."
    if evidence.false_low > limit.false_max:
        return f"At least {evidence.false_low:.1%} of its actions are false; {limit.false_max:.1%} are allowed."
    return ""
