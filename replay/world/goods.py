"""What the shop sells, one product at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from replay.world.model import CATEGORIES, STATES, Fleet


@dataclass(frozen=True)
class Item:
    """A product as an order names it; amounts in cents."""

    product: str
    category: str
    seller: str
    seller_state: str
    cents: int
    freight: int

    def data(self) -> dict[str, Any]:
        """Return it in the form of its contract."""
        return {
            "product_id": self.product, "category": self.category, "seller_id": self.seller,
            "seller_state": self.seller_state, "price": self.cents / 100, "freight": self.freight / 100,
        }  # fmt: skip


def item_of(fleet: Fleet, product: int) -> Item:
    """Return a product of the fleet."""
    seller = int(fleet.product_seller[product])
    return Item(
        f"p{product:05}", CATEGORIES[fleet.product_category[product]], f"s{seller:03}",
        STATES[fleet.seller_state[seller]], int(fleet.product_cents[product]), int(fleet.product_freight[product]),
    )  # fmt: skip
