"""Products of which more was sold than there is: found when it happens, days before orders are cancelled for it.

Levels are what lies in the warehouses at an instant; goods leave them at hand-over. So what is wanted is all units of
accepted orders that had not left when the levels were measured. Levels come to light at the end of their pane, so both
are compared just after it, when no earlier level can follow.
"""

from __future__ import annotations

from datetime import timedelta
from math import fsum
from typing import Annotated

import msgspec
from msgspec import Meta

from config.agents.load import Manifest
from config.clock import micros, to_text
from config.events import Event
from config.findings import Evidence, Finding, Query
from config.money import MONEY_SCALE
from operators.cause_state import CauseState
from operators.fleet_watch import SETTLE, fleet_finding
from operators.watch_state import Demand, Level, Stock

AGENT, OVERSOLD = "fulfilment", "inventory.oversold"
STOCK, DEMAND, LEFT, GONE = "stock", "demand", "left", "gone"
"""Types of the events of a product: a level was measured; an order takes it, was handed over, was cancelled."""
RECORDS_MAX = 8


class OversoldParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the rule goes by. In the manifest, spans are ISO 8601: `P1D`, `PT36H`."""

    level_ttl: timedelta = timedelta(days=7)
    """A level older than this tells nothing: the warehouse has stopped measuring it."""
    demand_ttl: timedelta = timedelta(days=30)
    """An order of which nothing was heard for so long takes nothing any more."""
    demand_max: Annotated[int, Meta(ge=1)] = 4_000
    """Orders remembered per product; beyond, the oldest go."""
    confidence: Annotated[float, Meta(gt=0, le=1)] = 0.93


class OversoldWatch:
    """Compares a product's stock with the orders that wait for it.

    Args:
        parameters: What the rule goes by.
        pane: Length of the panes that levels are measured in, µs.
    """

    name = "oversold"
    types = frozenset({STOCK, DEMAND, LEFT, GONE})

    def __init__(self, parameters: OversoldParameters, pane: int) -> None:
        self._parameters = parameters
        self._pane = pane
        self._level_ttl = micros(parameters.level_ttl)
        self._demand_ttl = micros(parameters.demand_ttl)

    @classmethod
    def of(cls, manifest: Manifest, pane: int) -> OversoldWatch:
        """Return the watch with the parameters of its manifest's entry `oversold`.

        Raises:
            SettingsError: a parameter is unknown, of the wrong type or out of bounds.
        """
        return cls(manifest.parameters("oversold", OversoldParameters), pane)

    def note(self, state: CauseState, event: Event) -> int | None:
        """See `Watch.note`."""
        stock = state.stock
        if stock is None:
            stock = state.stock = Stock()
        data, now = event.data, event.at
        if event.type == STOCK:
            level = Level(data["at"], data["on_hand"], data["spans"], data["since"], data["until"], data["contract"])
            stock.levels[data["warehouse"]] = level
            return now + SETTLE
        order = data["order"]
        if event.type == DEMAND:
            stock.demand[order] = Demand(now, data["units"], data["amount"], tuple(data["record"]))
            while len(stock.demand) > self._parameters.demand_max:
                del stock.demand[next(iter(stock.demand))]
        elif order in stock.demand:
            if event.type == GONE:
                del stock.demand[order]
            else:
                stock.demand[order] = msgspec.structs.replace(stock.demand[order], left_at=now)
        return (now // self._pane + 1) * self._pane + SETTLE

    def look(self, key: str, state: CauseState, now: int) -> tuple[list[Finding], int | None]:
        """See `Watch.look`."""
        stock = state.stock
        if stock is None:
            return [], None
        stock.levels = {name: level for name, level in stock.levels.items() if level.at > now - self._level_ttl}
        if not stock.levels:
            return self._end(key, stock, now, "Its stock is not measured any more."), None
        measured_at = max(level.at for level in stock.levels.values())
        stock.demand = {
            order: demand
            for order, demand in stock.demand.items()
            if demand.placed_at > now - self._demand_ttl and (not demand.left_at or demand.left_at > measured_at)
        }
        on_hand = fsum(level.on_hand for level in stock.levels.values())
        wanted = sum(demand.units for demand in stock.demand.values())
        if wanted <= on_hand:
            return self._end(key, stock, now, f"{wanted} units are wanted, {on_hand:g} are there again."), None
        if stock.found:
            return [], None
        stock.found = to_text(now)
        return [self._found(key, stock, now, wanted, on_hand)], None

    def _found(self, key: str, stock: Stock, now: int, wanted: int, on_hand: float) -> Finding:
        short, amount, orders = wanted - on_hand, 0, 0
        newest = sorted(stock.demand.values(), key=lambda demand: (demand.placed_at, demand.record), reverse=True)
        beyond = 0
        for demand in newest:
            if beyond >= short:
                break
            beyond, amount, orders = beyond + demand.units, amount + demand.amount, orders + 1
        product = key.partition(":")[2]
        queries = [
            Query(level.spans, product, name, level.since, level.until, level.contract)
            for name, level in sorted(stock.levels.items())
        ]
        records = [demand.record for demand in newest[:RECORDS_MAX]]
        return fleet_finding(
            AGENT,
            OVERSOLD,
            key,
            stock.found,
            now,
            severity="high",
            confidence=self._parameters.confidence,
            money=amount / MONEY_SCALE,
            evidence=Evidence(
                records=records[::-1],
                queries=queries,
                features={"wanted": wanted, "on_hand": on_hand, "warehouses": len(queries), "customers": orders},
            ),
            reason=f"Of product {product} {wanted} units are sold and not handed over, {on_hand:g} are there: "
            f"the last {orders} orders cannot be served.",
        )

    def _end(self, key: str, stock: Stock, now: int, reason: str) -> list[Finding]:
        if not stock.found:
            return []
        occurrence, stock.found = f"{stock.found} until {to_text(now)}", ""
        return [
            fleet_finding(
                AGENT, OVERSOLD, key, occurrence, now, severity="low", confidence=1.0, evidence=Evidence(),
                reason=reason, resolves=True,
            )
        ]  # fmt: skip
