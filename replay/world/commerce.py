"""The records of the topics `orders` and `crm`, and what the carrier reports of its lanes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from config.clock import DAY, SECOND
from replay.world.business import CRM_FIRST, LANES_FIRST, Business, Kind
from replay.world.model import Ints, Spec, draws
from replay.world.orders import NEVER, Orders
from replay.world.text import Names, Part, decimals, instants, joined, numbers, records

TYPES = {
    Kind.PLACED: "order.placed",
    Kind.APPROVED: "order.approved",
    Kind.CANCELLED: "order.cancelled",
    Kind.CAPTURED: "payment.captured",
    Kind.PAYMENT_FAILED: "payment.failed",
    Kind.REFUND_REQUESTED: "refund.requested",
    Kind.REFUND_POSTED: "refund.posted",
    Kind.INVOICED: "invoice.issued",
    Kind.HANDED_OVER: "shipment.handed_over",
    Kind.DELIVERED: "shipment.delivered",
    Kind.REVIEWED: "review.answered",
    Kind.TICKET_OPENED: "ticket.opened",
    Kind.TICKET_CLOSED: "ticket.closed",
    Kind.CONTACTED: "contact.made",
    Kind.USED: "usage.measured",
    Kind.SIGNED_IN: "account.signed_in",
    Kind.CHANGED: "account.changed",
}
METHODS = pl.Series(["card", "card", "card", "wallet", "transfer"])
REASONS = pl.Series(["where is my order", "cannot order", "cannot pay", "cannot use the shop"])
CATEGORIES = pl.Series(["delivery", "website"])


@dataclass(frozen=True)
class Rows:
    """Rows of the business table of one kind, with what their templates need."""

    at: Ints
    number: Ints
    """Row in the whole table: makes the event's id."""
    order: Ints
    customer: Ints
    code: Ints


