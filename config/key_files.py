"""Files of private keys: PEM, for nobody to read but their owner."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from config.errors import InputError, UsageError

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private_key(file: Path) -> Ed25519PrivateKey:
    """Draw a key and write it to a new file that only its owner may read.

    Raises:
        UsageError: there is a file of that name: a key that is lost cannot be had again.
    """
    key = Ed25519PrivateKey.generate()
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{file} is there already.", remedy="Name another file, or move that one away.") from None
    with os.fdopen(handle, "wb") as opened:
        opened.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        opened.flush()
        os.fsync(opened.fileno())
    return key


def read_private_key(file: Path) -> Ed25519PrivateKey:
    """Return the key in a file.

    Raises:
        InputError: it cannot be read, may be read by others, or holds no Ed25519 key; nothing of it is quoted.
    """
    try:
        with file.open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            content = opened.read()
    except OSError as error:
        raise InputError(
            f"{file}: {error.strerror}.", remedy="Name the file that `forestall keys make` wrote."
        ) from None
    if mode & OTHERS:
        raise InputError(
            f"{file} may be read or written by others (mode {mode:03o}).",
            remedy=f"Say chmod 600 {file}; if others could have read it, have the key revoked and make another.",
        )
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _no_key(file) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(file)
    return key


def _no_key(file: Path) -> InputError:
    return InputError(
        f"{file} holds no Ed25519 private key in PEM without a password.",
        remedy="Name the file that `forestall keys make` wrote.",
    )
