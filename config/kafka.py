"""The connection to Kafka: its settings, and what they are for a client of librdkafka.

Every producer, consumer and administrative client of the job is made from `client_config`, so that all of them reach
the same brokers in the same way. Secrets are in files that the settings name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from config.errors import SettingsError
from config.spec import Spec

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


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


@dataclass(frozen=True, kw_only=True)
class Kafka:
    """The topics that a live job reads, and the brokers they are on."""

    bootstrap_servers: Annotated[str | None, Spec("place")]
    """`host:port,host:port` of some of the brokers; "" for a job without Kafka."""
    topics: Annotated[tuple[str, ...], Spec("place")]
    """Topics to read; all their partitions."""
    group_id: Annotated[str, Spec("place")]
    """Consumer group under which progress is published for lag tools; the recovery folder is what counts."""
    start: Annotated[str, Spec("place")]
    """Where a partition without recovered state begins: `committed`, `earliest`, `latest` or an RFC 3339 instant."""
    read_committed: Annotated[bool, Spec("place")]
    """Whether records of transactions that are open or were aborted stay unseen."""
    security: KafkaSecurity


def client_config(kafka: Kafka, **extra: object) -> dict[str, Any]:
    """Return the configuration of a client: librdkafka's properties.

    Args:
        kafka: The settings.
        extra: Further properties; underscores in their names stand for dots.

    Raises:
        SettingsError: no brokers are named, or a file with a secret cannot be read.
    """
    if kafka.bootstrap_servers is None:
        raise SettingsError(
            "kafka.bootstrap_servers is not set.", remedy="Name some of the brokers as host:port, separated by commas."
        )
    return {
        "bootstrap.servers": kafka.bootstrap_servers,
        "client.id": "forestall",
        "socket.keepalive.enable": True,
        # An idle connection is closed by brokers and firewalls as a matter of course: that is no news.
        "log.connection.close": False,
        **_security(kafka.security),
        **{name.replace("_", "."): value for name, value in extra.items()},
    }


def _security(security: KafkaSecurity) -> dict[str, Any]:
    protocol = security.protocol.upper()
    if protocol not in PROTOCOLS:
        raise SettingsError(
            f"kafka.security.protocol = {security.protocol!r} is not known.",
            remedy=f"Give one of {', '.join(PROTOCOLS)}.",
        )
    found = {
        "security.protocol": protocol,
        "sasl.mechanism": security.mechanism,
        "sasl.username": security.username,
        "sasl.password": _secret("password_file", security.password_file),
        "ssl.ca.location": _path(security.ca_file),
        "ssl.certificate.location": _path(security.certificate_file),
        "ssl.key.location": _path(security.key_file),
        "ssl.key.password": _secret("key_password_file", security.key_password_file),
    }
    return {name: value for name, value in found.items() if value is not None}


def _path(file: Path | None) -> str | None:
    return None if file is None else str(file)


def _secret(name: str, file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(
            f"kafka.security.{name}: {file}: {reason}.", remedy="Name a file that this user may read."
        ) from None
