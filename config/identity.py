"""Derived identity: ids are computed from what they name, never drawn.

`derived_id` is BLAKE2b-128 over a length-prefixed canonical encoding, so that ("ab", "c") and ("a", "bc") differ,
and so that a replay, a restart or a reload of policy arrives at the same id for the same thing.
"""

from __future__ import annotations

from hashlib import blake2b
from zlib import crc32


def derived_id(*parts: str | int) -> str:
    """Return the 32 hexadecimal digits that identify the tuple of `parts`.

    Args:
        parts: Strings and integers; an integer and its decimal string give different ids.
    """
    digest = blake2b(digest_size=16)
    for part in parts:
        tag, body = (b"s", part.encode()) if isinstance(part, str) else (b"i", str(part).encode())
        digest.update(b"%b%d:%b" % (tag, len(body), body))
    return digest.hexdigest()


def short_hash(text: str) -> int:
    """Return a signed 64-bit hash of `text`, stable across processes and versions."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def key_group(key: str, key_groups: int) -> int:
    """Return the key group of `key`: `crc32(key) % key_groups`."""
    return crc32(key.encode()) % key_groups
