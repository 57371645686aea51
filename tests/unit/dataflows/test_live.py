from __future__ import annotations

import pytest

from config.clock import TIME_MIN
from config.errors import SettingsError
from config.kafka_start import Start
from dataflows.live import Linger, LiveJob, faults_of_channels, with_channels
from operators.channel import ChannelState

JOB = LiveJob(store_url="sqlite:///s.db", recovery="s.db.recovery")


def states(**promised: int) -> dict[str, ChannelState]:
    return {name.replace("_", "/"): ChannelState(promised=at) for name, at in promised.items()}


def test_a_first_start_begins_where_the_settings_say_and_promises_nothing() -> None:
    job = with_channels(JOB, ["crm/0", "orders/0"], {})
    assert (job.channels, job.from_start, job.floors) == (["crm/0", "orders/0"], [], {})


def test_a_new_partition_begins_at_its_first_record_and_where_the_slowest_of_the_others_has_come_to() -> None:
    job = with_channels(JOB, ["orders/0", "orders/1", "orders/2"], states(orders_0=500, orders_1=400))
    assert job.from_start == ["orders/2"]
    assert job.floors == {"orders/2": 400}


def test_a_new_topic_begins_where_the_settings_say_but_not_before_what_others_have_come_to() -> None:
    job = with_channels(JOB, ["crm/0", "orders/0"], states(orders_0=500))
    assert (job.from_start, job.floors) == ([], {"crm/0": 500})


def test_nothing_is_promised_while_a_partition_has_not_spoken() -> None:
    assert (
        with_channels(JOB, ["orders/0", "orders/1", "orders/2"], states(orders_0=500, orders_1=TIME_MIN)).floors == {}
    )


def test_a_topic_that_is_read_no_more_is_to_be_retired() -> None:
    (fault,) = faults_of_channels(["crm/0", "crm/1", "orders/0"], ["orders/0"], ["orders"])
    assert "topic crm was read before" in fault.message
    assert "forestall topics retire crm" in fault.remedy


def test_a_topic_with_fewer_partitions_than_were_read_was_made_anew() -> None:
    (fault,) = faults_of_channels(["orders/0", "orders/1", "orders/2"], ["orders/0"], ["orders"])
    assert "topic orders has no partition 1, 2" in fault.message


def test_more_partitions_than_before_are_no_fault() -> None:
    assert [*faults_of_channels(["orders/0"], ["orders/0", "orders/1", "crm/0"], ["orders", "crm"])] == []


def test_a_stop_lingers_for_its_time_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    now, stopping = [100.0], [False]
    monkeypatch.setattr("dataflows.live.time.monotonic", lambda: now[0])
    over = Linger(lambda: stopping[0], 2.5)
    assert not over()
    now[0] = 500.0
    stopping[0] = True
    assert not over()
    now[0] = 502.4
    assert not over()
    now[0] = 502.5
    assert over()


@pytest.mark.parametrize("text", ["committed", "earliest", "latest"])
def test_a_start_is_one_of_three_words(text: str) -> None:
    assert Start.parse(text) == Start(text)


def test_a_start_is_an_instant_and_nothing_before_it_is_read() -> None:
    assert Start.parse("1970-01-01T00:00:01.0001Z") == Start("instant", 1001)
    assert Start.parse("1970-01-01T01:00:00+01:00") == Start("instant", 0)


@pytest.mark.parametrize("text", ["yesterday", "2026-05-01T00:00:00", "EARLIEST", "17"])
def test_any_other_start_is_refused_with_what_there_is(text: str) -> None:
    with pytest.raises(SettingsError, match="committed, earliest, latest, or an instant"):
        Start.parse(text)
