from __future__ import annotations

from pathlib import Path

import pytest

from config.clock import from_text, to_text
from sinks.outbox import Outbox, Release
from sinks.part_writer import ChannelStats
from sinks.store import Store
from tests.support.cloudevents import AT, ORDER, cloud_event
from tests.support.commands import forestall, store_url
from tests.support.recordings import Record, record
from tests.support.stores import PART, case_event, decision, finding

DAY_AT = {day: to_text(AT + day * 86_400_000_000) for day in range(20)}


def shop(folder: Path) -> Path:
    """Record three orders: one whose customer is content, two whose customers complain."""
    orders, crm = [], []
    for number, score in enumerate((5, 1, 1)):
        names = {"order_id": f"{number}", "customer_id": f"customer-{number}"}
        orders.append(cloud_event("order.placed", ORDER | names, id=f"o{number}"))
        orders.append(cloud_event("shipment.delivered", names, id=f"d{number}", time=DAY_AT[3]))
        review = {"review_id": f"{number}", "score": score, "comment": "never shown"}
        crm.append(cloud_event("review.answered", names | review, id=f"r{number}", time=DAY_AT[4 + number]))
    record(folder, {("orders", 0): numbered(orders), ("crm", 0): numbered(crm)})
    return folder


def numbered(values: list[bytes]) -> list[Record]:
    return [(offset, 1_714_564_800_000, b"k", value) for offset, value in enumerate(values)]


def store(path: Path) -> str:
    """Fill a store with what was found: an alarm on the content customer's order, one in time on another's."""
    url = store_url(path)
    with Store.open(url, create=True) as opened:
        opened.begin_run([PART], "job")
        box = Outbox(PART, frozenset("a"), opened.open_part)
        outputs = [
            finding("f0", AT + 5, "order:0", finding_id="f0", customer="customer-0", confidence=0.9),
            case_event("k0", 1, AT + 5, entity="order:0"),
            decision("k0", 1, AT + 5),
            finding("f1", AT + 6, "order:1", finding_id="f1", customer="customer-1"),
        ]
        box.write([Release("a", outputs, ended=True, stats=[ChannelStats("orders/0", 6, AT, records=6, accepted=6)])])
        box.snapshot()[1]()
    return url


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, str]:
    return shop(tmp_path / "shop"), store(tmp_path / "store.db")


def test_false_alarms_and_misses_are_told_the_most_instructive_first(place: tuple[Path, str]) -> None:
    document = forestall("review", place[0], "--store", place[1], "--json").document
    wrong = {"false alarms": 1, "missed": 1, "found too late": 0, "wrong service": 0}
    assert document["counts"] == {"judged": 3} | wrong | {"kinds of wrong": 2}
    assert [group["verdict"] for group in document["groups"]] == ["missed", "false alarm"]
    missed, false = (group["story"] for group in document["groups"])
    assert (missed["entity"], missed["thought"]) == ("order:2", None)
    assert [moment["who"] for moment in false["timeline"]] == [
        "record",
        "agent",
        "decision",
        "truth",
        "record",
        "record",
    ]
    assert false["timeline"][-1]["says"] == "the customer answers: 5 of 5 stars"
    assert from_text(false["at"]) == AT + 5


def test_page_and_document_name_no_customer(place: tuple[Path, str], tmp_path: Path) -> None:
    page = tmp_path / "review.html"
    shown = forestall("review", place[0], "--store", place[1], "--html", page, "--json").out
    for text in (shown, page.read_text()):
        assert "order:0" in text
        assert [name for name in ("customer-", "never shown", "alice") if name in text] == []


def test_table_for_people_tells_how_often_and_for_example_which(place: tuple[Path, str]) -> None:
    shown = forestall("review", place[0], "--store", place[1]).out
    for text in ("False alarm: order.promise_at_risk", "Missed: complaint", "order:2", "false alarms 1"):
        assert text in shown


def test_orders_placed_before_are_left_out(place: tuple[Path, str]) -> None:
    document = forestall("review", place[0], "--store", place[1], "--since", "2024-06-01", "--json").document
    assert (document["counts"]["judged"], document["groups"]) == (0, [])


def test_truth_is_said_once(place: tuple[Path, str], tmp_path: Path) -> None:
    both = ("review", place[0], "--labels", "a", "--faults", "b")
    forestall(*both).says(2, "Two files")
    forestall("review", place[0], "--labels", "a", "--since", "2024-01-01").says(2, "--since")
    nowhere = tmp_path / "nowhere" / "review.html"
    forestall("review", place[0], "--store", place[1], "--html", nowhere).says(3, str(nowhere))


def test_services_are_judged_by_faults(place: tuple[Path, str], tmp_path: Path) -> None:
    faults = tmp_path / "faults.json"
    faults.write_text(f'[{{"injected_at": "{DAY_AT[1]}", "kind": "cpu", "service": "cart"}}]')
    document = forestall("review", place[0], "--store", place[1], "--faults", faults, "--json").document
    assert [(group["verdict"], group["story"]["entity"]) for group in document["groups"]] == [
        ("missed", "service:cart")
    ]
