"""What goes wrong with output topics: what passes is tried again, what does not, stops the job."""

from __future__ import annotations

import time

from confluent_kafka import KafkaError, KafkaException

from config.errors import BrokerError, TopicError
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
UNKNOWN = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})


def judge(part: str, trouble: KafkaException | Undelivered | None, deadline: float) -> None:
    """Return if it is worth another attempt.

    Args:
        part: The sink part.
        trouble: What an attempt failed of; None for a commit that was confirmed, and is not there.
        deadline: On the monotonic clock; after it nothing is worth another attempt.

    Raises:
        BrokerError: The brokers refuse us, or are away for too long.
        TopicError: A topic is gone, or takes less than it did.
    """
    error = trouble.error if isinstance(trouble, Undelivered) else None if trouble is None else trouble.args[0]
    words = str(trouble) if isinstance(trouble, Undelivered) else error.str() if error else "commits do not last"
    code = None if error is None else error.code()
    if code in REFUSED:
        raise BrokerError(
            f"Sink part {part} cannot be written to topics: {words}.",
            remedy="Let the user of [kafka.security] write the topics of [topics], and use transactional ids that "
            "begin with topics.transactional_id_prefix.",
            retry=False,
        )
    if time.monotonic() <= deadline:
        return
    if code in UNKNOWN:
        raise TopicError(
            f"Sink part {part}: a topic of [topics] is gone: {words}.", remedy="Make it again, then start the job."
        )
    raise BrokerError(
        f"Sink part {part}: nothing could be released to topics for too long: {words}.",
        remedy="Check the brokers; then start the job again.",
        retry=True,
    )
