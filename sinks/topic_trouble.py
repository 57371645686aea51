"""What goes wrong with output topics: what passes is tried again, what does not, stops the job."""

from __future__ import annotations

import time

from confluent_kafka import KafkaError, KafkaException

from config.errors import BrokerError
from config.metrics import PRODUCER_ERRORS
from sinks.transaction import Undelivered

REFUSED = frozenset(
    {
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.INVALID_TRANSACTION_TIMEOUT,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_VERSION,
    }
)


def judge(part: str, trouble: KafkaException | Undelivered | None, deadline: float) -> None:
    """Return if it is worth another attempt.

    Args:
        part: The sink part.
        trouble: What an attempt failed of; None for a commit that was confirmed, and is not there.
        deadline: On the monotonic clock; after it nothing is worth another attempt.

    Raises:
        BrokerError: The brokers refuse us, or are away for too long.
    """
    error = trouble.error if isinstance(trouble, Undelivered) else None if trouble is None else trouble.args[0]
    words = str(trouble) if isinstance(trouble, Undelivered) else error.str() if error else "commits do not last"
    code = None if error is None else error.code()
    PRODUCER_ERRORS.add(1, "delivery" if isinstance(trouble, Undelivered) else _severity(error))
    if code in REFUSED:
        raise BrokerError(
            f"Sink part {part} cannot be written to topics: {words}.",
            remedy="Let the user of [kafka.security] write the topics of [topics], and use transactional ids that "
            "begin with topics.transactional_id_prefix.",
            retry=False,
        )
    if time.monotonic() <= deadline:
        return
    raise BrokerError(
        f"Sink part {part}: nothing could be released to topics for too long: {words}.",
        remedy="Check the brokers; then start the job again.",
        retry=True,
    )


def _severity(error: KafkaError | None) -> str:
    """Return what metrics call an error."""
    if error is None or error.retriable():
        return "retriable"
    return "abortable" if error.txn_requires_abort() else "fatal"
