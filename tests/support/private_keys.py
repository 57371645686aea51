"""Private keys of people in tests."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def private_key(name: str) -> Ed25519PrivateKey:
    """Return the key of the person called `name`, always the same."""
    return Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32)[:32])
