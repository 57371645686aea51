"""What flows between the stages.

Everything is an `Event`: a fact with an event time, an id, a key, a type and its data. Source records become events
(type `order.placed`, …); what the stages derive are events too (type `finding`, `case.opened`, `decision`,
`action`, …), so that every stage speaks one language and all outputs release through one outbox.

Data are built-in values (dict, list, str, int, float, bool, None): they cross processes by pickle and rest in
snapshots as MessagePack. Instants inside data that a stage computes with are microseconds since the epoch.
"""

from __future__ import annotations

from typing import Any

import msgspec

BROADCAST = "\0"
"""The key of an event that every key group of the receiving stage gets (a fleet signal). No record can have it: one
with a NUL character is rejected."""

RELEASE = "release"
"""The stage name under which a logic emits what shall leave the job: the outbox."""


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A fact. Total order: (`at`, `id`, `key`, `type`, `channel`, `seq`)."""

    at: int
    """Event time, microseconds since the epoch."""
    id: str
    """Identity: CloudEvents `source|id` for a source record, a derived id for a derived event."""
    key: str
    """Entity key in the receiving stage; `BROADCAST` for all."""
    type: str
    data: Any
    """Built-in values, by the contract of `type`."""
    channel: str = ""
    """The channel that brought it: `topic/partition` for a source record, else the emitting key group."""
    seq: int = 0
    """Offset in its partition for a source record, else 0."""

    @property
    def order(self) -> tuple[int, str, str, str, str, int]:
        """The position of this event in the total order of its key group.

        One finding may go to several keys of a group under one id, and a duplicate differs in its offset only.
        """
        return (self.at, self.id, self.key, self.type, self.channel, self.seq)


class Reject(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A source record that cannot be processed, bound for the dead letters."""

    topic: str
    partition: int
    offset: int
    reason: str
    """A short code, bounded in number: `not-json`, `unknown-type`, `contract`, `wild-clock`, …"""
    detail: str
    """For a person: the field's path and the rule it broke; never the value of a field that is not public."""
    contract: str
    """`type@version` of the contract that judged it, or "" where none could be found."""
    value: bytes
    """The original bytes; where they, the key or the headers exceed 64 kB, empty, and `value_hash` and `value_bytes`
    stand for them."""
    value_hash: str
    """BLAKE2b-128 of the original bytes, hexadecimal."""
    value_bytes: int
    key: bytes | None = None
    timestamp: int = 0
    """The record's own (Kafka) timestamp, milliseconds since the epoch."""
    headers: list[tuple[str, bytes | None]] = []
    """Those that matter for decoding."""
