"""The hands of the remediation flow: an executor for each target, each in its own compartment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.errors import SettingsError
from config.targets import Target, Targets
from sinks.bulkhead import Bulkheads, Executor
from sinks.http_target import HttpTarget


def make_hands(targets: Targets, client: Mapping[str, Any] | None = None, *, replay: bool = False) -> Bulkheads:
    """Return who carries out calls to `targets`.

    Args:
        targets: How each is reached.
        client: How to reach the brokers of topics: librdkafka's properties.
        replay: Whether calls are of event time.

    Raises:
        SettingsError: a target is a topic, and there are no brokers.
    """
    return Bulkheads(targets, {name: _executor(target, client, replay) for name, target in targets.by_name.items()})


def _executor(target: Target, client: Mapping[str, Any] | None, replay: bool) -> Executor:
    if target.kind == "sql":
        from sinks.sql_target import SqlTarget

        return SqlTarget(target, replay=replay)
    if target.kind == "topic":
        if client is None:
            raise SettingsError(
                f"target {target.name} is a topic, and kafka.bootstrap_servers names no brokers.",
                remedy="Name them in [kafka].",
            )
        from sinks.topic_target import TopicTarget

        return TopicTarget(target, client, replay=replay)
    return HttpTarget(target, replay=replay)
