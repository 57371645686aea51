"""Whether recovered outputs go on where those that were released ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from config.errors import SequenceError


class Standing(NamedTuple):
    """How far a sink part is released."""

    seq: int
    """Number of its last output; 0 for none."""
    head: bytes
    """The chain's hash there."""


def check_continues(
    part: str, released: Standing, base_seq: int, heads: Sequence[bytes], where: str = "the store", anew: str = ""
) -> None:
    """Check that a recovered outbox continues what was released of its part.

    Args:
        part: Name of the sink part.
        released: How far it is.
        base_seq: The last entry that the recovered outbox no longer holds; 0 when nothing was recovered.
        heads: The chain's hash at `base_seq`, then at each entry the outbox still holds.
        where: Where it was released to, for messages.
        anew: What else has to be new where all is begun anew.

    Raises:
        SequenceError: It does not.
    """
    last = base_seq + len(heads) - 1
    begin = f"start with a new store and a new recovery folder{anew}."
    if released.seq > last:
        raise SequenceError(
            f"TIME TRAVEL: sink part {part} is at {released.seq} in {where}, the recovered state only at {last}.",
            remedy=f"The recovery folder is older than {where}: put the newer one back, or {begin}",
        )
    if released.seq < base_seq:
        raise SequenceError(
            f"GAP: sink part {part} is at {released.seq} in {where}, the recovered state begins after {base_seq}.",
            remedy=f"What is in {where} is older than the recovery folder: put the newer back, or {begin}",
        )
    if released.head != heads[released.seq - base_seq]:
        raise SequenceError(
            f"CHAIN: sink part {part}, entry {released.seq}: {where} and recovered state hold different histories.",
            remedy="They do not belong together, or one was altered: keep both for examination, and " + begin,
        )
