"""Outputs as CloudEvents 1.0 in Kafka's binary mode.

Binary, not structured: the value of the record is then byte for byte the body that the chain was computed over, so
that a reader can verify it; and what routes an event stands in headers, to be read without parsing the body.
"""

from __future__ import annotations

from typing import NamedTuple

from config.clock import TIME_MAX, TIME_MIN, to_text
from sinks.chain import Entry

PART = "forestall-part"
SEQ = "forestall-seq"
CHAIN = "forestall-chain"
"""Headers beside those of CloudEvents: they belong to the delivery, not to the event."""

PREFIX = "ce_"
OVERHEAD_BYTES = 512
"""Of a record and of the batch around it, at the most; names of headers included."""


class Message(NamedTuple):
    """A record for a topic."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]

    @property
    def size(self) -> int:
        """Bytes on the broker, before compression, at the most."""
        return OVERHEAD_BYTES + len(self.key) + len(self.value) + sum(len(value) for _, value in self.headers)


def message(part: str, entry: Entry, source: str, size_max: int) -> Message:
    """Return the record of an output.

    Args:
        part: Its sink part.
        entry: The output.
        source: Name of the job: with the kind, what makes the id unique.
        size_max: Bytes that its topic takes. What is larger is sent without its body: `ce_dataref` says where in the
            store it is.
    """
    attributes = {
        "specversion": "1.0",
        "id": entry.id,
        "source": f"/forestall/{source}/{entry.kind}",
        "type": entry.type,
        "subject": entry.key,
    }
    if TIME_MIN < entry.at < TIME_MAX:
        attributes["time"] = to_text(entry.at)
    headers = [(PREFIX + name, value.encode()) for name, value in attributes.items() if value]
    headers += [
        (PART, part.encode()),
        (SEQ, str(entry.seq).encode()),
        (CHAIN, entry.chain.hex().encode()),
    ]
    whole = Message(entry.key.encode(), entry.body, [*headers, ("content-type", b"application/json")])
    if whole.size <= size_max:
        return whole
    # Empty, not null: to a compacted topic null would say that all with this key is to go.
    return Message(whole.key, b"", [*headers, (PREFIX + "dataref", f"store:{entry.kind}/{entry.id}".encode())])
