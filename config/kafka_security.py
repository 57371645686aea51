"""How clients and brokers know each other: settings, and what they are for librdkafka.

Everything a person can get wrong here is found at the start, by looking at the files, and told in one message; brokers
would tell one mistake at a time, and only some of them. Secrets are in files, and no message shows what is in one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from config.credentials import ca_mistakes, pair_mistakes, secret_mistakes, secret_of, text_of
from config.spec import Spec

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
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


def security_properties(security: KafkaSecurity) -> dict[str, Any]:
    """Return the properties of librdkafka that say how to reach brokers safely; nothing is wrong with `security`.

    Raises:
        ValueError: A file with a secret has gone since it was looked at.
    """
    properties = {
        "security.protocol": security.protocol.upper(),
        "sasl.mechanism": security.mechanism,
        "sasl.username": security.username,
        "sasl.password": secret_of(security.password_file),
        "ssl.ca.location": text_of(security.ca_file),
        "ssl.certificate.location": text_of(security.certificate_file),
        "ssl.key.location": text_of(security.key_file),
        "ssl.key.password": secret_of(security.key_password_file),
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


def _sasl_mistakes(security: KafkaSecurity, protocol: str) -> Iterator[str]:
    given = [name for name in _SASL if getattr(security, name) is not None]
    if not protocol.startswith("SASL"):
        yield from (f"{name} is set, but protocol {protocol} does not use it" for name in given)
        return
    yield from (f"{name} is not set, but protocol {protocol} needs it" for name in _SASL if name not in given)
    if security.mechanism is not None and security.mechanism not in MECHANISMS:
        yield f"mechanism = {security.mechanism!r} is none of {', '.join(MECHANISMS)}"
    yield from secret_mistakes("password_file", security.password_file)


def _tls_mistakes(security: KafkaSecurity, protocol: str) -> Iterator[str]:
    if not protocol.endswith("SSL"):
        given = [name for name in _TLS if getattr(security, name) is not None]
        yield from (f"{name} is set, but protocol {protocol} does not use it" for name in given)
        return
    if security.ca_file is not None:
        yield from ca_mistakes(security.ca_file)
    if security.certificate_file is None:
        if security.key_file is not None:
            yield "key_file is set, but certificate_file is not"
    elif security.key_file is None:
        yield "certificate_file is set, but key_file is not"
    if security.key_password_file is not None and security.key_file is None:
        yield "key_password_file is set, but key_file is not"
    wrong = list(secret_mistakes("key_password_file", security.key_password_file))
    yield from wrong
    if not wrong and security.certificate_file is not None and security.key_file is not None:
        yield from pair_mistakes(security.certificate_file, security.key_file, security.key_password_file)
