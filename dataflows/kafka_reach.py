"""Whether the brokers can be reached as the settings say: asked once at the start, answered in one message.

librdkafka itself tries again for ever, and tells each failure to whoever listens. Here a failure that no waiting
mends (a wrong password, a certificate of another authority) ends the attempt at once.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import ClusterMetadata

from config.errors import BrokerError, TopicError
from config.kafka import Kafka, client_config

PATIENCE = timedelta(seconds=15)
_STEP_S = 0.5
_HUNG_UP = ("isconnected", "eceive failed", "end failed")
"""What librdkafka says of a listener that hangs up on a client of another protocol."""
_NOISE = re.compile(r"\(after \d+ms in state [A-Z_]+[^)]*\)|error:[0-9A-F]+:SSL routines::?|, verify that ssl\.ca.*$")

_BAD_CREDENTIALS = "Correct kafka.security.username, .mechanism and the password in .password_file."
_UNTRUSTED_BROKER = (
    "Name in kafka.security.ca_file the authority that signed the brokers' certificates, and in "
    "kafka.bootstrap_servers the names that are in them."
)
_UNTRUSTED_CLIENT = "Name in kafka.security.certificate_file and .key_file a certificate that the brokers trust."
_OTHER_PROTOCOL = "Check that kafka.security.protocol is that of the listener at this port."
_UNREACHABLE = "Start the brokers, or correct kafka.bootstrap_servers."


def reach(kafka: Kafka, patience: timedelta = PATIENCE) -> ClusterMetadata:
    """Return what the brokers say of themselves and their topics.

    Args:
        kafka: The settings.
        patience: How long to try, as long as trying may help.

    Raises:
        SettingsError: The settings are at fault.
        BrokerError: No broker can be reached, or they refuse us; says why.
    """
    causes: list[KafkaError] = []
    callbacks: dict[str, Any] = {"log_level": 0, "error_cb": causes.append}
    admin = AdminClient(client_config(kafka, reconnect_backoff_ms=250) | callbacks)
    deadline = time.monotonic() + patience.total_seconds()
    while True:
        try:
            return admin.list_topics(timeout=_STEP_S)
        except KafkaException:
            admin.poll(0)
            hopeless = [cause for cause in causes if _hopeless(cause)]
            if hopeless or time.monotonic() > deadline:
                named = [cause for cause in causes if cause.code() != KafkaError._ALL_BROKERS_DOWN]
                raise _fault(kafka, next(iter(hopeless or named[-1:]), None)) from None


def partitions_of(metadata: ClusterMetadata, topics: Iterable[str]) -> dict[str, int]:
    """Return the number of partitions of each topic.

    Raises:
        TopicError: Some of them are not there; names them all.
    """
    found = {name: topic for name, topic in metadata.topics.items() if topic.error is None}
    wanted = list(dict.fromkeys(topics))
    missing = [name for name in wanted if name not in found]
    if missing:
        raise TopicError(
            f"no topic {', '.join(missing)} on the brokers, or no permission to see it.",
            remedy="Create it, correct the name, or grant Describe and Read on it.",
        )
    return {name: len(found[name].partitions) for name in wanted}


def _hopeless(error: KafkaError) -> bool:
    refused = error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL)
    return refused or ("alert" in error.str() and "certificate" in error.str())


def _fault(kafka: Kafka, error: KafkaError | None) -> BrokerError:
    where = f"brokers at {kafka.bootstrap_servers}, protocol {kafka.security.protocol}"
    if error is None:  # a listener that hangs up on a client of another protocol says no more
        return BrokerError(f"{where}: no answer.", remedy=f"{_UNREACHABLE} {_OTHER_PROTOCOL}", retry=True)
    why = " ".join(_NOISE.sub("", error.str()).split())
    # Without the address that librdkafka puts in front; the settings' own says more.
    why = why.partition("/bootstrap: ")[2] or why
    if error.code() == KafkaError._AUTHENTICATION:
        remedy = _BAD_CREDENTIALS
    elif "alert" in why and "certificate" in why:
        remedy = _UNTRUSTED_CLIENT
    elif "certificate verify failed" in why:
        remedy = _UNTRUSTED_BROKER
    elif error.code() == KafkaError._SSL or any(word in why for word in _HUNG_UP):
        remedy = _OTHER_PROTOCOL
    else:
        remedy = _UNREACHABLE
    return BrokerError(f"{where}: {why}.", remedy=remedy, retry=not _hopeless(error))
