"""The kinds of trouble a world can have, the decoys, and which kinds of finding speak of the same trouble."""

from __future__ import annotations

ISSUES = {
    "service.degraded": "services that get slow; a week",
    "service.failing": "services that fail; a week",
    "order.promise_at_risk": "slow lanes, each delaying whatever is on it for days; a week",
    "order.ship_by_missed": "orders that their seller forgets for days; per 1,000 orders",
    "seller.backlog": "sellers that hand nothing over for days; a week",
    "order.promise_passed": "parcels that bad luck holds up on the road; per 1,000 orders",
    "order.stuck": "orders that are never approved, never handed over, or lost on the road; per 1,000 orders",
    "inventory.oversold": "products of which more is sold than there is; a week",
    "payment.double_charge": "orders charged twice and not refunded; per 1,000 orders",
    "payment.amount_mismatch": "orders charged more than they cost; per 1,000 orders",
    "refund.not_posted": "refunds that do not come; per 1,000 orders",
    "invoice.plan_mismatch": "invoices that are not what the plan says; per 1,000 orders",
    "payment.card_testing": "accounts or devices that try stolen cards; per 1,000 orders",
    "account.takeover": "accounts used by somebody else; per 1,000 orders",
    "payment.velocity": "accounts that buy far more than they ever would; per 1,000 orders",
    "complaint.burst": "products with a bad batch, of which many complain; a week",
    "usage.silent_churn": "subscribers who stop using what they pay for, and then leave; per 1,000 orders",
    "contact.repeated": "customers who ask again and again and get no help; per 1,000 orders",
    "order.complaint_likely": "new sellers whose goods disappoint nearly everybody; a week",
}
"""What `rates` in a scenario can name. The last word says what the rate counts."""

DECOYS = {
    "promotion": "twice the traffic for some hours; a week",
    "blip": "one slow measurement, gone with the next; a week",
    "maintenance": "a service measures nothing for half an hour at night, and serves well; a week",
    "honest_lane": "a lane takes twice as long for days, and promises say so; a week",
    "split_payment": "an order paid in two parts, now and then in equal halves; per 1,000 orders",
    "voucher": "an order paid with a voucher and a card; per 1,000 orders",
    "retry": "a payment that failed two to four times, then succeeds once; per 1,000 orders",
    "twin_orders": "the same basket bought twice on purpose; per 1,000 orders",
    "charge_reversed": "a second charge that is refunded within a quarter of an hour; per 1,000 orders",
    "instalments": "an order paid in instalments, with a little interest; per 1,000 orders",
    "refund_just_in_time": "a refund posted in its last hours; per 1,000 orders",
    "proration": "a plan changed within the period, billed in proportion; per 1,000 orders",
    "credit_note": "a negative invoice after an honest one; per 1,000 orders",
    "shared_device": "a family or shop device with many customers, hardly any of whose payments fail; per 1,000 orders",
    "traveller": "a customer who signs in from abroad with the usual device, and buys; per 1,000 orders",
    "new_phone": "a customer with a new device at home, who buys; per 1,000 orders",
    "forgotten_password": "failed sign-ins on the usual device, then a new password; per 1,000 orders",
    "move": "a changed address before a move, and an order to it; per 1,000 orders",
    "gift_spree": "three or four orders within a day, as before a holiday; per 1,000 orders",
    "business_customer": "a customer who buys many times every day; per 1,000 orders",
    "well_stocked": "one warehouse is empty, the other full; a week",
    "restock": "a product nearly sold out, of which more arrives in time; a week",
    "review_wave": "many reviews at once, with the usual share of bad ones; a week",
    "loud_customer": "one customer who complains five times of one seller; per 1,000 orders",
    "vacation": "a subscriber who uses nothing for a week and comes back; per 1,000 orders",
    "paused": "a subscriber who pauses the subscription and uses nothing; per 1,000 orders",
    "low_user": "a subscriber who always uses little; per 1,000 orders",
    "second_question": "a second question after an answer; per 1,000 orders",
    "one_call": "a call and the ticket of that call; per 1,000 orders",
    "pre_order": "an order with a late promise, which lies for long; per 1,000 orders",
}
"""What `decoys` in a scenario can name."""

FLEET = frozenset(
    kind for kind, text in (ISSUES | DECOYS).items() if text.endswith("a week")
)  # fmt: skip
"""Those whose rate counts by week; all others count by 1,000 orders."""

# fmt: off
_FAMILIES = (
    ("service", "outage", ("service.degraded", "service.failing")),
    (
        "order",
        "fulfilment",
        (
            "order.ship_by_missed", "order.promise_at_risk", "order.promise_passed", "order.stuck",
            "order.complaint_likely", "lane.degraded", "seller.degraded",
        ),
    ),
    ("stock", "fulfilment", ("inventory.oversold",)),
    ("charge", "billing", ("payment.double_charge", "payment.amount_mismatch")),
    ("refund", "billing", ("refund.not_posted",)),
    ("invoice", "billing", ("invoice.plan_mismatch",)),
    ("card", "fraud", ("payment.card_testing", "payment.velocity")),
    ("account", "fraud", ("account.takeover",)),
    ("burst", "experience", ("complaint.burst",)),
    ("churn", "experience", ("usage.silent_churn",)),
    ("contact", "experience", ("contact.repeated",)),
)
# fmt: on
FAMILY = {kind: family for family, _, kinds in _FAMILIES for kind in kinds}
"""Kinds of one family speak of the same trouble: an order found stuck and one found at risk are both found."""
AGENT = {kind: agent for _, agent, kinds in _FAMILIES for kind in kinds} | {"order.complaint_likely": "experience"}
"""Who ought to find each kind."""
