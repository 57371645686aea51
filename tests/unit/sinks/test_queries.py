from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.clock import DAY, HOUR
from config.errors import UsageError
from sinks import queries
from sinks.chain import GENESIS
from sinks.part_writer import ChannelStats
from sinks.store import Store
from tests.support.stores import OPENED, drift, filled


@pytest.fixture
def store(empty_url: str) -> Iterator[Store]:
    with Store.open(filled(empty_url)) as opened:
        yield opened


def test_cases_are_counted_by_agent_and_kind(store: Store) -> None:
    assert [tuple(row.values()) for row in queries.cases_by_agent(store)] == [
        ("billing", "payment.double", 1, 1, 0, 0, 10.0),
        ("fulfilment", "order.promise_at_risk", 2, 1, 1, 0, 20.0),
    ]
    assert queries.cases_by_status(store) == {"open": 2, "resolved": 1}
    assert store.cases() == 3


def test_lead_times_are_quantiles_by_nearest_rank_of_cases_with_known_harm(store: Store) -> None:
    assert queries.lead_times(store) == [{"agent": "fulfilment", "cases": 2, "p10": 24.0, "p50": 24.0, "p90": 48.0}]


def test_outputs_are_counted_by_what_they_say(store: Store) -> None:
    assert queries.decisions_by_outcome(store) == {"act": 1, "recommend": 1}
    assert queries.dead_letters_by_reason(store) == {"limits": 1, "not-json": 2, "tombstone": 1}
    assert queries.late_by_topic(store) == {"crm": 1}


def test_drifts_are_told_from_their_beginning_to_their_end(tmp_path: Path) -> None:
    told = [drift(OPENED), drift(OPENED + DAY), drift(OPENED, ended=True), drift(OPENED - 1, feature="a.b")]
    with Store.open(filled(f"sqlite:///{tmp_path}/drift.db", more=told)) as store:
        found = queries.drifts(store)
    assert [(row["feature"], row["since"], row["told_at"], row["ended_at"]) for row in found] == [
        ("a.b", OPENED - 1, OPENED - 1 + 2 * HOUR, None),
        ("order_progress.left_days", OPENED, OPENED + 2 * HOUR, OPENED + 9 * HOUR),
        ("order_progress.left_days", OPENED + DAY, OPENED + DAY + 2 * HOUR, None),
    ]
    assert found[1]["distance"] == 0.31


def test_open_cases_come_by_priority(store: Store) -> None:
    assert [row["case_id"] for row in queries.top_open_cases(store)] == ["aaa2", "bbb3"]
    assert [row["case_id"] for row in queries.top_open_cases(store, 1)] == ["aaa2"]


def test_case_is_found_by_the_start_of_its_id(store: Store) -> None:
    assert queries.find_case(store, "b")["case_id"] == "bbb3"
    assert queries.find_case(store, "aaa1")["case_id"] == "aaa1"


@pytest.mark.parametrize(
    ("start", "message"), [("aaa", "More than one"), ("x", "no case"), ("", "no case"), ("%", "no")]
)
def test_case_that_is_not_one_is_misuse(store: Store, start: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        queries.find_case(store, start)


def test_timeline_holds_what_belongs_to_the_case_and_nothing_else(store: Store) -> None:
    events = queries.timeline(store, queries.find_case(store, "aaa1"))
    assert [event["type"] for event in events] == ["finding", "case.opened", "decision", "action", "case.resolved"]
    assert events[0]["id"] == "f1"
    assert [event["id"] for event in queries.timeline(store, queries.find_case(store, "aaa2"))] == [
        "aaa2-1",
        "d-aaa2-1",
        "f2",
    ]


def test_channels_are_shown_as_they_last_said(store: Store) -> None:
    (row,) = queries.channel_statistics(store)
    assert (row["channel"], row["next_offset"], row["records"], row["rejected"]) == ("orders/0", 10, 10, 4)


def test_what_key_groups_have_open_is_summed_by_stage(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}", create=True) as store:
        store.begin_run(["part-000"], "job")
        stats = [
            ChannelStats("@journey/0", 0, 9, open_keys=1, open_timers=2, open_events=3),
            ChannelStats("@journey/1", 0, 9, open_keys=10, open_timers=20),
            ChannelStats("@case/0", 0, 9, open_timers=5),
            ChannelStats("orders/0", 7, 9, records=7),
        ]
        store.open_part("part-000", 0, [GENESIS]).release([], stats)
        assert queries.open_by_stage(store) == {
            "case": {"keys": 0, "timers": 5, "events": 0},
            "journey": {"keys": 11, "timers": 22, "events": 3},
        }
        assert [row["channel"] for row in queries.channel_statistics(store)] == ["orders/0"]
