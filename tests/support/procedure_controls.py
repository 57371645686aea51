"""What can be taken away from a world, or broken in it, and has to be found out: for `procedure_check`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import count
from typing import Any
from unittest.mock import patch

import msgspec

from config.clock import TIME_MIN
from config.policies.approvals import Approvals
from config.policies.autonomy import Autonomy, Limit
from operators import autonomy, autonomy_stage, standing
from operators.autonomy_stage import AutonomyLogic
from operators.guard import GuardLogic


def _nothing(*_: object) -> None:
    return None


def _judged_by(change: Callable[[Limit], Limit]) -> Callable[..., autonomy.Move | None]:
    """Return what judges by another limit."""

    def judge(ledger: autonomy.Ledger, limit: Limit, now: int, *, held: bool = False) -> autonomy.Move | None:
        return autonomy.judge(ledger, change(limit), now, held=held)

    return judge


def _never_fails(ledger: autonomy.Ledger, limit: Limit, now: int, *, held: bool = False) -> autonomy.Move | None:
    move = autonomy.judge(ledger, limit, now, held=held)
    return None if move is None or move.cause in ("failures", "bounds") else move


def _anything_counts() -> Callable[..., str]:
    numbers = count()

    def note(ledger: autonomy.Ledger, trial: autonomy.Trial, limit: Limit, now: int) -> str:
        one = msgspec.structs.replace(trial, action_id=f"{trial.action_id} {next(numbers)}")
        return autonomy.note(ledger, one, limit, now)

    return note


def _trial_without_collateral(told: Mapping[str, Any], now: int) -> autonomy.Trial | None:
    return autonomy.trial_of({**told, "collateral": None}, now)


_limit = Autonomy.limit


def _never_anew(said: Autonomy, agent: str, remedy: str, segment: str) -> Limit | None:
    limit = _limit(said, agent, remedy, segment)
    return None if limit is None else replace(limit, anew_from=TIME_MIN)


def _good_data(bundle: Any, verdict: Any, facts: Any, quality: object, standings: Any, now: int) -> Any:
    return standing.reach(bundle, verdict, facts, 1.0, standings, now)


CONTROLS: Mapping[str, Callable[[], AbstractContextManager[Any]]] = {
    "consent": lambda: patch("operators.approval_step.judge", _nothing),
    "stale": lambda: patch("operators.approval_step.judge_state", _nothing),
    "people": lambda: patch.object(Approvals, "people", lambda *_, **__: 1),
    "flags": lambda: patch("operators.restrain.restraint", _nothing),
    "case": lambda: patch("operators.restrain._by_case", lambda said, *_: (said.outcome, said.restraint)),
    "modes": lambda: patch("operators.policy.tightest", _nothing),
    "sources": lambda: patch("operators.policy._wants_sources", lambda *_: False),
    "customer": lambda: patch("operators.restrain.judge", lambda *_: []),
    "fleet": lambda: patch.object(GuardLogic, "_judge", _nothing),
    "levels": lambda: patch("operators.restrain.within", lambda _, outcome: outcome),
    "samples": lambda: patch.object(autonomy_stage, "judge", _judged_by(lambda one: replace(one, verified_min=1))),
    "bounds": lambda: patch.object(autonomy, "wilson", lambda hits, trials, _: (hits / (trials or 1),) * 2),
    "demotion": lambda: patch.object(autonomy_stage, "judge", _never_fails),
    "failures": lambda: patch.object(autonomy_stage, "judge", _judged_by(lambda one: replace(one, failures=999))),
    "probation": lambda: patch.object(
        autonomy_stage, "apply", lambda ledger, move, limit, now: autonomy.apply(ledger, move, _lenient(limit), now)
    ),
    "lapse": lambda: patch.object(autonomy_stage, "lapses_at", _nothing),
    "twice": lambda: patch.object(autonomy_stage, "note", _anything_counts()),
    "collateral": lambda: patch.object(autonomy_stage, "trial_of", _trial_without_collateral),
    "segment": lambda: patch.object(standing, "key_of", lambda agent, remedy, _: f"{agent}/{remedy}"),
    "agent": lambda: patch.object(standing, "key_of", lambda _, remedy, segment: f"{remedy}/{segment}"),
    "anew": lambda: patch.object(Autonomy, "limit", _never_anew),
    "drift": lambda: patch.object(AutonomyLogic, "_on_drift", _nothing),
    "quality": lambda: patch("operators.restrain.reach", _good_data),
    "job": nullcontext,
    "amount": nullcontext,
    "undecided": nullcontext,
    "held": nullcontext,
}
"""See `ProcedureWorld` for the last ones, which are broken there."""


def _lenient(limit: Limit) -> Limit:
    return replace(limit, probation=TIME_MIN)
