"""The labels of a world against its records: what the labels say can be seen, and nothing else went wrong."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import pytest

from config.clock import HOUR, from_text
from config.errors import RecordingError
from replay.world.labels import Issue, Labels

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.replay.world.conftest import Taken

pytestmark = pytest.mark.slow


def issues(world: Taken, kind: str) -> list[Issue]:
    return [i for i in world.labels.issues if i.entity.startswith(f"{kind}:")]


def by_order(world: Taken, kind: str) -> dict[str, int]:
    return {r.event["data"]["order_id"]: r.at for r in world.of(kind)}


def broken_orders(world: Taken) -> set[str]:
    """The orders that broke a promise or a ship-by date, read from the records alone."""
    handed, delivered = by_order(world, "shipment.handed_over"), by_order(world, "shipment.delivered")
    cancelled, until = by_order(world, "order.cancelled"), world.spec.until
    broken = set()
    for kind, field, done in (("order.placed", "promised_at", delivered), ("order.approved", "ship_by", handed)):
        for r in world.of(kind):
            order, due = r.event["data"]["order_id"], r.event["data"][field]
            day = 24 * HOUR if field == "promised_at" else 0
            if due and from_text(due) + day < min(until, done.get(order, until)) and order not in cancelled:
                broken.add(f"order:{order}")
    return broken


def test_exactly_the_orders_that_break_a_promise_are_labelled(world: Taken) -> None:
    labelled = {i.entity for i in issues(world, "order")}
    assert labelled == broken_orders(world)
    assert len(labelled) >= 20


def test_harm_is_the_first_complaint_about_the_order(world: Taken) -> None:
    first: dict[str, int] = {}
    promised = {
        r.event["data"]["order_id"]: from_text(r.event["data"]["promised_at"]) for r in world.of("order.placed")
    }
    for kind in ("review.answered", "ticket.opened", "contact.made"):
        for r in world.of(kind):
            order = r.event["data"].get("order_id")
            if order and r.event["data"].get("score", 1) <= 2 and r.at > promised[order] + 4 * HOUR:
                first[f"order:{order}"] = min(r.at, first.get(f"order:{order}", r.at))
    harmed = [i for i in issues(world, "order") if i.harm_at is not None]
    assert len(harmed) >= 10
    assert all(i.harm_at == first[i.entity] for i in harmed)


def test_trouble_begins_before_it_ends_and_before_anybody_complains(world: Taken) -> None:
    for issue in world.labels.issues:
        assert issue.onset < issue.ends_at
        assert issue.harm_at is None or issue.onset < issue.harm_at
        assert (issue.harm_at is None) == (issue.complaints == 0)


def test_some_are_unhappy_though_nothing_went_wrong(world: Taken) -> None:
    labelled = {i.entity for i in world.labels.issues}
    bad = [r for r in world.of("review.answered") if r.event["data"]["score"] <= 2]
    assert any(f"order:{r.event['data']['order_id']}" not in labelled for r in bad)


def test_a_slow_lane_takes_longer_and_breaks_the_promises_of_its_customers(world: Taken) -> None:
    handed, delivered = by_order(world, "shipment.handed_over"), by_order(world, "shipment.delivered")
    lanes = {}
    for r in world.of("order.placed"):
        data = r.event["data"]
        lanes[data["order_id"]] = f"lane:{data['items'][0]['seller_state']}-{data['customer_state']}"
    assert issues(world, "lane")
    for issue in issues(world, "lane"):
        on_road = {o: delivered[o] - handed[o] for o in delivered if lanes[o] == issue.entity}
        usual = median(span for order, span in on_road.items() if delivered[order] < issue.onset)
        slowed = [span for o, span in on_road.items() if issue.onset <= handed[o] < issue.onset + 60 * HOUR]
        assert median(slowed) > 3 * usual
        hit = [i for i in issues(world, "order") if i.cause == issue.entity]
        assert set(issue.customers) <= {c for i in hit for c in i.customers}
        assert len(issue.customers) >= 2


def test_a_seller_backlog_holds_up_several_orders(world: Taken) -> None:
    held = [i for i in issues(world, "order") if i.cause.startswith("seller:")]
    assert len(held) >= 3
    sellers = {r.event["data"]["order_id"]: r.event["data"]["items"][0]["seller_id"] for r in world.of("order.placed")}
    assert all(sellers[i.entity.removeprefix("order:")] == i.cause.removeprefix("seller:") for i in held)


def test_both_kinds_of_outage_occur_after_a_quiet_time(world: Taken) -> None:
    outages = issues(world, "service")
    assert {i.kind for i in outages} == {"service.degraded", "service.failing"}
    assert min(i.onset for i in outages) >= world.spec.slices[0][0] + 4 * 24 * HOUR


def test_an_outage_shows_in_the_service_before_anybody_complains(world: Taken) -> None:
    for issue in issues(world, "service"):
        measured = [r for r in world.of("service.measured") if f"service:{r.key.decode()}" == issue.entity]
        latency = {r.at: r.event["data"]["metrics"]["server_latency_p50_s"] for r in measured}
        usual = median(v for at, v in latency.items() if at < issue.onset)
        assert issue.harm_at is not None
        shown = [at for at, v in latency.items() if issue.onset < at < issue.ends_at and v > 1.8 * usual]
        assert min(shown) < issue.harm_at


def test_a_full_outage_fails_requests_and_a_degraded_service_hardly_any(world: Taken) -> None:
    for issue in issues(world, "service"):
        measured = [
            100 - r.event["data"]["metrics"]["success_percent"]
            for r in world.of("service.measured")
            if f"service:{r.key.decode()}" == issue.entity and issue.onset < r.at < issue.ends_at
        ]
        assert max(measured) > 40 if issue.kind == "service.failing" else 3 < max(measured) < 10


def test_the_customers_of_an_outage_met_it(world: Taken) -> None:
    for issue in issues(world, "service"):
        met = {
            r.event["data"].get("customer_id")
            for r in world.of("request.completed")
            if f"service:{r.key.decode()}" == issue.entity and issue.onset <= r.at < issue.ends_at
        }
        assert issue.customers
        assert set(issue.customers) <= met


def test_a_promotion_is_busy_and_well(world: Taken) -> None:
    promotions = [d for d in world.labels.decoys if d.what == "promotion"]
    assert promotions
    requests = world.of("request.completed")
    outages = issues(world, "service")
    for decoy in promotions:
        if any(i.onset < decoy.until and decoy.since < i.ends_at for i in outages):
            continue
        during = [r for r in requests if decoy.since <= r.at < decoy.until]
        before = [r for r in requests if decoy.since - 24 * HOUR <= r.at < decoy.until - 24 * HOUR]
        assert len(during) > 1.2 * len(before)
        assert sum(r.event["data"]["status"] >= 500 for r in during) <= 0.02 * len(during)


def test_a_blip_is_one_slow_measurement(world: Taken) -> None:
    outages = issues(world, "service")
    for decoy in (d for d in world.labels.decoys if d.what == "blip"):
        if any(i.onset < decoy.until + 2 * HOUR and decoy.since < i.ends_at + 2 * HOUR for i in outages):
            continue
        near = [
            r.event["data"]["metrics"]["server_latency_p50_s"]
            for r in world.of("service.measured")
            if f"service:{r.key.decode()}" == decoy.entity and abs(r.at - decoy.since) < 2 * HOUR
        ]
        assert sum(v > 1.6 * median(near) for v in near) == 1


def test_labels_survive_their_file(world: Taken, tmp_path: Path) -> None:
    world.labels.write(tmp_path / "labels.json")
    assert Labels.read(tmp_path / "labels.json") == world.labels
    assert '"onset": "2026-03-' in (tmp_path / "labels.json").read_text()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": "forestall-labels", "version": 2}', '{"format": "forestall-labels", "version": 1}'],
)
def test_a_file_that_holds_no_labels_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(RecordingError, match=r"labels\.json holds no labels"):
        Labels.read(tmp_path / "labels.json")
