"""How far a sink part is released onto topics: a record in the same transaction as the outputs themselves."""

from __future__ import annotations

import msgspec

from config.errors import SequenceError
from sinks.chain import GENESIS


class Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a sink part is, and who may go on."""

    seq: int = 0
    """Number of the last output."""
    head: str = GENESIS.hex()
    """The chain's hash there, hexadecimal."""
    fence: int = 0
    """Raised by each who takes the part over."""
    owner: str = ""
    """Who did, by a random name: two who raise it at once are told apart."""

    def encode(self) -> bytes:
        """Return the value of the record."""
        return msgspec.json.encode(self)


_decoder = msgspec.json.Decoder(Progress)


def decode(part: str, value: bytes | None) -> Progress:
    """Return what a record says; of a part without one, that nothing is released.

    Raises:
        SequenceError: It is no progress record of ours.
    """
    if value is None:
        return Progress()
    try:
        return _decoder.decode(value)
    except msgspec.MsgspecError as error:
        raise SequenceError(
            f"Sink part {part}: its record in the progress topic cannot be read.",
            remedy="Name a progress topic that only this job writes to (topics.progress).",
        ) from error
