"""Whether recovered outputs go on where those that were released ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from config.errors import SequenceError

NEWER_BACK = "put the newer one back, or start with a new store and a new recovery folder."


class Standing(NamedTuple):
    """How far a sink part is released."""

    seq: int
    """Number of its last output; 0 for none."""
    head: bytes
    """The chain's hash there."""


def check_continues(part: str, released: Standing, base_seq: int, heads: Sequence[bytes]) -> None:
    """Check that a recovered outbox continues what was released of its part.

    Args:
        part: Name of the sink part.
        released: How far it is.
        base_seq: The last entry that the recovered outbox no longer holds; 0 when nothing was recovered.
        heads: The chain's hash at `base_seq`, then at each entry the outbox still holds.

    Raises:
        SequenceError: It does not.
    """
    last = base_seq + len(heads) - 1
    if released.seq > last:
        raise SequenceError(
            f"TIME TRAVEL: sink part {part} is at {released.seq} in the store, the recovered state only at {last}.",
            remedy=f"The recovery folder is older than the store: {NEWER_BACK}",
        )
    if released.seq < base_seq:
        raise SequenceError(
            f"GAP: sink part {part} is at {released.seq} in the store, the recovered state begins after {base_seq}.",
            remedy=f"The store is older than the recovery folder: {NEWER_BACK}",
        )
    if released.head != heads[released.seq - base_seq]:
        raise SequenceError(
            f"CHAIN: sink part {part}, entry {released.seq}: store and recovered state hold different histories.",
            remedy="Store and recovery folder do not belong together, or one was altered: keep both for "
            "examination, and start with a new store and a new recovery folder.",
        )
