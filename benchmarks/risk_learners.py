"""The learners that are compared on the complaint risk, called alike."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, Protocol

from river import forest, linear_model, naive_bayes, optim, preprocessing, tree

from detectors.classifier import RecursiveLogistic, RecursiveLogisticParameters, sigmoid
from operators.features.vector import MEANS, NAMES

START = RecursiveLogisticParameters().start
"""Said by who has learned nothing."""


class Learner(Protocol):
    """Gives a probability, and learns what was."""

    def probability(self, x: list[float]) -> float: ...

    def learn(self, x: list[float], positive: bool, weight: float) -> None: ...

    def correct(self, x: list[float], weight: float) -> None: ...

    def size(self) -> int: ...


class Ours:
    """The recursive logistic regression."""

    def __init__(self) -> None:
        self._model = RecursiveLogistic(len(NAMES), means=MEANS)
        self.learn = self._model.learn
        self.correct = self._model.correct

    def probability(self, x: list[float]) -> float:
        return sigmoid(self._model.log_odds(x))

    def size(self) -> int:
        return self._model.size_max


class OfRiver:
    """A classifier of River. What is corrected is learned once more, as what it was.

    Each checkpoint counts as a whole example: trees split on a number of examples, and take no fractions of one.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def probability(self, x: list[float]) -> float:
        return float((self._model.predict_proba_one(dict(zip(NAMES, x, strict=True))) or {}).get(True, START))

    def learn(self, x: list[float], positive: bool, weight: float) -> None:
        self._model.learn_one(dict(zip(NAMES, x, strict=True)), positive)

    def correct(self, x: list[float], weight: float) -> None:
        self.learn(x, True, weight)

    def size(self) -> int:
        return len(pickle.dumps(self._model))


class Mean:
    """The mean of what several say."""

    def __init__(self, *learners: Learner) -> None:
        self._learners = learners

    def probability(self, x: list[float]) -> float:
        return sum(learner.probability(x) for learner in self._learners) / len(self._learners)

    def learn(self, x: list[float], positive: bool, weight: float) -> None:
        for learner in self._learners:
            learner.learn(x, positive, weight)

    def correct(self, x: list[float], weight: float) -> None:
        for learner in self._learners:
            learner.correct(x, weight)

    def size(self) -> int:
        return sum(learner.size() for learner in self._learners)


def _logistic(seed: int) -> Learner:
    steps = preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.AdaGrad(0.1), l2=1e-4)
    return OfRiver(steps)


def _tree(seed: int) -> Learner:
    return OfRiver(tree.HoeffdingAdaptiveTreeClassifier(grace_period=100, seed=seed))


def _forest(seed: int) -> Learner:
    return OfRiver(forest.ARFClassifier(n_models=5, leaf_prediction="mc", seed=seed))


def _mean(seed: int) -> Learner:
    bayes: Any = naive_bayes.GaussianNB()  # type: ignore[no-untyped-call]
    return Mean(_logistic(seed), _tree(seed), OfRiver(bayes))


LEARNERS: dict[str, tuple[Callable[[int], Learner], bool]] = {
    "recursive logistic regression": (lambda seed: Ours(), False),
    "River LogisticRegression (AdaGrad, scaled)": (_logistic, False),
    "River HoeffdingAdaptiveTreeClassifier": (_tree, True),
    "River ARFClassifier, 5 trees": (_forest, True),
    "mean of River's logistic, tree and naive Bayes": (_mean, True),
    "mean of ours and River's forest": (lambda seed: Mean(Ours(), _forest(seed)), True),
}
"""How each is made of a seed, and whether it draws chance."""
