"""Compares learners of the complaint risk on a table of `forestall features export`, each as it would run online.

Every checkpoint is scored with what was learned by then; when its order is answered, all its checkpoints are learned,
weighted as one example. `python -m benchmarks.risk_models FEATURES.parquet --since 2017-11-01`: log loss of the orders
placed from then on, the share of complaints among the tenth of checkpoints that score highest, size and time.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from river import forest, linear_model, naive_bayes, optim, preprocessing, tree

from detectors.classifier import RecursiveLogistic, sigmoid
from operators.features.vector import NAMES, vector


class Ours:
    """The recursive logistic regression, as River's classifiers are called."""

    def __init__(self) -> None:
        self.model = RecursiveLogistic(len(NAMES))

    def predict_proba_one(self, x: dict[str, float]) -> dict[bool, float]:
        return {True: sigmoid(self.model.log_odds(list(x.values())))}

    def learn_one(self, x: dict[str, float], y: bool, w: float) -> None:
        self.model.learn(list(x.values()), y, w)


class Average:
    """The mean of what several say."""

    def __init__(self, *models: Any) -> None:
        self.models = models

    def predict_proba_one(self, x: dict[str, float]) -> dict[bool, float]:
        given = [model.predict_proba_one(x).get(True, 0.14) for model in self.models]
        return {True: sum(given) / len(given)}

    def learn_one(self, x: dict[str, float], y: bool) -> None:
        for model in self.models:
            model.learn_one(x, y)


def learners(seed: int) -> dict[str, tuple[Any, bool]]:
    """Return the learners, and whether each takes weights."""

    def gradient() -> Any:
        return preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.AdaGrad(0.1), l2=1e-4)

    def adaptive() -> Any:
        return tree.HoeffdingAdaptiveTreeClassifier(grace_period=100, seed=seed)

    bayes: Any = naive_bayes.GaussianNB()  # type: ignore[no-untyped-call]
    return {
        "recursive logistic regression": (Ours(), True),
        "River LogisticRegression": (gradient(), False),
        "River HoeffdingAdaptiveTreeClassifier": (adaptive(), True),
        "mean of River's logistic, tree, naive Bayes": (
            Average(gradient(), adaptive(), bayes),
            False,
        ),
        "River ARFClassifier, 5 trees": (forest.ARFClassifier(n_models=5, seed=seed), True),
    }


def examples(table: pl.DataFrame) -> list[dict[str, float]]:
    rows = []
    for row in table.iter_rows(named=True):
        views = [
            {name.partition(".")[2]: value for name, value in row.items() if name.startswith(view)}
            for view in ("order_progress.", "fleet_history.")
        ]
        rows.append(dict(zip(NAMES, vector(*views), strict=True)))
    return rows


def run(model: Any, weighted: bool, table: pl.DataFrame, rows: list[dict[str, float]], rows_max: int) -> np.ndarray:
    """Return the probability given at each checkpoint, learning answers as they come."""
    moments: list[tuple[datetime, int, Any]] = [(at, 1, i) for i, at in enumerate(table["at"])]
    first = table.filter(pl.col("answered_at").is_not_null()).unique("order")
    moments += [(row["answered_at"], 0, row["order"]) for row in first.iter_rows(named=True)]
    moments.sort(key=lambda moment: (moment[0], moment[1], str(moment[2])))
    orders, complained = table["order"].to_list(), table["complained_at"].is_not_null().to_list()
    waiting: dict[str, list[int]] = defaultdict(list)
    given = np.zeros(len(table))
    for _, is_checkpoint, what in moments:
        if is_checkpoint:
            given[what] = (model.predict_proba_one(rows[what]) or {}).get(True, 0.14)
            waiting[orders[what]].append(what)
            continue
        mine = waiting.pop(what, [])[-rows_max:]
        for i in mine:
            if weighted:
                model.learn_one(rows[i], complained[i], w=1 / len(mine))
            else:
                model.learn_one(rows[i], complained[i])
    return given


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--since", default="2017-11-01")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows-max", type=int, default=24, help="Checkpoints of one order that are learned, the last.")
    parser.add_argument("--only", default="", help="Part of the name of the learners to run.")
    chosen = parser.parse_args()
    table = pl.read_parquet(chosen.table)
    rows = examples(table)
    since = datetime.fromisoformat(chosen.since).replace(tzinfo=UTC)
    begun = table.group_by("order").agg(begun=pl.col("at").min())
    judged = (table.join(begun, on="order", how="left", maintain_order="left")["begun"] >= since).to_numpy()
    judged &= table["answered_at"].is_not_null().to_numpy()
    truth = table["complained_at"].is_not_null().to_numpy()[judged].astype(float)
    weights = (1 / table.select(pl.len().over("order")).to_series().to_numpy())[judged]
    for name, (model, weighted) in learners(chosen.seed).items():
        if chosen.only not in name:
            continue
        begin = time.perf_counter()
        p = run(model, weighted, table, rows, chosen.rows_max)[judged].clip(1e-4, 1 - 1e-4)
        seconds = time.perf_counter() - begin
        loss = -np.average(truth * np.log(p) + (1 - truth) * np.log(1 - p), weights=weights)
        top = p >= np.quantile(p, 0.9)
        size = model.model.size_max if isinstance(model, Ours) else len(pickle.dumps(model))
        row = {
            "learner": name,
            "log_loss": round(float(loss), 4),
            "precision_of_top_tenth": round(float(truth[top].mean()), 3),
            "state_kb": round(size / 1000),
            "us_per_checkpoint": round(1e6 * seconds / len(table)),
        }
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
