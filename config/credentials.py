"""Secrets, certificates and keys: each in a file of its own, looked at before it is used, and never shown."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

SECRET_BYTES_MAX = 4096


class Secret(str):
    """A text that is not shown where values are shown: in tracebacks, logs and messages of failed tests."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(…)"


def read_secret(file: Path) -> Secret:
    """Return the secret in a file, without the newline at its end.

    Raises:
        ValueError: There is none; says why, and neither the secret nor the file's last name, for a secret may have
            been written where the name of its file belongs.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ValueError(_fault(file, error)) from None
    if len(content) > SECRET_BYTES_MAX:
        raise ValueError(f"names a file of {len(content)} bytes, which is no password")
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("names a file that is not UTF-8 text") from None
    if not text:
        raise ValueError("names an empty file")
    if "\n" in text or "\0" in text:
        raise ValueError("names a file of several lines; a password is one")
    return Secret(text)


def secret_mistakes(name: str, file: Path | None) -> Iterator[str]:
    """Yield what is wrong with the file of a secret; `name` is the setting's."""
    if file is not None:
        try:
            read_secret(file)
        except ValueError as error:
            yield f"{name} {error}"


def ca_mistakes(file: Path) -> Iterator[str]:
    """Yield what is wrong with a file of authorities' certificates."""
    try:
        file.read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except ssl.SSLError:
        yield f"ca_file = {str(file)!r} holds no certificate in PEM"
    except OSError as error:
        yield f"ca_file {_fault(file, error)}"


def pair_mistakes(certificate: Path, key: Path, password_file: Path | None) -> Iterator[str]:
    """Yield what is wrong with a certificate and its private key."""
    absent = False
    for name, file, what in (("certificate_file", certificate, "CERTIFICATE"), ("key_file", key, "PRIVATE KEY")):
        try:
            if f"{what}-----".encode() not in file.read_bytes():
                yield f"{name} = {str(file)!r} holds no {what.lower()} in PEM"
                absent = True
        except OSError as error:
            yield f"{name} {_fault(file, error)}"
            absent = True
    if absent:
        return
    password = secret_of(password_file)
    asked = False

    def answer() -> str:
        # Without an answer of ours OpenSSL would ask for it on the terminal.
        nonlocal asked
        asked = True
        return password or ""

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, answer)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            yield f"key_file = {str(key)!r} is not the key of the certificate in certificate_file"
        elif asked and password is None:
            yield f"key_file = {str(key)!r} is encrypted, but key_password_file is not set"
        elif asked:
            yield f"key_password_file does not open key_file = {str(key)!r}"
        else:
            yield f"certificate_file and key_file cannot be used: {error.reason or 'not PEM'}"


def secret_of(file: Path | None) -> Secret | None:
    """Return the secret in a file, if one is named."""
    return None if file is None else read_secret(file)


def text_of(file: Path | None) -> str | None:
    """Return the path of a file, if one is named."""
    return None if file is None else str(file)


def _fault(file: Path, error: OSError) -> str:
    """Return why a file cannot be read; its folder is named, which no secret is, if it exists."""
    where = f" in {file.parent}" if file.parent.is_dir() else ""
    return f"names a file{where} that cannot be read: {error.strerror}"
