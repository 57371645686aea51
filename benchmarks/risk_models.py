"""Compares learners of the complaint risk on a recording, each scored and taught in the order in which things happened.

`python -m benchmarks.risk_models RECORDING --since 2017-11-01 --only forest`: one line of JSON per learner and run. All
are followed by the same calibration and judged at the thresholds of the manifest. Who draws chance runs with three
seeds; ours without each third of the customers in turn (a jackknife). `--ablate` leaves out groups of numbers instead.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.risk_examples import CORRECT, LEARN, SCORE, Examples, Floats, examples_of
from benchmarks.risk_learners import LEARNERS, Learner
from config.agents.load import load_manifests
from dataflows.cli.instant import Instant
from detectors.classifier import ODDS_MAX, Platt
from operators.agents.experience import ComplaintRiskParameters
from operators.features.vector import NAMES
from replay.backtest.orders import point
from replay.backtest.sweep import placed_since

GROUPS: dict[str, tuple[str, ...]] = {
    "days left": ("left_days", "no items, days"),
    "ship-by": ("ship_overdue",),
    "transit and lane": ("transit_", "lane_slack", "lane_late"),
    "delivery": ("delivered_late", "delivered_after", "since_delivered"),
    "basket": ("many ", "more than two", "no items"),
    "sellers' history": ("seller_", "bad seller"),
    "category's history": ("category_",),
    "shop's history": ("complaints", "late "),
}
"""Groups of numbers, by the beginnings of their names."""
EVERY = 10_000
"""Moments between two signs of progress."""


def run(learner: Learner, examples: Examples, rows_max: int, name: str) -> tuple[Floats, float, float]:
    """Return the calibrated probability of each checkpoint, and µs per score and per example learned."""
    platt, numbers = Platt(), examples.numbers.tolist()
    given, spent = np.full(len(numbers), np.nan), {SCORE: 0.0, LEARN: 0.0}
    odds, counts = np.zeros(len(numbers)), {SCORE: 0, LEARN: 0}
    for turn, (_, what, order, row) in enumerate(examples.moments):
        if turn % EVERY == 0:
            sys.stderr.write(f"\r{name}: {turn:,} of {len(examples.moments):,}")
        begun = time.perf_counter()
        if what == SCORE:
            raw = min(max(learner.probability(numbers[row]), 1e-9), 1 - 1e-9)
            spent[SCORE], counts[SCORE] = spent[SCORE] + time.perf_counter() - begun, counts[SCORE] + 1
            odds[row] = min(max(float(np.log(raw / (1 - raw))), -ODDS_MAX), ODDS_MAX)
            given[row] = platt.probability(odds[row])
            continue
        mine = [row for row in examples.rows[order] if not np.isnan(given[row])][-rows_max:]
        complaint = examples.truth[order].complained_at is not None and (
            what == CORRECT or examples.truth[order].answered_at == examples.moments[turn][0]
        )
        for row in mine:
            if what == CORRECT:
                learner.correct(numbers[row], 1 / len(mine))
            else:
                learner.learn(numbers[row], complaint, 1 / len(mine))
        spent[LEARN], counts[LEARN] = spent[LEARN] + time.perf_counter() - begun, counts[LEARN] + len(mine)
        for row in mine:
            if what == CORRECT:
                platt.correct(odds[row], 1 / len(mine))
            else:
                platt.learn(odds[row], complaint, 1 / len(mine))
    sys.stderr.write("\r" + " " * 79 + "\r")
    score_us, learn_us = (1e6 * spent[what] / max(counts[what], 1) for what in (SCORE, LEARN))
    return given, score_us, learn_us


def judged(given: Floats, examples: Examples, since: int) -> dict[str, Any]:
    """Return how good the probabilities are of the orders placed from `since` on, and what is found by them."""
    kept = placed_since(examples.truth, since)
    first: dict[str, int] = {}
    scores, truths, weights = [], [], []
    for order, rows in examples.rows.items():
        outcome = kept.get(order)
        if outcome is None:
            continue
        for row in rows:
            judgement = examples.judgements[row]
            if given[row] >= judgement.needed:
                first.setdefault(order, judgement.at)
        answered_at = outcome.answered_at
        before = [row for row in rows if answered_at is not None and examples.judgements[row].at < answered_at]
        scores += [given[row] for row in before]
        truths += [outcome.complained_at is not None] * len(before)
        weights += [1 / max(len(before), 1)] * len(before)
    at_point = point(kept, first)
    p, y, w = np.clip(scores, 1e-6, 1 - 1e-6), np.array(truths), np.array(weights)
    return {
        "log_loss": round(float(-np.average(np.where(y, np.log(p), np.log(1 - p)), weights=w)), 4),
        "auc": round(_auc(p, y, w), 4),
        "precision": at_point["precision"],
        "recall": at_point["recall"],
        "lead_hours": at_point["lead_hours"]["p50"],
    }


def _auc(p: Floats, y: np.ndarray, w: Floats) -> float:
    """Return the chance that an order complained of scores higher than another, orders counting once each."""
    by = np.argsort(p, kind="stable")
    p, positive, negative = p[by], (w * y)[by], (w * ~y)[by]
    # Of equal scores half counts.
    _, starts = np.unique(p, return_index=True)
    up, down = (np.add.reduceat(column, starts) for column in (positive, negative))
    below = np.concatenate([[0.0], np.cumsum(down)[:-1]])
    return float((up * (below + down / 2)).sum() / (positive.sum() * negative.sum()))


def _without(examples: Examples, starts: Sequence[str]) -> Examples:
    numbers = examples.numbers.copy()
    numbers[:, [place for place, name in enumerate(NAMES) if name.startswith(tuple(starts))]] = 0.0
    return replace(examples, numbers=numbers)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.risk_models", description=__doc__)
    parser.add_argument("recording", type=Path)
    instant = Instant()
    parser.add_argument(
        "--since",
        type=lambda text: instant.convert(text, None, None),
        default="2017-11-01",
        metavar="TIME",
        help="judge the orders placed from then on",
    )
    parser.add_argument("--only", default="", help="part of the name of the learners to run")
    parser.add_argument("--runs", type=int, nargs="+", default=[1, 2, 3], help="seeds, or thirds left out")
    parser.add_argument("--rows-max", type=int, default=24, help="checkpoints of one order that are learned, the last")
    parser.add_argument("--ablate", action="store_true", help="our learner without each group of numbers")
    return parser.parse_args()


def main() -> None:
    """Run what is asked for, and print a line for each run."""
    asked = _asked()
    parameters = load_manifests()["experience"].parameters("complaint_risk", ComplaintRiskParameters)
    examples, since = examples_of(asked.recording, parameters), asked.since
    if asked.ablate:
        make, _ = LEARNERS["recursive logistic regression"]
        for group, starts in {"nothing": (), **GROUPS}.items():
            given, *_ = run(make(0), _without(examples, starts) if starts else examples, asked.rows_max, group)
            _print({"without": group} | judged(given, examples, since))
        return
    for name, (make, chance) in LEARNERS.items():
        if asked.only not in name:
            continue
        for number in [0, *asked.runs]:
            if chance and number == 0:
                continue
            part = examples if chance or number == 0 else examples.without(number - 1, 3)
            learner = make(number)
            given, score_us, learn_us = run(learner, part, asked.rows_max, f"{name}, run {number}")
            costs = {"score_us": round(score_us), "learn_us": round(learn_us), "state_bytes": learner.size()}
            _print({"learner": name, "run": number} | judged(given, part, since) | costs)


def _print(row: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
