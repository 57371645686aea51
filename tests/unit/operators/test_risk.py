"""The complaint risk on the real journey and risk stages: what it learns, when it speaks; it sees no future."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest

from config.clock import DAY, HOUR
from config.events import Event
from config.features.load import load_views
from config.findings import Finding
from operators.agents.experience import ComplaintRiskParameters
from operators.features.checkpoints import MODEL
from operators.frame import Frame
from operators.journey import JourneyLogic, JourneySettings
from operators.journey_state import Journey
from operators.keyed import KeyedGroup
from operators.risk import Judgement, RiskLogic
from operators.risk_state import RiskState
from tests.support.journeys import START, event

PARAMETERS = ComplaintRiskParameters(complaints_min=10, prior=1.0)
VIEWS = load_views()


def order(number: int, at: int, *, late: bool, score: int | None) -> list[Event]:
    """Return the life of an order: promised in ten days, delivered on the eighth or the fourteenth."""
    name, customer = f"o{number}", f"c{number}"
    items = [{"product_id": "p", "seller_id": f"s{number % 5}", "seller_state": "SP", "price": 10.0, "freight": 1.0}]
    end = at + (14 if late else 8) * DAY
    rows: list[tuple[int, str, dict[str, Any]]] = [
        (at, "order.placed", {"customer_state": "RJ", "promised_at": at + 10 * DAY, "items": items}),
        (at + HOUR, "order.approved", {"ship_by": at + 3 * DAY}),
        (at + 2 * DAY, "shipment.handed_over", {}),
        (end, "shipment.delivered", {}),
    ]
    if score is not None:
        answered = at + 13 * DAY if late else end + 2 * DAY
        rows.append((answered, "review.answered", {"review_id": name, "score": score}))
    return [event(when, kind, {"order_id": name, **data}, customer=customer) for when, kind, data in rows]


def orders(count: int, seed: int = 1) -> list[Event]:
    """Return many: one in four is late, and nine in ten of these customers complain; of the others one in twenty."""
    rng = random.Random(seed)
    made: list[Event] = []
    for number in range(count):
        late = rng.random() < 0.25
        angry = rng.random() < (0.9 if late else 0.05)
        made += order(number, START + number * 6 * HOUR, late=late, score=1 if angry else 5)
    return made


class Run:
    """Both stages, one key group each."""

    def __init__(self, parameters: ComplaintRiskParameters = PARAMETERS) -> None:
        self.journey: KeyedGroup[Journey] = KeyedGroup(JourneyLogic([], JourneySettings(), judged=True), ["all"])
        logic = RiskLogic(VIEWS, parameters)
        self.judgements: list[Judgement] = []
        logic.observer = self.judgements.append
        self.risk: KeyedGroup[RiskState] = KeyedGroup(logic, ["journey"])
        self.findings: list[Finding] = []

    def feed(self, events: Iterable[Event], until: int) -> Run:
        self.journey.receive(Frame(0, "all", until, list(events)))
        told = [event for to, event in self.journey.advance() if to == "risk"]
        self.risk.receive(Frame(0, "journey", self.journey.cut, told))
        self.findings += [Finding.of(event) for to, event in self.risk.advance() if to == "case"]
        return self

    @property
    def state(self) -> RiskState:
        state = self.risk.state_of(MODEL)
        assert state is not None
        return state


END = START + 120 * DAY


def found(findings: Sequence[Finding]) -> dict[str, Finding]:
    return {finding.entity: finding for finding in findings if not finding.resolves}


def test_it_learns_that_late_orders_end_in_complaints_and_tells_in_time() -> None:
    run = Run().feed(orders(160), END)
    assert run.state.orders == 160
    last = order(999, END + DAY, late=True, score=None)
    finding = found(run.feed(last, END + 12 * DAY).findings)["order:o999"]
    assert (finding.agent, finding.kind, finding.customer) == ("experience", "order.complaint_likely", "c999")
    assert finding.confidence > 0.5
    assert finding.evidence.features["stage"] == 1.0
    assert "promise" in finding.reason


def test_it_says_nothing_before_it_has_seen_enough_complaints() -> None:
    assert Run(msgspec.structs.replace(PARAMETERS, complaints_min=10_000)).feed(orders(160), END).findings == []


def test_an_order_is_found_once_and_the_finding_ends_with_the_answer() -> None:
    findings = Run().feed(orders(160), END).findings
    begun = [finding.entity for finding in findings if not finding.resolves]
    ended = [finding.entity for finding in findings if finding.resolves]
    assert len(begun) > 10
    assert len(begun) == len(set(begun))
    assert sorted(ended) == sorted(begun)


def test_a_week_of_silence_after_the_delivery_ends_the_finding_and_is_learned_as_no_complaint() -> None:
    run = Run().feed(orders(120), END)
    learned = run.state.orders, run.state.complaints
    delivered = END + 15 * DAY
    run.feed(order(999, END + DAY, late=True, score=None), delivered + 6 * DAY)
    assert (run.state.orders, run.state.complaints) == learned
    run.feed([], delivered + 9 * DAY)
    assert (run.state.orders, run.state.complaints) == (learned[0] + 1, learned[1])
    ends = [(finding.resolves, finding.at) for finding in run.findings if finding.entity == "order:o999"]
    assert [resolves for resolves, _ in ends] == [False, True]
    assert delivered + 7 * DAY <= ends[1][1] <= delivered + 8 * DAY
    run.feed([], END + 90 * DAY)
    assert (run.state.orders, run.state.pending) == (learned[0] + 1, {})


def test_a_complaint_after_a_week_of_silence_corrects_what_was_learned() -> None:
    late, review = order(999, END + DAY, late=True, score=None), {"review_id": "o999", "order_id": "o999", "score": 1}
    said = event(END + 26 * DAY, "review.answered", review, customer="c999")
    silent, corrected = Run().feed(orders(120), END), Run().feed(orders(120), END)
    silent.feed(late, END + 30 * DAY)
    corrected.feed([*late, said], END + 30 * DAY)
    assert (corrected.state.orders, corrected.state.complaints) == (silent.state.orders, silent.state.complaints + 1)
    assert sum(band.complaints for band in corrected.state.curve) == pytest.approx(corrected.state.complaints)
    for part in ("examples_hash", "model", "platt"):
        assert getattr(corrected.state, part) != getattr(silent.state, part)
    again = order(1000, END + 31 * DAY, late=True, score=None)
    for run in (silent, corrected):
        run.feed(again, END + 60 * DAY)
    pairs = zip(silent.judgements[-5:], corrected.judgements[-5:], strict=True)
    assert all(before.probability < after.probability for before, after in pairs)


@pytest.mark.slow
def test_where_most_are_silent_what_it_says_is_the_share_of_all_who_complain() -> None:
    rng = random.Random(4)
    complain = {number for number in range(600) if rng.random() < 0.15}
    speak = complain | {number for number in range(600) if rng.random() < 0.3}
    made = [
        row
        for n in range(600)
        for row in order(n, START + n * 4 * HOUR, late=False, score=(1 if n in complain else 5) if n in speak else None)
    ]
    run = Run().feed(made, END)
    answered = {f"o{n}" for n in speak}
    given = [
        judgement.probability
        for judgement in run.judgements
        if judgement.at > START + 40 * DAY and (judgement.progress["since_delivered_days"] or 0) < 1
    ]
    assert len(answered) < 300
    assert sum(given) / len(given) == pytest.approx(len(complain) / 600, abs=0.05)


def test_orders_that_were_found_are_remembered_though_more_wait_than_may() -> None:
    few = msgspec.structs.replace(PARAMETERS, pending_max=40)
    run = Run(few).feed(orders(160), END)
    made = [row for n in range(1_000, 1_100) for row in order(n, END + DAY + n * 60, late=n >= 1_080, score=None)]
    findings = run.feed(made, END + 60 * DAY).findings
    begun = [finding.entity for finding in findings if not finding.resolves]
    assert len(begun) == len(set(begun))
    assert {f"order:o{n}" for n in range(1_080, 1_100)} <= set(begun)
    assert sorted(begun) == sorted(finding.entity for finding in findings if finding.resolves)


@pytest.mark.slow
def test_what_comes_later_changes_nothing_that_was_found_before() -> None:
    events, then = orders(160), START + 30 * DAY
    later = [row for row in events if row.at >= then]
    payloads = [row.data.get("score") for row in later if row.type == "review.answered"]
    random.Random(3).shuffle(payloads)
    scores = iter(payloads)
    shuffled: list[Any] = [
        msgspec.structs.replace(row, data=row.data | {"score": next(scores)}) if row.type == "review.answered" else row
        for row in later
        if row.type != "shipment.delivered"
    ]
    whole = Run().feed(events, END)
    other = Run().feed([row for row in events if row.at < then] + shuffled, END)
    before = [[f for f in run.findings if f.at < then] for run in (whole, other)]
    assert before[0] == before[1]
    assert len(before[0]) > 5
    assert [j for j in whole.judgements if j.at < then] == [j for j in other.judgements if j.at < then]
    assert whole.findings != other.findings


@pytest.mark.slow
@pytest.mark.parametrize("cut", [1, 60, 130])
def test_state_resumes_to_the_same_findings(cut: int) -> None:
    events, then = orders(120), START + cut * 6 * HOUR
    whole = Run().feed(events, END)
    broken = Run().feed([row for row in events if row.at < then], then)
    resumed = Run()
    resumed.journey.restore([broken.journey.whole()])
    resumed.risk.restore([broken.risk.whole()])
    resumed.feed([row for row in events if row.at >= then], END)
    assert broken.findings + resumed.findings == whole.findings
    assert msgspec.msgpack.encode(resumed.state) == msgspec.msgpack.encode(whole.state)


def sold(number: int, at: int, product: int, *, score: int | None, customer: str = "") -> list[Event]:
    """Return the life of an order in time of a new seller."""
    rows = order(number, at, late=False, score=score)
    items = [{**item, "seller_id": "new", "product_id": f"n{product}"} for item in rows[0].data["items"]]
    rows[0] = msgspec.structs.replace(rows[0], data=rows[0].data | {"items": items})
    return [msgspec.structs.replace(row, key=customer or row.key) for row in rows]


@pytest.mark.parametrize(("customer", "products", "believed"), [("", 3, True), ("loud", 3, False), ("", 1, False)])
def test_the_first_seller_of_whom_all_complain_is_believed_in_but_no_loud_customer_and_no_single_bad_product(
    customer: str, products: int, believed: bool
) -> None:
    numbers = range(2_000, 2_010)
    wave = [row for n in numbers for row in sold(n, END + n, n % products, score=1, customer=customer)]
    wave += [row for n in range(2_010, 2_110) for row in order(n, END + n, late=False, score=5)]
    run = Run().feed(sorted([*orders(160), *wave], key=lambda row: row.at), END + 11 * DAY)
    findings = found(run.feed(sold(2_998, END + 11 * DAY, 1, score=None), END + 20 * DAY).findings)
    given = max(judgement.probability for judgement in run.judgements if judgement.order == "o2998")
    assert given > 0.8 if believed else given < 0.5
    if believed:
        assert "seller" in findings["order:o2998"].reason


def test_what_it_remembers_is_bounded() -> None:
    small = msgspec.structs.replace(PARAMETERS, pending_max=8, entities_max=4)
    run = Run(small).feed(orders(120), START + 12 * DAY)
    assert len(run.state.pending) <= 8
    run.feed([], END)
    assert len(run.state.history.entities) <= 4 + 2


def test_the_calibration_curve_counts_each_order_once() -> None:
    state = Run().feed(orders(160), END).state
    assert sum(band.orders for band in state.curve) == pytest.approx(state.orders)
    assert sum(band.complaints for band in state.curve) == pytest.approx(state.complaints)
    assert state.complaints == pytest.approx(sum(band.probability for band in state.curve), rel=0.3)


def test_it_takes_nothing_but_checkpoints_and_labels() -> None:
    with pytest.raises(ValueError, match="checkpoints and labels"):
        Run().risk._logic.on_event(MODEL, RiskState(), Event(0, "x", MODEL, "finding", {}), None)  # type: ignore[arg-type]
