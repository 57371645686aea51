"""Sign-ins by somebody else: a stranger signs in, changes what locks the owner out or leads goods away, and buys.

Each step alone is everyday: customers travel, buy phones, move house. So all three have to come, in this order and soon
after one another, and the sign-in has to be strange in two ways: device and country both never seen, or one of them
after a row of failures.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from config.clock import micros, to_text
from config.money import MONEY_SCALE
from operators.agents.base import Features, Found, View, day
from operators.customer_state import Account, SignIn

TAKEOVER = "account.takeover"


class TakeoverParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the rule goes by. In the manifest, spans are ISO 8601: `P1D`, `PT36H`."""

    sign_ins_min: Annotated[int, Meta(ge=1)] = 3
    """Before so many successful sign-ins nothing is known of what is usual."""
    failures_min: Annotated[int, Meta(ge=1)] = 3
    """So many failed sign-ins within the hour before make up for a device or a country that is known."""
    change_within: timedelta = timedelta(days=2)
    """A change so long after the sign-in counts,"""
    use_within: timedelta = timedelta(days=3)
    """and a purchase or payout so long after it."""
    fields: tuple[str, ...] = ("password", "email", "phone", "address", "payout_account", "mfa", "recovery")
    """Changes that lock the owner out or lead goods and money away."""
    credentials: tuple[str, ...] = ("password", "email", "phone", "mfa", "recovery")
    """Those of them that lock the owner out."""
    confidence: Annotated[float, Meta(gt=0, le=1)] = 0.92
    """Where the owner is locked out;"""
    confidence_address: Annotated[float, Meta(gt=0, le=1)] = 0.85
    """where goods or money are led away only: customers move house abroad, too."""


class Use(msgspec.Struct, frozen=True):
    """What the stranger bought or had paid out."""

    at: int
    what: str
    amount: int
    harm_at: int | None


class Takeover:
    """Judges what followed each strange sign-in.

    Args:
        parameters: What the rule goes by.
    """

    def __init__(self, parameters: TakeoverParameters) -> None:
        self._parameters = parameters
        self._change_within = micros(parameters.change_within)
        self._use_within = micros(parameters.use_within)
        self._fields = frozenset(parameters.fields)
        self._credentials = frozenset(parameters.credentials)

    def look(self, view: View, agent: str, account: Account) -> None:
        """Report a takeover once per strange sign-in; nothing comes of time alone."""
        if not account.strange or not account.changes:
            return
        for sign_in in account.strange:
            if not self._is_strange(sign_in):
                continue
            reported = account.findings.get(TAKEOVER)
            if reported is not None and reported.occurrence >= to_text(sign_in.at):
                continue
            found = self._judge(view, account, sign_in)
            if found is not None:
                view.report(agent, f"customer:{view.customer}", account, found)

    def _is_strange(self, sign_in: SignIn) -> bool:
        if sign_in.before < self._parameters.sign_ins_min:
            return False
        return (sign_in.new_device and sign_in.new_country) or sign_in.failures >= self._parameters.failures_min

    def _judge(self, view: View, account: Account, sign_in: SignIn) -> Found | None:
        since = sign_in.at
        changes = [
            (at, name)
            for at, name in account.changes
            if since <= at <= since + self._change_within and name in self._fields
        ]
        if not changes:
            return None
        uses = self._uses(view, account, min(changes)[0], since + self._use_within)
        if not uses:
            return None
        locked_out = any(name in self._credentials for _, name in changes)
        fields = ", ".join(sorted({name for _, name in changes}))
        new = " and ".join(
            name for name, is_new in (("device", sign_in.new_device), ("country", sign_in.new_country)) if is_new
        )
        how = f"a {new} never seen" + (f" after {sign_in.failures} failed tries" if sign_in.failures else "")
        features: Features = {
            "new_device": int(sign_in.new_device),
            "new_country": int(sign_in.new_country),
            "failed_sign_ins": sign_in.failures,
            "changed": fields,
            "uses": len(uses),
        }
        money = sum(use.amount for use in uses)
        return Found(
            kind=TAKEOVER,
            occurrence=to_text(since),
            severity="critical" if locked_out else "high",
            confidence=self._parameters.confidence if locked_out else self._parameters.confidence_address,
            harm_at=min((use.harm_at for use in uses if use.harm_at is not None), default=None),
            money=money,
            causes=[],
            queries=[],
            features=features,
            reason=f"Somebody signed in on {day(since)} from {how}, changed {fields}, and then "
            f"{' and '.join(sorted({use.what for use in uses}))}: {money / MONEY_SCALE:.2f} are at stake.",
        )

    def _uses(self, view: View, account: Account, since: int, until: int) -> list[Use]:
        bought = [
            Use(order.placed_at, "placed an order", order.value, order.ship_by)
            for order in view.journey.orders.values()
            if order.placed_at is not None and since <= order.placed_at <= until and order.cancelled_at is None
        ]
        return bought + [
            Use(at, "asked for a payout", amount, at) for at, amount in account.payouts if since <= at <= until
        ]
