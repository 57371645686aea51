"""What became of each order of a recording: when it was placed, and when its customer answered and complained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from config.clock import DAY
from config.contracts import BUILT_IN, load_contracts
from operators.decode import Decoder
from replay.recording import Recording

BATCH = 50_000
COMPLAINT_MAX = 2
"""A review of this score or less (of 1 to 5) is a complaint."""


GRACE = DAY
"""A promise is a day, named by its first instant."""


@dataclass
class Outcome:
    """One order; instants in µs, None where it did not happen within the recording."""

    placed_at: int | None = None
    answered_at: int | None = None
    """When its customer first answered for it."""
    complained_at: int | None = None
    """When the first review of `COMPLAINT_MAX` or less came."""
    promised_at: int | None = None
    delivered_at: int | None = None
    known_until: int = 0
    """When the recording ends: what happened later is not known."""

    @property
    def late(self) -> bool | None:
        """Whether it came after the promised day, or has not come though that is over; None where nobody knows."""
        if self.promised_at is None:
            return None
        over = self.promised_at + GRACE
        if self.delivered_at is not None:
            return self.delivered_at > over
        return True if self.known_until > over else None

    def silent_for(self, span: int) -> bool:
        """Return whether nobody has answered within `span` of the delivery, as far as is known."""
        return (
            self.answered_at is None and self.delivered_at is not None and self.known_until > self.delivered_at + span
        )


def outcomes(folder: Path) -> dict[str, Outcome]:
    """Return what became of each order that was placed within the recording, by order id.

    Raises:
        RecordingError: the recording is damaged.
    """
    recording, decoder = Recording.open(folder, verify=False), Decoder(load_contracts(BUILT_IN))
    found: dict[str, Outcome] = {}
    for part in recording.partitions:
        reader, offset = recording.reader(part.topic, part.partition), 0
        while (batch := reader.read(offset, BATCH)) is not None:
            for event in decoder.decode(batch).events():
                if event.type == "order.placed":
                    outcome = found.setdefault(event.data["order_id"], Outcome())
                    outcome.placed_at, outcome.promised_at = event.at, event.data.get("promised_at")
                elif event.type == "shipment.delivered":
                    outcome = found.setdefault(event.data["order_id"], Outcome())
                    outcome.delivered_at = min(event.at, outcome.delivered_at or event.at)
                elif event.type == "review.answered" and event.data.get("order_id"):
                    outcome = found.setdefault(event.data["order_id"], Outcome())
                    outcome.answered_at = min(event.at, outcome.answered_at or event.at)
                    if event.data["score"] <= COMPLAINT_MAX:
                        outcome.complained_at = min(event.at, outcome.complained_at or event.at)
            offset = int(batch.offsets[-1]) + 1
    for outcome in found.values():
        outcome.known_until = recording.recorded_until
    return {order: outcome for order, outcome in found.items() if outcome.placed_at is not None}
