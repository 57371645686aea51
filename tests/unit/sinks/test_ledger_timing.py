from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from config.clock import HOUR, MINUTE, SECOND
from sinks.ledger import Ledger
from sinks.ledger_rows import NewAction, Progress
from sinks.ledger_timing import STAGES, timings
from tests.support.ledgers import new, progress
from tests.support.playbooks import AT


@pytest.fixture
def ledger(empty_url: str) -> Iterator[Ledger]:
    with Ledger.open(empty_url, create=True) as made:
        yield made


def write(ledger: Ledger, actions: list[NewAction], reached: list[Progress]) -> None:
    ledger.take_in("store", 0, len(actions), actions)
    ledger.open_shard("s0").commit(reached)


def whole(action_id: str, target: int = SECOND) -> Progress:
    """Return an action that was taken in a second after it was decided, and so on."""
    sent = AT + 3 * SECOND
    times = {"intended_at": AT + SECOND, "dispatched_at": sent, "acknowledged_at": sent + target}
    return progress(
        action_id, "settled", open=False, **times, judged_at=sent + target + HOUR, ended_at=sent + target + HOUR
    )


def stages(row: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {one["stage"]: (one["actions"], one["p50_s"], one["p95_s"], one["most_s"]) for one in row["stages"]}


def test_each_stage_is_told_from_its_begin_to_its_end(ledger: Ledger) -> None:
    facts = {"evidence_age_hours": 0.5}
    write(ledger, [new("a", facts=facts)], [whole("a")])
    (row,) = timings(ledger, {})
    assert stages(row) == {
        "decision": (1, 1800.0, 1800.0, 1800.0),
        "taken_in": (1, 1.0, 1.0, 1.0),
        "begin": (1, 2.0, 2.0, 2.0),
        "target": (1, 1.0, 1.0, 1.0),
        "settling": (1, 3600.0, 3600.0, 3600.0),
        "end": (1, 0.0, 0.0, 0.0),
    }
    assert {one["stage"]: one["kind"] for one in row["stages"]} == {name: STAGES[name][0] for name in stages(row)}


def test_waiting_for_people_is_told_apart_from_what_went_before(ledger: Ledger) -> None:
    asked: dict[str, Any] = {"approval": {"request_id": "r1", "approvers": ["maria"]}}
    asked["facts"] = {"evidence_age_hours": 1.0}
    write(ledger, [new("a", **asked), new("b", facts={"evidence_age_hours": 2.0})], [whole("a"), whole("b")])
    (row,) = timings(ledger, {"r1": AT - 15 * MINUTE, "r2": AT})
    assert stages(row)["people"] == (1, 900.0, 900.0, 900.0)
    assert stages(row)["decision"] == (2, 2700.0, 7200.0, 7200.0)
    (row,) = timings(ledger, {})
    assert "people" not in stages(row)
    assert stages(row)["decision"] == (2, 3600.0, 7200.0, 7200.0)


def test_what_was_not_sent_has_no_times_behind(ledger: Ledger) -> None:
    refused = progress("a", "refused", open=False, intended_at=AT + SECOND, ended_at=AT + SECOND)
    write(ledger, [new("a"), new("b")], [refused])
    (row,) = timings(ledger, {})
    assert stages(row) == {"taken_in": (1, 1.0, 1.0, 1.0)}


def test_quantiles_are_of_all_actions_of_a_remedy_and_of_no_other(ledger: Ledger) -> None:
    ids = [f"a{number:02}" for number in range(1, 21)]
    write(
        ledger,
        [*(new(name) for name in ids), new("z", remedy="zeal")],
        [*(whole(name, number * SECOND) for number, name in enumerate(ids, 1)), whole("z", 99 * SECOND)],
    )
    assert [(row["remedy"], stages(row)["target"]) for row in timings(ledger, {})] == [
        ("tell", (20, 10.0, 19.0, 20.0)),
        ("zeal", (1, 99.0, 99.0, 99.0)),
    ]
    assert [row["remedy"] for row in timings(ledger, {}, "zeal")] == ["zeal"]


def test_in_time_is_what_was_acknowledged_before_a_harm_that_lay_ahead(ledger: Ledger) -> None:
    done_at = AT + 4 * SECOND
    harms = {"late": done_at - 1, "just": done_at, "early": done_at + 2 * HOUR, "past": AT, "unsent": AT + HOUR}
    actions = [new(name, facts={"harm_at": at}) for name, at in harms.items()]
    actions.append(new("unknown", facts={"harm_at": None}))
    write(ledger, actions, [whole(name) for name in (*harms, "unknown") if name != "unsent"])
    (row,) = timings(ledger, {})
    assert (row["ahead"], row["in_time"], row["left_p50_hours"]) == (4, 2, 0.0)


def test_an_empty_ledger_has_no_times(ledger: Ledger) -> None:
    assert timings(ledger, {}) == []
