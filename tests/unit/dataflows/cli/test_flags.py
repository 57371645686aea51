"""`forestall flag`: what it says where it cannot reach anybody."""

from __future__ import annotations

from tests.support.commands import forestall


def test_without_brokers_it_is_told_how_to_name_some() -> None:
    told = forestall("flag", "set", "observe-only", "--by", "on-call", "--reason", "prices are wrong")
    told.says(2, "No brokers are named", "--bootstrap-servers HOST:PORT", "kafka.bootstrap_servers", "--config")
