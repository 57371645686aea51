"""The connection to Kafka: its settings, and what they are for a client of librdkafka.

Every producer, consumer and administrative client of the job is made from `client_config`, so that all of them reach
the same brokers in the same way. Secrets are in files that the settings name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from config.errors import SettingsError
from config.kafka_security import KafkaSecurity, security_mistakes, security_properties
from config.spec import Spec


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
        SettingsError: the settings, or files that they name, are at fault; names all of their mistakes.
    """
    mistakes = [*_server_mistakes(kafka.bootstrap_servers)]
    mistakes += [f"kafka.security.{mistake}" for mistake in security_mistakes(kafka.security)]
    if mistakes:
        raise SettingsError(
            "; ".join(mistakes) + ".",
            remedy="Correct [kafka] and [kafka.security]; of passwords and keys they hold the names of files.",
        )
    return {
        "bootstrap.servers": kafka.bootstrap_servers,
        "client.id": "forestall",
        "socket.keepalive.enable": True,
        # An idle connection is closed by brokers and firewalls as a matter of course: that is no news.
        "log.connection.close": False,
        **security_properties(kafka.security),
        **{name.replace("_", "."): value for name, value in extra.items()},
    }


def _server_mistakes(servers: str | None) -> Iterator[str]:
    if servers is None:
        yield "kafka.bootstrap_servers is not set: name some of the brokers as host:port,host:port"
        return
    if "@" in servers:
        yield "kafka.bootstrap_servers holds an @: names and passwords do not belong there"
        return
    for server in servers.split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or "/" in host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
            yield f"kafka.bootstrap_servers: {server.strip()!r} is not host:port"
