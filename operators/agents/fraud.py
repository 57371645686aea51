"""Fraud: what looks like somebody paying with what is not theirs; to hold or to refuse it is for people.

============================  ==================================================================
`payment.card_testing`        many different cards fail on one account, or by one device across accounts
`account.takeover`            a strange sign-in, then a changed credential or address, then a purchase or payout
`payment.velocity`            far more orders paid within a day than the customer's rate, or their peers', lets expect
============================  ==================================================================
"""

from __future__ import annotations

from config.agents.load import Manifest
from operators.agents.base import View, earliest
from operators.agents.card_testing import CardTesting, CardTestingParameters
from operators.agents.takeover import Takeover, TakeoverParameters
from operators.agents.velocity import Velocity, VelocityParameters


class FraudAgent:
    """Watches how a customer pays and signs in.

    Args:
        card_testing: What the rule on failed payments goes by.
        takeover: That on sign-ins.
        velocity: That on the rate of payments.
    """

    name = "fraud"
    signals: frozenset[str] = frozenset()

    def __init__(
        self,
        card_testing: CardTestingParameters | None = None,
        takeover: TakeoverParameters | None = None,
        velocity: VelocityParameters | None = None,
    ) -> None:
        self._card_testing = CardTesting(card_testing or CardTestingParameters())
        self._takeover = Takeover(takeover or TakeoverParameters())
        self._velocity = Velocity(velocity or VelocityParameters())

    @classmethod
    def of(cls, manifest: Manifest) -> FraudAgent:
        """Return the agent with the parameters of its manifest's entries of the rules' names.

        Raises:
            SettingsError: a parameter is unknown, of the wrong type or out of bounds.
        """
        return cls(
            manifest.parameters("card_testing", CardTestingParameters),
            manifest.parameters("takeover", TakeoverParameters),
            manifest.parameters("velocity", VelocityParameters),
        )

    def look(self, view: View) -> int | None:
        """Judge payments and sign-ins; see `CustomerAgent.look`."""
        journey = view.journey
        again = self._velocity.look(view, self.name)
        if journey.wallet is not None:
            again = earliest(again, self._card_testing.look(view, self.name, journey.wallet))
        if journey.account is not None:
            self._takeover.look(view, self.name, journey.account)
        return again