class Commerce:
    """Makes the records of the business table, any range of its rows."""

    def __init__(self, spec: Spec, names: Names, orders: Orders, table: Business) -> None:
        self._spec, self._names, self._orders, self._table = spec, names, orders, table
        rng = draws(spec.seed, "payment")
        self._method = rng.integers(0, len(METHODS), len(orders))
        self._installments = 1 + rng.integers(0, 6, len(orders)) * (self._method < 3)

    def slice(self, since: int, until: int) -> dict[str, list[pl.DataFrame]]:
        """Return the records with event times in [since, until), by topic."""
        low, high = (int(np.searchsorted(self._table.at, t)) for t in (since, until))
        kinds = self._table.kind[low:high]
        made: dict[str, list[pl.DataFrame]] = {"orders": [], "crm": [], "telemetry": []}
        for kind in np.unique(kinds).tolist():
            number = low + np.flatnonzero(kinds == kind)
            table = self._table
            columns = (table.at, table.order, table.customer, table.code)
            at, order, customer, code = (column[number].astype(np.int64) for column in columns)
            rows = Rows(at, number, order, customer, code)
            topic = "orders" if kind < CRM_FIRST else "crm" if kind < LANES_FIRST else "telemetry"
            frame = self._lane(Kind(kind), rows) if topic == "telemetry" else self._event(topic, Kind(kind), rows)
            made[topic].append(frame)
        return made

    def _event(self, topic: str, kind: Kind, rows: Rows) -> pl.DataFrame:
        key = self._names.customers.gather(rows.customer)
        fields = _DATA[kind](self, rows)
        return records(
            source="/crm" if topic == "crm" else "/shop", kind=TYPES[kind], ids=joined("e", numbers(rows.number)),
            at=rows.at, arrival=rows.at, key=key, partition=self._names.customer_partitions[topic][rows.customer],
            data=('"customer_id":"', key, '"', *fields),
        )  # fmt: skip

    def _lane(self, kind: Kind, rows: Rows) -> pl.DataFrame:
        lane = self._orders.lane[rows.order]
        name = self._names.lanes.gather(lane)
        metric = "handover_hours" if kind == Kind.HANDOVER_MEASURED else "transit_hours"
        return records(
            source="/carrier", kind="fulfilment.measured", ids=joined("l", numbers(rows.number)), at=rows.at,
            arrival=rows.at + SECOND, key=name, partition=self._names.lane_partitions[lane],
            data=('"lane":"', name, f'","metric":"{metric}","value":', decimals(rows.code / 3600, 3)),
        )  # fmt: skip

    def _order(self, rows: Rows) -> tuple[Part, ...]:
        return (',"order_id":"o', numbers(rows.order).str.zfill(8), '"')

    def _order_if_any(self, rows: Rows) -> tuple[Part, ...]:
        named = joined(',"order_id":"o', numbers(rows.order).str.zfill(8), '"')
        return (pl.select(pl.when(pl.Series(rows.order >= 0)).then(named).otherwise(pl.lit(""))).to_series(),)

    def _placed(self, rows: Rows) -> tuple[Part, ...]:
        items = self._names.items
        basket = self._orders.products[rows.order]
        more = [
            pl.select(
                pl.when(pl.Series(column >= 0))
                .then(joined(",", items.gather(np.maximum(column, 0))))
                .otherwise(pl.lit(""))
            ).to_series()
            for column in (basket[:, 1], basket[:, 2])
        ]
        return (
            *self._order(rows), ',"customer_state":"', self._names.states.gather(rows.customer),
            '","promised_at":"', instants(self._orders.promised_at[rows.order]),
            '","items":[', items.gather(basket[:, 0]), *more, "]",
        )  # fmt: skip

    def _approved(self, rows: Rows) -> tuple[Part, ...]:
        ship_by = self._orders.ship_by[rows.order]
        by = joined('"', instants(np.minimum(ship_by, self._spec.until + 9 * DAY)), '"')
        unknown = pl.Series(ship_by == NEVER)
        shown = pl.select(pl.when(unknown).then(pl.lit("null")).otherwise(by)).to_series()
        return (*self._order(rows), ',"ship_by":', shown)

    def _cancelled(self, rows: Rows) -> tuple[Part, ...]:
        return (*self._order(rows), ',"reason":"changed my mind"')

    def _method_and_amount(self, rows: Rows) -> tuple[Part, ...]:
        return (',"method":"', METHODS.gather(self._method[rows.order]), '"', *self._amount(rows))

    def _amount(self, rows: Rows) -> tuple[Part, ...]:
        return (',"amount":', decimals(self._orders.cents[rows.order] / 100, 2))

    def _captured(self, rows: Rows) -> tuple[Part, ...]:
        plan = numbers(self._installments[rows.order])
        return (*self._order(rows), *self._method_and_amount(rows), *self._paid_with(rows), ',"installments":', plan,
                ',"sequence":1')  # fmt: skip

    def _payment_failed(self, rows: Rows) -> tuple[Part, ...]:
        return (*self._order(rows), *self._method_and_amount(rows), *self._paid_with(rows), ',"code":"declined"')

    def _paid_with(self, rows: Rows) -> tuple[Part, ...]:
        who = numbers(rows.customer)
        return (',"payment_id":"y', numbers(rows.number), '","instrument_hash":"i', who, '","device_hash":"d', who, '"')

    def _refund_requested(self, rows: Rows) -> tuple[Part, ...]:
        return (*self._refund_posted(rows), ',"due_at":"', instants(rows.at + 5 * DAY), '"')

    def _refund_posted(self, rows: Rows) -> tuple[Part, ...]:
        return (*self._order(rows), *self._amount(rows), ',"refund_id":"f', numbers(rows.order), '"')

    def _invoiced(self, rows: Rows) -> tuple[Part, ...]:
        due = instants(rows.at + 14 * DAY)
        number = numbers(rows.order)
        return (*self._order(rows), *self._amount(rows), ',"invoice_id":"v', number, '","currency":"EUR","due_at":"',
                due, '"')  # fmt: skip

    def _reviewed(self, rows: Rows) -> tuple[Part, ...]:
        return (*self._order(rows), ',"review_id":"w', numbers(rows.order), '","score":', numbers(rows.code))

    def _ticket_opened(self, rows: Rows) -> tuple[Part, ...]:
        category = CATEGORIES.gather((rows.order < 0).astype(np.int64))
        ticket = numbers(rows.code)
        return (*self._order_if_any(rows), ',"ticket_id":"t', ticket, '","category":"', category, '"')

    def _ticket_closed(self, rows: Rows) -> tuple[Part, ...]:
        return (',"ticket_id":"t', numbers(rows.code), '","resolution":"answered"')

    def _contacted(self, rows: Rows) -> tuple[Part, ...]:
        reason = REASONS.gather(np.minimum(rows.code, 3))
        return (*self._order_if_any(rows), ',"contact_id":"n', numbers(rows.number), '","channel":"phone","reason":"',
                reason, '"')  # fmt: skip

    def _used(self, rows: Rows) -> tuple[Part, ...]:
        return (',"product":"app","unit":"visits","value":', numbers(rows.code + 1))

    def _signed_in(self, rows: Rows) -> tuple[Part, ...]:
        succeeded = pl.Series(["true", "false"]).gather(rows.code)
        return (',"succeeded":', succeeded, ',"device_hash":"d', numbers(rows.customer), '","country":"DE"')

    def _changed(self, rows: Rows) -> tuple[Part, ...]:
        return (',"field":"address"',)


_DATA: dict[Kind, Callable[[Commerce, Rows], tuple[Part, ...]]] = {
    Kind.PLACED: Commerce._placed,
    Kind.APPROVED: Commerce._approved,
    Kind.CANCELLED: Commerce._cancelled,
    Kind.CAPTURED: Commerce._captured,
    Kind.PAYMENT_FAILED: Commerce._payment_failed,
    Kind.REFUND_REQUESTED: Commerce._refund_requested,
    Kind.REFUND_POSTED: Commerce._refund_posted,
    Kind.INVOICED: Commerce._invoiced,
    Kind.HANDED_OVER: Commerce._order,
    Kind.DELIVERED: Commerce._order,
    Kind.REVIEWED: Commerce._reviewed,
    Kind.TICKET_OPENED: Commerce._ticket_opened,
    Kind.TICKET_CLOSED: Commerce._ticket_closed,
    Kind.CONTACTED: Commerce._contacted,
    Kind.USED: Commerce._used,
    Kind.SIGNED_IN: Commerce._signed_in,
    Kind.CHANGED: Commerce._changed,
}
"""The fields of each kind's data, after `customer_id`."""
