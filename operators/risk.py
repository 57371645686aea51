"""The risk stage: how likely each order ends in a complaint, learned from what becomes of all orders.

Key: a model. In: from the journeys, `checkpoint` events (an order at an instant of its life, and what has just happened
to it) and `label` events (its customer answered, or it was cancelled). Out: the finding `order.complaint_likely` of the
agent `experience`, to `case` by customer; its end when the customer is content or has complained, or stays silent. What
drifts of the numbers it reads (`feature_drift`) is released, and told `autonomy`.

It scores before it learns: a checkpoint is judged with what was known by then, and kept; when the outcome is known,
weeks later, all checkpoints of the order are learned, together as one example. What is scored is therefore never what
was learned from, and the calibration curve is that of the model as it was at the time (progressive validation, with
delay).

Silence is an outcome: of many orders nobody ever says a word, and a model of those who do takes the rest for like them.
But complaints come within days, and that none will is certain only after two months; a model that waited so long would
know complainers first (delayed feedback: Chapelle, "Modeling delayed feedback in display advertising", KDD 2014). So
silence counts as content a week after the delivery, when nearly all who complain have, and the example is corrected if
a complaint comes all the same, as in Ktena et al., "Addressing delayed feedback for continuous training with neural
networks in CTR prediction", RecSys 2019.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, NamedTuple

from config.clock import DAY, to_text
from config.errors import RecoveryError, SettingsError
from config.events import RELEASE, Event
from config.features.load import FeatureView
from config.identity import derived_id
from detectors.classifier import Platt, RecursiveLogistic
from operators.agents.experience import ComplaintRiskParameters, Judged, end_of, finding_of
from operators.feature_drift import FeatureDrift, FeatureDriftParameters, fresh
from operators.features import fleet_history, order_progress
from operators.features.checkpoints import CHECKPOINT, LABEL, MODEL
from operators.features.fleet_history import LATE, SHIPPED_LATE, History
from operators.features.order_progress import Row
from operators.features.vector import MEANS, NAMES, vector
from operators.journey_state import Order
from operators.logic import Context
from operators.risk_state import BANDS, Band, Pending, RiskState, Seen, packed, unpacked

SWEEP = "sweep"
COMPLAINT_MAX = 2
"""A review of this score or less (of 1 to 5) is a complaint."""
ROWS_MAX = 24
"""Checkpoints of one order that are learned from."""


class Judgement(NamedTuple):
    """What was made of one order at one checkpoint."""

    order: str
    customer: str
    at: int
    progress: Row
    history: Row
    probability: float
    needed: float
    """The probability from which an order is reported at this stage of its life."""


class RiskLogic:
    """Judges, learns and keeps track.

    Args:
        views: The feature views that the model reads, by name.
        parameters: How it learns, and from when on it speaks.
        drift: When one of the numbers that it reads has drifted.
    """

    name = "risk"
    state_type = RiskState
    state_version = 2
    dedupe_ttl = 0
    """What comes in was made by the journeys, each once."""

    def __init__(
        self,
        views: dict[str, FeatureView],
        parameters: ComplaintRiskParameters,
        drift: FeatureDriftParameters | None = None,
    ) -> None:
        self._parameters, self._drift = parameters, FeatureDrift(drift or FeatureDriftParameters())
        self._progress = views[order_progress.VIEW].names
        self._history = views[fleet_history.VIEW].names
        self._check()
        self._model = RecursiveLogistic(len(NAMES), parameters.learner, means=MEANS)
        self._platt = Platt()
        self._fresh = (self._model.encode(), self._platt.encode())
        self._identity = derived_id(
            "complaint-risk", type(self._model).__name__, repr(parameters.learner), *NAMES, repr(MEANS),
            *(views[name].hash for name in (order_progress.VIEW, fleet_history.VIEW)),
        )  # fmt: skip
        self._due = parameters.label_us

    def _check(self) -> None:
        rows = order_progress.order_progress(Order(0, 0), 0), fleet_history.fleet_history(History(), [], [], "", 0)
        for view, names, row in zip(
            (order_progress.VIEW, fleet_history.VIEW), (self._progress, self._history), rows, strict=True
        ):
            if names != tuple(row):
                raise SettingsError(
                    f"config/features/{view}.yaml: features are {', '.join(names)}, the code has {', '.join(row)}.",
                    remedy="Name in the view what its code computes, in that order.",
                )

    observer: Callable[[Judgement], None] | None = None
    """Told of each checkpoint judged: for back-tests and exports, which run the stage outside a job."""

    def new_state(self, key: str) -> RiskState:
        """Return the state of a model that has learned nothing."""
        return RiskState()

    def on_event(self, key: str, state: RiskState, event: Event, context: Context) -> None:
        """Judge a checkpoint, or learn what became of an order.

        Raises:
            ValueError: the event is of another type: the stages are wired wrongly.
        """
        if event.type == CHECKPOINT:
            self._count_facts(state, event)
            if event.data["scored"]:
                self._judge(state, event, context)
        elif event.type == LABEL:
            self._answered(state, event.data["entry"], event.data["score"], event.data["in_time"], context)
        else:
            raise ValueError(f"stage {self.name} takes checkpoints and labels, not {event.type}")

    def on_timer(self, key: str, state: RiskState, timer: str, context: Context) -> None:
        """Learn of the customers who have stayed silent; forget the orders of which it is final."""
        state.swept = False
        for entry in [entry for entry, pending in state.pending.items() if pending.due_at <= context.now]:
            pending = state.pending[entry]
            if pending.silent:
                del state.pending[entry]
                continue
            self._end(pending, "nothing was heard of the customer", context)
            self._learn(state, pending, complaint=False)
            pending.silent, pending.reported = True, ""
            pending.due_at = max(context.now, pending.final_at)
        self._set_sweep(state, context)

    def on_partial(self, key: str, state: RiskState, partial: Any, context: Context) -> None:
        """Refuse: the model learns from events alone.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"stage {self.name} takes no partials")

    def migrate(self, version: int, state: Any) -> RiskState:
        """Refuse: no older version was released.

        Raises:
            RecoveryError: always.
        """
        raise RecoveryError(
            f"stage {self.name}: recovered state is of version {version}, which was never released.",
            remedy="Start with a new store and recovery folder.",
        )

    def _count_facts(self, state: RiskState, event: Event) -> None:
        data, facts, history = event.data, event.data["facts"], state.history
        if "shipped_late" in facts:
            history.count(data["sellers"], SHIPPED_LATE, facts["shipped_late"], event.at)
        if "transit_days" in facts:
            history.transit(data["lanes"], facts["transit_days"], event.at)
        if "late" in facts:
            history.count([*data["sellers"], *data["lanes"]], LATE, facts["late"], event.at)

    def _judge(self, state: RiskState, event: Event, context: Context) -> None:
        data, now = event.data, event.at
        entities = data["sellers"], data["lanes"], data["category"]
        history = fleet_history.fleet_history(state.history, *entities, now, data["products"])
        progress = data["progress"]
        model, platt = self._load(state)
        numbers = vector(progress, history)
        log_odds = model.log_odds(numbers)
        probability, needed = platt.probability(log_odds), self._parameters.needed(progress)
        pending = state.pending.get(data["entry"])
        if pending is None or pending.silent:
            final_at = max(now, data["promised_at"] or now) + self._due
            pending = Pending(
                data["order"], data["customer"], data["since"], final_at, final_at, *entities, data["products"]
            )
            self._remember(state, data["entry"], pending)
        if len(pending.rows) < ROWS_MAX:
            if data["entry"] in state.pending:
                before = unpacked(pending.rows[-1], self._progress, self._history).progress if pending.rows else None
                counted = fresh(order_progress.VIEW, progress, before)
                for drift in self._drift.watch(MODEL, state.drift, counted, now):
                    context.emit(RELEASE, drift)
                    context.emit("autonomy", drift)
            pending.rows = [*pending.rows, packed(Seen(progress, history, log_odds, probability))]
        delivered_days = progress["since_delivered_days"]
        if delivered_days is not None:
            pending.due_at = max(now, now - int(delivered_days * DAY) + self._parameters.silent_us)
        self._set_sweep(state, context)
        if self.observer is not None:
            self.observer(Judgement(data["order"], data["customer"], now, progress, history, probability, needed))
        if pending.reported or state.complaints < self._parameters.complaints_min:
            return
        if probability < needed:
            return
        pending.reported, pending.causes = to_text(now), [*data["sellers"], *data["lanes"]]
        self._remember(state, data["entry"], pending)
        judged = Judged(probability, numbers, model.contributions(numbers), progress, history, self._hash(state))
        finding = finding_of(data, pending.reported, now, judged, self._parameters.early_until)
        context.emit("case", finding.event(data["customer"]))

    def _answered(self, state: RiskState, entry: str, score: int | None, in_time: bool, context: Context) -> None:
        pending = state.pending.pop(entry, None)
        if pending is None:
            return
        if score is None:
            self._end(pending, "the order was cancelled", context)
            return
        complaint = score <= COMPLAINT_MAX
        self._end(pending, "the customer complained" if complaint else "the customer is content", context)
        state.history.answer(pending, complaint, in_time, context.now)
        state.history.bound(self._parameters.entities_max)
        if not pending.silent:
            self._learn(state, pending, complaint)
        elif complaint:
            self._correct(state, pending)

    def _learn(self, state: RiskState, pending: Pending, complaint: bool) -> None:
        """Learn all checkpoints of an order as one example."""
        model, platt = self._load(state)
        weight = 1 / len(pending.rows)
        seen = [unpacked(row, self._progress, self._history) for row in pending.rows]
        for row in seen:
            band = _band(state, row)
            band.orders += weight
            band.probability += weight * row.probability
            band.complaints += weight * complaint
            model.learn(vector(row.progress, row.history), complaint, weight)
            platt.learn(row.log_odds, complaint, weight)
        state.orders += 1
        state.complaints += complaint
        self._learned(state, pending, b"1" if complaint else b"0")

    def _correct(self, state: RiskState, pending: Pending) -> None:
        """Let an order whose customer was taken for content be one that was complained of."""
        model, platt = self._load(state)
        weight = 1 / len(pending.rows)
        for row in (unpacked(row, self._progress, self._history) for row in pending.rows):
            _band(state, row).complaints += weight
            model.correct(vector(row.progress, row.history), weight)
            platt.correct(row.log_odds, weight)
        state.complaints += 1
        self._learned(state, pending, b"corrected")

    def _learned(self, state: RiskState, pending: Pending, outcome: bytes) -> None:
        """Keep what the model and its calibration have come to, and add the example to the digest of all."""
        digest = blake2b(state.examples_hash, digest_size=16)
        for part in (*pending.rows, outcome):
            digest.update(part)
        state.examples_hash = digest.digest()
        state.model, state.platt = self._model.encode(), self._platt.encode()

    def _load(self, state: RiskState) -> tuple[RecursiveLogistic, Platt]:
        self._model.decode(state.model or self._fresh[0])
        self._platt.decode(state.platt or self._fresh[1])
        return self._model, self._platt

    def _hash(self, state: RiskState) -> str:
        return derived_id(self._identity, state.examples_hash.hex())

    def _remember(self, state: RiskState, entry: str, pending: Pending) -> None:
        """Keep the order; beyond the limit those go first that count as content already, and those found last.

        Among equals those of the lowest ids stay, which are digests: an even sample of all.
        """
        state.pending[entry] = pending
        if len(state.pending) > self._parameters.pending_max:
            kept = state.pending
            del kept[max(kept, key=lambda entry: (kept[entry].silent, not kept[entry].reported, entry))]

    def _end(self, pending: Pending, why: str, context: Context) -> None:
        if pending.reported:
            finding = end_of(pending.order, pending.customer, pending.since, pending.reported, pending.causes,
                             context.now, why)  # fmt: skip
            context.emit("case", finding.event(pending.customer))

    def _set_sweep(self, state: RiskState, context: Context) -> None:
        if state.pending and not state.swept:
            state.swept = True
            context.set_timer(SWEEP, context.now + DAY)


def _band(state: RiskState, row: Seen) -> Band:
    return state.curve[min(int(row.probability * BANDS), BANDS - 1)]
