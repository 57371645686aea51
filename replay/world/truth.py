"""From the plan and the lives of the orders to labels: which trouble was there, since when, and who complained."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from config.identity import derived_id
from replay.world.business import WORRY, Business, Kind
from replay.world.echoes import AFTERMATH, echoes, touched
from replay.world.issues import Outage, Plan
from replay.world.labels import Decoy, Echo, Issue
from replay.world.model import PRODUCTS_PER_SELLER, Spec, lane_name
from replay.world.orders import BACKLOG, LANE, NEVER, OWN, Orders
from replay.world.telemetry import Telemetry


class Truth(NamedTuple):
    """What is true of the columns of a world."""

    issues: list[Issue]
    echoes: list[Echo]


def of_columns(spec: Spec, plan: Plan, orders: Orders, business: Business, telemetry: Telemetry) -> Truth:
    """Return what an agent ought to find, and what else it may find of the same."""
    made = [_outage(spec, outage, telemetry.hurt[i]) for i, outage in enumerate(plan.outages)]
    beside = touched(spec, plan, telemetry.met)
    if spec.mix != "full":
        return Truth(made, beside)
    of_orders = _orders(spec, orders, business)
    return Truth(made + of_orders + _lanes(spec, plan, of_orders), beside + echoes(spec, orders, business))


def by_onset(issues: list[Issue]) -> list[Issue]:
    """Return the issues in their order in the labels."""
    return sorted(issues, key=lambda issue: (issue.onset, issue.issue_id))


def by_time(decoys: list[Decoy]) -> list[Decoy]:
    """Return the decoys in their order in the labels."""
    return sorted(decoys, key=lambda decoy: (decoy.since, decoy.what, decoy.entity))


def decoys(spec: Spec, plan: Plan) -> list[Decoy]:
    """Return the decoys of the columns."""
    made = [Decoy(what="promotion", entity="service:gateway", since=p.since, until=p.until) for p in plan.promotions]
    for blip in plan.blips:
        entity = f"service:{spec.services[blip.service].name}"
        made.append(Decoy(what="blip", entity=entity, since=blip.since, until=blip.until))
    for span in plan.maintenance:
        entity = f"service:{spec.services[span.service].name}"
        made.append(Decoy(what="maintenance", entity=entity, since=span.since, until=span.until))
    for slow in plan.honest if spec.mix == "full" else ():
        entity = f"lane:{lane_name(slow.lane)}"
        made.append(Decoy(what="honest_lane", entity=entity, since=slow.since, until=slow.until))
    return made


def _outage(spec: Spec, outage: Outage, hurt: int) -> Issue:
    kind = "service.failing" if outage.failing else "service.degraded"
    entity = f"service:{spec.services[outage.service].name}"
    complaints = [at for _, at in outage.complaints if at < spec.until] if spec.mix == "full" else []
    return Issue(
        issue_id=derived_id("issue", kind, entity, outage.since), kind=kind, entity=entity, agent="outage",
        customers=[_customer(c) for c in outage.hurt[:hurt]], onset=outage.since, ends_at=outage.until + AFTERMATH,
        harm_at=min(complaints, default=None), complaints=len(complaints), also=["service:gateway"],
        harm="customers could not use the shop",
    )  # fmt: skip


def _orders(spec: Spec, o: Orders, business: Business) -> list[Issue]:
    """Label every order that broke its ship-by date or its promised day within the recording, whatever the reason."""
    kept = o.cancelled_at == NEVER
    late = kept & (o.delivered_at > o.broken_at) & (o.broken_at < spec.until)
    slow = kept & (o.handed_over_at > o.ship_by) & (o.ship_by < spec.until)
    complaints = _complaints(o, business)
    made = []
    for row in np.flatnonzero(late | slow).tolist():
        held = int(o.held_by[row])
        kind = (
            "order.ship_by_missed" if slow[row] else "order.promise_passed" if held == OWN else "order.promise_at_risk"
        )
        entity, said = f"order:o{row:08}", complaints.get(row, []) if late[row] else []
        made.append(
            Issue(
                issue_id=derived_id("issue", kind, entity), kind=kind, entity=entity, agent="fulfilment",
                customers=[_customer(int(o.customer[row]))],
                onset=int(o.held_since[row]), ends_at=int(min(o.delivered_at[row], spec.until)),
                harm_at=min(said, default=None), complaints=len(said), cause=_cause(o, row, held),
                harm="came late, or not at all" if late[row] else "handed over late",
            )
        )  # fmt: skip
    return made


def _complaints(o: Orders, business: Business) -> dict[int, list[int]]:
    """Return when the customer complained that the order is late, by order. An early question is about other things."""
    kind, order = business.kind, business.order
    angry = (kind == Kind.REVIEWED) & (business.code <= 2) | (kind == Kind.TICKET_OPENED) | (kind == Kind.CONTACTED)
    angry &= (order >= 0) & (business.at >= o.broken_at[order] - WORRY)
    said: dict[int, list[int]] = {}
    for row in np.flatnonzero(angry).tolist():
        said.setdefault(int(order[row]), []).append(int(business.at[row]))
    return said


def _cause(o: Orders, row: int, held: int) -> str:
    if held == LANE:
        return f"lane:{lane_name(int(o.lane[row]))}"
    if held == BACKLOG:
        return f"seller:s{int(o.products[row, 0]) // PRODUCTS_PER_SELLER:03}"
    return ""


def _lanes(spec: Spec, plan: Plan, of_orders: list[Issue]) -> list[Issue]:
    """One issue per slow lane that broke promises: what the many findings on its orders have in common."""
    made = []
    for slow in plan.lanes:
        entity = f"lane:{lane_name(slow.lane)}"
        mine = [i for i in of_orders if i.cause == entity and i.ends_at > slow.since and i.onset < slow.until]
        if not mine:
            continue
        harms = [i.harm_at for i in mine if i.harm_at is not None]
        made.append(
            Issue(
                issue_id=derived_id("issue", "lane", entity, slow.since), kind="order.promise_at_risk", entity=entity,
                agent="fulfilment", customers=sorted({c for i in mine for c in i.customers}), onset=slow.since,
                ends_at=max(i.ends_at for i in mine), harm_at=min(harms, default=None),
                complaints=sum(i.complaints for i in mine), harm="orders on it came late",
            )
        )  # fmt: skip
    return made


def _customer(number: int) -> str:
    return f"c{number:07}"
