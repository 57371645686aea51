"""What an outbox keeps in the recovery, and how it is read again."""

from __future__ import annotations

import msgspec

from config.errors import RecoveryError
from sinks.chain import GENESIS, Entry
from sinks.part_writer import ChannelStats

STATE_VERSION = 1


class OutboxState(msgspec.Struct, frozen=True, array_like=True):
    """What an outbox keeps in the recovery."""

    version: int
    base_seq: int
    """The last entry that is not held any more."""
    base_head: bytes
    """The chain's hash there."""
    entries: list[Entry]
    stats: list[ChannelStats]


_decoder = msgspec.msgpack.Decoder(OutboxState)


def decoded(part: str, state: bytes | None) -> OutboxState:
    """Return what `Outbox.snapshot` encoded; of an outbox that begins, when there is nothing.

    Raises:
        RecoveryError: It is damaged, or of another version.
    """
    if state is None:
        return OutboxState(STATE_VERSION, 0, GENESIS, [], [])
    remedy = "Use the version of Forestall that wrote the recovery folder."
    try:
        version = msgspec.msgpack.decode(state)[0]
        if version != STATE_VERSION:
            raise RecoveryError(
                f"Sink part {part}: its state has version {version!r}, this program reads {STATE_VERSION}.",
                remedy=remedy,
            )
        return _decoder.decode(state)
    except (msgspec.DecodeError, TypeError, IndexError, KeyError) as error:
        raise RecoveryError(f"Sink part {part}: its recovered state is damaged.", remedy=remedy) from error
