from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
import pytest

from config.clock import DAY
from detectors.classifier import RecursiveLogistic, sigmoid
from operators.features.fleet_history import COMPLAINED, History, fleet_history
from operators.features.order_progress import Row, order_progress
from operators.features.seller_voices import CUSTOMERS_MAX, PRODUCTS_MAX
from operators.features.vector import MEANS, NAMES, vector
from operators.journey_state import Order

NOW = 1_000 * DAY


@dataclass
class Answered:
    customer: str
    products: list[str]
    sellers: list[str] = field(default_factory=lambda: ["seller:a"])
    category: str = ""


def history_of(*answers: tuple[str, str, bool]) -> History:
    """Return what is known after answers of (customer, product, complaint); of all others one in seven complained."""
    history = History()
    for number in range(700):
        history.count([], COMPLAINED, number % 7 == 0, NOW)
    for customer, product, complaint in answers:
        history.answer(Answered(customer, [product]), complaint, True, NOW)
    return history


def seen(history: History, product: str = "new", days: int = 0) -> Row:
    return fleet_history(history, ["seller:a"], [], "", NOW + days * DAY, [product])


def rate(answers: Iterable[tuple[str, str, bool]], product: str = "new") -> float:
    return seen(history_of(*answers), product)["seller_complaints"] or 0.0


ONE = ("c0", "p", True)


def test_a_customer_who_complains_five_times_is_one_voice() -> None:
    again = history_of(ONE, *(("c0", f"p{n}", True) for n in range(4)))
    assert again.entities["seller:a"] == history_of(ONE).entities["seller:a"]
    five = rate((f"c{n}", f"p{n}", True) for n in range(5))
    assert five > 0.6 > 0.3 > rate([ONE] * 5)


def test_who_was_content_before_is_heard_when_complaining() -> None:
    assert rate([("c0", "p", False), ("c0", "p", True)]) > rate([("c0", "p", False)])


def test_complaints_about_one_bad_product_are_not_held_against_the_others_of_its_seller() -> None:
    batch = [("x0", "p1", False), ("x1", "p2", False), *((f"c{n}", "bad", True) for n in range(8))]
    assert rate(batch, "bad") > 0.8
    assert rate(batch, "p1") < 0.2
    assert rate(batch, "new") < 0.2


def test_complaints_about_all_products_are_about_the_seller() -> None:
    wave = [(f"c{n}", f"p{n % 3}", True) for n in range(10)]
    assert rate(wave, "new") > 0.85
    assert rate(wave, "p1") > 0.85
    assert (seen(history_of(*wave))["seller_bad"] or 0) > 0.9


def test_of_an_ordinary_seller_a_product_with_a_complaint_is_not_bad() -> None:
    answers = [(f"c{n}", f"p{n % 5}", n % 7 == 0) for n in range(35)]
    for product in ("p0", "p1", "new"):
        row = seen(history_of(*answers), product)
        assert row["seller_complaints"] == pytest.approx(1 / 7, abs=0.05)
        assert (row["seller_bad"] or 0) < 0.05


def test_voices_fade_with_what_was_counted() -> None:
    history = history_of(*((f"c{n}", "bad", True) for n in range(8)))
    at_once, later = (seen(history, "bad", days)["seller_bad"] or 0 for days in (0, 700))
    assert at_once > 0.9 > 0.3 > later
    history.answer(Answered("c9", ["other"]), False, True, NOW + 700 * DAY)
    assert (seen(history, "bad", 700)["seller_bad"] or 0) == pytest.approx(later, abs=0.02)


def test_what_is_remembered_of_a_seller_is_bounded_and_encodes() -> None:
    history = history_of(*((f"c{n}", f"p{n // 3}", True) for n in range(90)))
    voices = history.entities["seller:a"].voices
    assert voices is not None
    assert (len(voices.products), len(voices.customers)) == (PRODUCTS_MAX, CUSTOMERS_MAX)
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(history), type=History)
    assert seen(stored, "p29") == seen(history, "p29")


def test_a_model_that_has_learned_nothing_believes_in_a_bad_seller_and_makes_nothing_of_ordinary_ones() -> None:
    model, order = RecursiveLogistic(len(NAMES), means=MEANS), Order(NOW, NOW, placed_at=NOW, promised_at=NOW + 9 * DAY)

    def given(*answers: tuple[str, str, bool]) -> float:
        return sigmoid(model.log_odds(vector(order_progress(order, NOW), seen(history_of(*answers)))))

    bad = [(f"c{n}", f"p{n % 3}", True) for n in range(10)]
    assert given(*bad) == pytest.approx(rate(bad), abs=0.08)
    assert given() == pytest.approx(model.parameters.start, abs=0.02)
    assert given(*((f"c{n}", "p", n < 3) for n in range(20))) == pytest.approx(model.parameters.start, abs=0.03)
