"""The chain: each released output is hashed together with the one before it in its sink part.

Changing, removing or reordering an output changes every later hash, and the last of them stands in the recovered
state as well as in the store, so that the two are compared at every start.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec
import orjson

GENESIS = bytes(32)
"""The hash before the first output of a part."""


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One output in its place: numbered from 1 in its sink part, encoded, chained."""

    seq: int
    type: str
    id: str
    at: int
    """Event time, microseconds since the epoch."""
    key: str
    body: bytes
    """The data as canonical JSON."""
    chain: bytes

    @property
    def kind(self) -> str:
        """The family of the output."""
        return kind_of(self.type)


def kind_of(type_: str) -> str:
    """Return the family of an output: its type up to the first full stop."""
    return type_.partition(".")[0]


def canonical(data: Any) -> bytes:
    """Return `data`, made of built-in values, as JSON without blanks and with sorted keys.

    Raises:
        TypeError: `data` holds what JSON cannot: other types, a number beyond 64 bits, half a surrogate pair.
    """
    return orjson.dumps(data, option=orjson.OPT_SORT_KEYS)


def link(head: bytes, part: str, seq: int, type_: str, id_: str, at: int, key: str, body: bytes) -> bytes:
    """Return the hash of an output that follows the one hashed to `head`.

    BLAKE2b-256 over `head`, the length-prefixed fields and the body, so that no two outputs encode alike.
    """
    fields = f"{len(part)}:{part}{seq}:{at}:{len(type_)}:{type_}{len(id_)}:{id_}{len(key)}:{key}"
    return blake2b(b"%b%b\0%b" % (head, fields.encode(), body), digest_size=32).digest()
