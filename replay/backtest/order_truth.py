"""What became of each order of a recording: when it was placed, and when its customer answered and complained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from config.contracts import BUILT_IN, load_contracts
from operators.decode import Decoder
from replay.recording import Recording

BATCH = 50_000
COMPLAINT_MAX = 2
"""A review of this score or less (of 1 to 5) is a complaint."""


@dataclass
class Outcome:
    """One order; instants in µs, None where it did not happen within the recording."""

    placed_at: int | None = None
    answered_at: int | None = None
    """When its customer first answered for it."""
    complained_at: int | None = None
    """When the first review of `COMPLAINT_MAX` or less came."""


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
                    found.setdefault(event.data["order_id"], Outcome()).placed_at = event.at
                elif event.type == "review.answered" and event.data.get("order_id"):
                    outcome = found.setdefault(event.data["order_id"], Outcome())
                    outcome.answered_at = min(event.at, outcome.answered_at or event.at)
                    if event.data["score"] <= COMPLAINT_MAX:
                        outcome.complained_at = min(event.at, outcome.complained_at or event.at)
            offset = int(batch.offsets[-1]) + 1
    return {order: outcome for order, outcome in found.items() if outcome.placed_at is not None}
