"""Experience, of single customers: who is leaving in silence, and who speaks and is not helped.

============================  ==================================================================
`usage.silent_churn`          a subscriber uses hardly anything any more, and says nothing
`contact.repeated`            the third time about one matter, and no help
============================  ==================================================================
"""

from __future__ import annotations

from config.agents.load import Manifest
from operators.agents.base import View
from operators.agents.churn import Churn, ChurnParameters
from operators.agents.repeated import Repeated, RepeatedParameters


class ListeningAgent:
    """Watches how a customer uses what was bought, and what they ask.

    Args:
        churn: What the rule on use goes by.
        repeated: That on contacts.
    """

    name = "experience"
    signals: frozenset[str] = frozenset()

    def __init__(self, churn: ChurnParameters | None = None, repeated: RepeatedParameters | None = None) -> None:
        self._churn = Churn(churn or ChurnParameters())
        self._repeated = Repeated(repeated or RepeatedParameters())

    @classmethod
    def of(cls, manifest: Manifest) -> ListeningAgent:
        """Return the agent with the parameters of its manifest's entries `silent_churn` and `repeated_contact`.

        Raises:
            SettingsError: a parameter is unknown, of the wrong type or out of bounds.
        """
        return cls(
            manifest.parameters("silent_churn", ChurnParameters),
            manifest.parameters("repeated_contact", RepeatedParameters),
        )

    def look(self, view: View) -> int | None:
        """Judge use and contacts; see `CustomerAgent.look`."""
        journey = view.journey
        if journey.matters:
            self._repeated.look(view, self.name)
        return self._churn.look(view, self.name) if journey.habits and journey.subscriptions else None
