"""The stories of a world: the harm that a label tells of is in the records, and decoys end well."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from config.clock import DAY, HOUR, from_text
from replay.world import World
from replay.world.kinds import DECOYS, ISSUES
from replay.world.model import spec_of
from replay.world.scenario import load_scenario

if TYPE_CHECKING:
    from replay.world.labels import Decoy, Issue
    from tests.unit.replay.world.conftest import Record, Taken

pytestmark = pytest.mark.slow


def issues(told: Taken, kind: str) -> list[Issue]:
    found = [issue for issue in told.labels.issues if issue.kind == kind]
    assert found, f"the world has no {kind}"
    return found


def decoys(told: Taken, what: str) -> list[Decoy]:
    found = [decoy for decoy in told.labels.decoys if decoy.what == what]
    assert found, f"the world has no {what}"
    return found


def grouped(told: Taken, kind: str, field: str) -> dict[str, list[Record]]:
    """All records of a type by a field of theirs, in order of time."""
    by: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(told.of(kind), key=lambda r: r.at):
        by[record.event["data"].get(field)].append(record)
    return by


def data(record: Record) -> dict[str, Any]:
    values: dict[str, Any] = record.event["data"]
    return values


def cents(amount: float) -> int:
    return round(amount * 100)


def value(placed: Record) -> int:
    return sum(cents(item["price"]) + cents(item["freight"]) for item in data(placed)["items"])


def of(entity: str) -> str:
    return entity.partition(":")[2]


def taken(told: Taken) -> dict[str, int]:
    """What was captured of each order, cents."""
    return {
        order: sum(cents(data(r)["amount"]) for r in records)
        for order, records in grouped(told, "payment.captured", "order_id").items()
    }


def test_every_kind_of_issue_and_every_decoy_occurs(told: Taken) -> None:
    assert {issue.kind for issue in told.labels.issues} == set(ISSUES) - {"seller.backlog"}
    assert {decoy.what for decoy in told.labels.decoys} == set(DECOYS)
    assert any(issue.cause.startswith("seller:") for issue in told.labels.issues)


def test_issues_have_an_id_of_their_own_an_order_in_time_and_words_for_the_harm(told: Taken) -> None:
    assert len({issue.issue_id for issue in told.labels.issues}) == len(told.labels.issues)
    for issue in told.labels.issues:
        assert issue.onset < issue.ends_at <= told.spec.until or issue.kind.startswith("service.")
        assert issue.harm_at is None or issue.onset < issue.harm_at < told.spec.until
        assert issue.harm
        assert issue.customers


def test_every_order_but_those_in_labels_is_charged_what_it_costs(told: Taken) -> None:
    placed = {data(r)["order_id"]: value(r) for r in told.of("order.placed")}
    wrong = {of(i.entity) for kind in ("payment.double_charge", "payment.amount_mismatch") for i in issues(told, kind)}
    more = {of(d.entity) for what in ("charge_reversed", "instalments") for d in decoys(told, what)}
    captured = taken(told)
    assert all(captured[order] == placed[order] for order in captured.keys() & placed.keys() - wrong - more)
    assert wrong <= captured.keys()
    assert all(captured[order] > placed[order] for order in wrong)


def test_a_double_charge_is_the_same_amount_twice_not_refunded_before_the_customer_asks(told: Taken) -> None:
    captures, refunds = (grouped(told, kind, "order_id") for kind in ("payment.captured", "refund.posted"))
    tickets = grouped(told, "ticket.opened", "order_id")
    for issue in issues(told, "payment.double_charge"):
        order = of(issue.entity)
        first, second = captures[order]
        assert data(first)["amount"] == data(second)["amount"]
        assert first.event["id"] != second.event["id"]
        assert issue.onset == second.at
        assert issue.harm_at == tickets[order][0].at
        assert all(r.at > issue.harm_at for r in refunds[order])


def test_what_is_reversed_is_back_within_a_quarter_of_an_hour(told: Taken) -> None:
    captures, refunds = (grouped(told, kind, "order_id") for kind in ("payment.captured", "refund.posted"))
    for decoy in decoys(told, "charge_reversed"):
        _, second = captures[of(decoy.entity)]
        (back,) = refunds[of(decoy.entity)]
        assert second.at < back.at <= second.at + HOUR // 4
        assert data(back)["amount"] == data(second)["amount"]


def test_a_lost_refund_is_not_posted_by_its_day_nor_before_the_customer_asks(told: Taken) -> None:
    requested, posted = (grouped(told, f"refund.{kind}", "refund_id") for kind in ("requested", "posted"))
    lost = {of(issue.entity): issue for issue in issues(told, "refund.not_posted")}
    for refund, (record,) in requested.items():
        due = from_text(data(record)["due_at"])
        if due < told.spec.until:
            late = not posted[refund] or posted[refund][0].at > due
            assert late == (refund in lost), refund
    for refund, issue in lost.items():
        assert issue.harm_at is not None
        assert from_text(data(requested[refund][0])["due_at"]) < issue.harm_at
        assert all(r.at > issue.harm_at for r in posted[refund])


def test_an_invoice_in_a_label_is_not_what_the_plan_says(told: Taken) -> None:
    changes = grouped(told, "subscription.changed", "subscription_id")
    wrong = {of(issue.entity) for issue in issues(told, "invoice.plan_mismatch")}
    prorated = {of(d.entity) for what in ("proration", "credit_note") for d in decoys(told, what)}
    seen = set()
    for record in told.of("invoice.issued"):
        bill = data(record)
        if "subscription_id" not in bill or bill["invoice_id"] in prorated:
            continue
        start = from_text(bill["period_start"])
        said = changes[bill["subscription_id"]]
        now = data([r for r in said if r.at <= max(start, said[0].at)][-1])
        honest = (now["status"], now["plan"]) == ("active", bill["plan"])
        honest &= cents(now["price"]) == cents(bill["amount"]) - cents(bill["tax"])
        assert honest == (bill["invoice_id"] not in wrong), bill
        seen.add(bill["invoice_id"])
    assert wrong <= seen


def test_more_is_sold_of_an_oversold_product_than_there_is(told: Taken) -> None:
    levels = grouped(told, "inventory.level", "product_id")
    sold: dict[str, list[Record]] = defaultdict(list)
    for r in sorted(told.of("order.placed"), key=lambda r: r.at):
        for product in {item["product_id"] for item in data(r)["items"]}:
            sold[product].append(r)
    cancelled = grouped(told, "order.cancelled", "order_id")
    for issue in issues(told, "inventory.oversold"):
        orders, on_hand = sold[of(issue.entity)], data(levels[of(issue.entity)][0])["on_hand"]
        assert len(orders) > on_hand
        assert issue.onset == orders[on_hand].at
        gone = [r.at for order in orders for r in cancelled[data(order)["order_id"]]]
        assert len(gone) == len(orders) - on_hand
        assert issue.harm_at == min(gone)


def test_a_product_with_decoys_is_never_short(told: Taken) -> None:
    levels, cancelled = grouped(told, "inventory.level", "product_id"), grouped(told, "order.cancelled", "order_id")
    for what in ("well_stocked", "restock"):
        for decoy in decoys(told, what):
            assert min(data(r)["on_hand"] for r in levels[of(decoy.entity)]) >= 0
            orders = [
                r for r in told.of("order.placed") if data(r)["items"][0]["product_id"] == of(decoy.entity)
            ]  # fmt: skip
            assert not any(cancelled[data(r)["order_id"]] for r in orders)


def test_stuck_orders_never_arrive_and_the_customer_asks(told: Taken) -> None:
    delivered = grouped(told, "shipment.delivered", "order_id")
    contacts = grouped(told, "contact.made", "order_id")
    for issue in issues(told, "order.stuck"):
        assert not delivered[of(issue.entity)]
        assert issue.harm_at == contacts[of(issue.entity)][0].at


def test_an_account_that_is_taken_over_is_used_from_a_device_its_owner_never_had(told: Taken) -> None:
    signed, changed = grouped(told, "account.signed_in", "customer_id"), grouped(told, "account.changed", "customer_id")
    for issue in issues(told, "account.takeover"):
        customer = of(issue.entity)
        before = {data(r)["device_hash"] for r in signed[customer] if r.at < issue.onset - HOUR}
        (thief,) = {data(r)["device_hash"] for r in signed[customer] if issue.onset - HOUR < r.at <= issue.onset}
        assert before
        assert thief not in before
        assert any(issue.onset < r.at < issue.harm_at for r in changed[customer] if issue.harm_at)


def test_a_traveller_signs_in_from_abroad_with_the_usual_device(told: Taken) -> None:
    signed = grouped(told, "account.signed_in", "customer_id")
    for decoy in decoys(told, "traveller"):
        assert len({data(r)["device_hash"] for r in signed[of(decoy.entity)]}) == 1
        assert {data(r)["country"] for r in signed[of(decoy.entity)]} > {"DE"}


def test_card_testing_is_many_refused_cards_before_one_pays(told: Taken) -> None:
    failed, paid = told.of("payment.failed"), told.of("payment.captured")
    for issue in issues(told, "payment.card_testing"):
        who = set(issue.customers)
        tries = [r for r in failed if data(r)["customer_id"] in who and issue.onset <= r.at <= issue.onset + HOUR]
        assert len({data(r)["instrument_hash"] for r in tries}) >= 7
        devices = {data(r)["device_hash"] for r in tries if data(r)["device_hash"].startswith("d9000")}
        assert any(r.at == issue.harm_at and data(r)["device_hash"] in devices for r in paid)


def test_whoever_churns_used_it_for_weeks_then_not_at_all_and_cancels(told: Taken) -> None:
    used, changes = (grouped(told, kind, "customer_id") for kind in ("usage.measured", "subscription.changed"))
    for issue in issues(told, "usage.silent_churn"):
        values = [(r.at, data(r)["value"]) for r in used[of(issue.entity)]]
        before = [v for at, v in values if at < issue.onset]
        after = [v for at, v in values if issue.onset + 7 * DAY < at < issue.onset + 21 * DAY]
        assert len(before) >= 28
        assert sum(before) / len(before) > 2
        assert not any(after)
        assert data(changes[of(issue.entity)][-1])["status"] == "cancelled"
        assert issue.harm_at == changes[of(issue.entity)][-1].at


def test_whoever_is_on_vacation_comes_back(told: Taken) -> None:
    used = grouped(told, "usage.measured", "customer_id")
    for decoy in decoys(told, "vacation"):
        after = [data(r)["value"] for r in used[of(decoy.entity)] if r.at > decoy.since + 8 * DAY]
        assert any(after)


def test_the_unheard_ask_three_times_on_separate_occasions_and_leave_with_a_bad_word(told: Taken) -> None:
    asked: dict[str, list[int]] = defaultdict(list)
    for kind in ("contact.made", "ticket.opened"):
        for r in told.of(kind):
            asked[data(r).get("order_id", "")].append(r.at)
    reviews = grouped(told, "review.answered", "order_id")
    for issue in issues(told, "contact.repeated"):
        times = sorted(asked[of(issue.entity)])
        assert len(times) >= 3
        assert all(later - sooner > HOUR for sooner, later in pairwise(times))
        (review,) = reviews[of(issue.entity)]
        assert issue.harm_at == review.at > times[-1]
        assert data(review)["score"] == 1


def test_of_a_bad_batch_most_complain_and_half_of_them_before_the_harm(told: Taken) -> None:
    for issue in issues(told, "complaint.burst"):
        product = of(issue.entity)
        orders = {data(r)["order_id"] for r in told.of("order.placed") if data(r)["items"][0]["product_id"] == product}
        said = sorted(
            r.at
            for kind in ("review.answered", "ticket.opened")
            for r in told.of(kind)
            if data(r).get("order_id") in orders and data(r).get("score", 1) <= 2
        )
        assert len(said) == issue.complaints >= 12
        assert sum(at < (issue.harm_at or 0) for at in said) == len(said) // 2


def test_a_plundered_account_buys_more_within_hours_than_any_other(told: Taken) -> None:
    bought = grouped(told, "payment.captured", "customer_id")
    for issue in issues(told, "payment.velocity"):
        orders = {data(r)["order_id"] for r in bought[of(issue.entity)] if issue.onset <= r.at < issue.onset + 8 * HOUR}
        assert len(orders) >= 9


def test_likely_complaints_are_of_orders_whose_seller_disappointed_others_before(told: Taken) -> None:
    sellers = {data(r)["order_id"]: data(r)["items"][0]["seller_id"] for r in told.of("order.placed")}
    bad = [r for r in told.of("review.answered") if data(r)["score"] <= 2]
    for issue in issues(told, "order.complaint_likely"):
        seller = sellers[of(issue.entity)]
        before = [r for r in bad if r.at < issue.onset and sellers[data(r)["order_id"]] == seller]
        assert len(before) >= 8


def test_holidays_are_quiet_and_peaks_are_busy(told: Taken) -> None:
    since, season = told.spec.slices[0][0], told.spec.scenario.season
    days: dict[int, int] = defaultdict(int)
    for r in told.of("order.placed"):
        if data(r)["order_id"] < "o9":  # not those of stories, which are spread evenly
            days[(r.at - since) // DAY] += 1
    usual = sum(days.values()) / told.spec.days
    assert all(days[peak] > 1.8 * usual for peak in season.peaks)
    assert all(days[holiday] < 0.8 * usual for holiday in season.holidays)


def test_telemetry_is_kept_for_the_last_weeks_only(told: Taken) -> None:
    assert min(r.at for r in told.of("service.measured")) >= told.spec.until - 14 * DAY


def test_a_silent_source_measures_nothing_for_hours_and_maintenance_for_half_an_hour(told: Taken) -> None:
    gaps: list[int] = []
    for records in grouped(told, "service.measured", "service").values():
        gaps += [later.at - sooner.at for sooner, later in pairwise(records)]
    assert sum(gap >= 3 * HOUR for gap in gaps) == 1


def test_for_some_days_nobody_s_use_is_measured(told: Taken) -> None:
    since = told.spec.slices[0][0]
    measured = {(r.at - since) // DAY for r in told.of("usage.measured")}
    assert len(set(range(told.spec.days)) - measured) == told.spec.scenario.sources.usage_gap_days


def test_the_same_seed_and_scenario_make_the_same_stories() -> None:
    spec = spec_of(load_scenario("billing"), 5, events=8_000)
    one, two = (World(spec) for _ in range(2))
    assert [list(b.values) for b in one.batches()] == [list(b.values) for b in two.batches()]
    assert one.labels() == two.labels()


@pytest.mark.parametrize("name", ["outage", "fulfilment", "billing", "fraud", "experience"])
def test_every_scenario_makes_a_world_of_its_size(name: str) -> None:
    spec = spec_of(load_scenario(name), 9)
    world = World(spec)
    assert abs(sum(len(batch) for batch in world.batches()) - spec.events) < 0.01 * spec.events
    assert world.labels().scenario == name
