"""What became of levels, as a store tells it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.clock import DAY, HOUR
from config.events import Event
from operators.feature_drift import BEGUN
from sinks.autonomy import histories
from sinks.outbox import Outbox, Release
from sinks.store import Store
from tests.support.autonomy import Steward, bounded_bundle, earned, failed, outcome

PART = "part-000"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    steward = Steward(bounded_bundle(tmp_path))
    now = earned(steward)
    steward.feed(failed(now + HOUR, "f1"), failed(now + 2 * HOUR, "f2"), outcome(now + 3 * HOUR, "x", remedy="unheard"))
    data = {"model": "complaint", "feature": "eta", "since": now}
    steward.feed(Event(now + DAY, "d", "complaint", BEGUN, data))
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}", create=True) as store:
        store.begin_run([PART], "job")
        box = Outbox(PART, frozenset("a"), store.open_part)
        box.write([Release("a", steward.out, ended=True)])
        box.snapshot()[1]()
        yield store


def test_levels_and_what_counted_are_told_in_the_order_of_time(store: Store) -> None:
    drifted, notify = histories(store)
    assert [(each["agent"], each["remedy"], each["segment"]) for each in (drifted, notify)] == [
        ("experience", "*", "*"),
        ("fulfilment", "notify", "other"),
    ]
    assert [(each["level"], each["cause"]) for each in drifted["points"]] == [("supervised", "drift")]
    times = [each["at"] for each in notify["points"]]
    assert times == sorted(times)
    changes = [each for each in notify["points"] if "cause" in each]
    assert [(each["before"], each["level"], each["cause"]) for each in changes] == [
        ("supervised", "autonomous", "earned"),
        ("autonomous", "supervised", "failures"),
    ]
    counted = [each for each in notify["points"] if "cause" not in each]
    assert len(counted) == 10 + 2
    assert [(each["outcomes"], each["verified"]) for each in counted[:3]] == [(1, 1), (2, 2), (3, 3)]
    assert all(each["success_low"] <= each["success_high"] for each in counted)
    # After a change only what is heard later counts.
    assert [each["outcomes"] for each in counted].count(1) >= 2
