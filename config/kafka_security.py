"""How clients and brokers know each other: settings, and what they are for librdkafka.

Everything a person can get wrong here is found at the start, by looking at the files, and told in one message; brokers
would tell one mistake at a time, and only some of them. Secrets are in files, and no message shows what is in one.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from config.spec import Spec

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
SECRET_BYTES_MAX = 4096
_TLS = ("ca_file", "certificate_file", "key_file", "key_password_file")
_SASL = ("mechanism", "username", "password_file")


@dataclass(frozen=True, kw_only=True)
class KafkaSecurity:
    """How clients and brokers know each other; "" where there is nothing to say."""

    protocol: Annotated[str, Spec("place")]
    """Kafka's name of it: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
    mechanism: Annotated[str | None, Spec("place")]
    """Of SASL: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."""
    username: Annotated[str | None, Spec("place")]
    """Of SASL."""
    password_file: Annotated[Path | None, Spec("place")]
    """File with the password for SASL; a newline at its end does not count."""
    ca_file: Annotated[Path | None, Spec("place")]
    """PEM file of the authorities that brokers' certificates must be signed by; the system's if not given."""
    certificate_file: Annotated[Path | None, Spec("place")]
    """PEM file of the client's own certificate."""
    key_file: Annotated[Path | None, Spec("place")]
    """PEM file of the certificate's private key."""
    key_password_file: Annotated[Path | None, Spec("place")]
    """File with the private key's password; a newline at its end does not count."""


class Secret(str):
    """A text that is not shown where values are shown: in tracebacks, logs and messages of failed tests."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(…)"


def security_properties(security: KafkaSecurity) -> dict[str, Any]:
    """Return the properties of librdkafka that say how to reach brokers safely; nothing is wrong with `security`.

    Raises:
        ValueError: A file with a secret has gone since it was looked at.
    """
    properties = {
        "security.protocol": security.protocol.upper(),
        "sasl.mechanism": security.mechanism,
        "sasl.username": security.username,
        "sasl.password": _secret(security.password_file),
        "ssl.ca.location": _text(security.ca_file),
        "ssl.certificate.location": _text(security.certificate_file),
        "ssl.key.location": _text(security.key_file),
        "ssl.key.password": _secret(security.key_password_file),
    }
    return {name: value for name, value in properties.items() if value is not None}


def security_mistakes(security: KafkaSecurity) -> Iterator[str]:
    """Yield all that is wrong with the settings and the files they name, each with the setting's name first."""
    protocol = security.protocol.upper()
    if protocol not in PROTOCOLS:
        yield f"protocol = {security.protocol!r} is none of {', '.join(PROTOCOLS)}"
        return
    yield from _sasl_mistakes(security, protocol)
    yield from _tls_mistakes(security, protocol)


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


def _sasl_mistakes(security: KafkaSecurity, protocol: str) -> Iterator[str]:
    given = [name for name in _SASL if getattr(security, name) is not None]
    if not protocol.startswith("SASL"):
        yield from (f"{name} is set, but protocol {protocol} does not use it" for name in given)
        return
    yield from (f"{name} is not set, but protocol {protocol} needs it" for name in _SASL if name not in given)
    if security.mechanism is not None and security.mechanism not in MECHANISMS:
        yield f"mechanism = {security.mechanism!r} is none of {', '.join(MECHANISMS)}"
    yield from _secret_mistakes("password_file", security.password_file)


def _tls_mistakes(security: KafkaSecurity, protocol: str) -> Iterator[str]:
    if not protocol.endswith("SSL"):
        given = [name for name in _TLS if getattr(security, name) is not None]
        yield from (f"{name} is set, but protocol {protocol} does not use it" for name in given)
        return
    if security.ca_file is not None:
        yield from _ca_mistakes(security.ca_file)
    if security.certificate_file is None:
        if security.key_file is not None:
            yield "key_file is set, but certificate_file is not"
    elif security.key_file is None:
        yield "certificate_file is set, but key_file is not"
    if security.key_password_file is not None and security.key_file is None:
        yield "key_password_file is set, but key_file is not"
    wrong = list(_secret_mistakes("key_password_file", security.key_password_file))
    yield from wrong
    if not wrong and security.certificate_file is not None and security.key_file is not None:
        yield from _pair_mistakes(security.certificate_file, security.key_file, security.key_password_file)


def _secret_mistakes(name: str, file: Path | None) -> Iterator[str]:
    if file is not None:
        try:
            read_secret(file)
        except ValueError as error:
            yield f"{name} {error}"


def _ca_mistakes(file: Path) -> Iterator[str]:
    try:
        file.read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except ssl.SSLError:
        yield f"ca_file = {str(file)!r} holds no certificate in PEM"
    except OSError as error:
        yield f"ca_file {_fault(file, error)}"


def _pair_mistakes(certificate: Path, key: Path, password_file: Path | None) -> Iterator[str]:
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
    password = _secret(password_file)
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


def _secret(file: Path | None) -> Secret | None:
    return None if file is None else read_secret(file)


def _text(file: Path | None) -> str | None:
    return None if file is None else str(file)


def _fault(file: Path, error: OSError) -> str:
    """Return why a file cannot be read; its folder is named, which no secret is, if it exists."""
    where = f" in {file.parent}" if file.parent.is_dir() else ""
    return f"names a file{where} that cannot be read: {error.strerror}"
