from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest

from sinks.agents import cases_by_agent, open_actions, open_cases, open_requests, uncertain_effects
from sinks.ledger import Ledger
from sinks.store import Store
from tests.support.ledgers import effect, new, progress
from tests.support.playbooks import AT
from tests.support.stores import OPENED, filled


@pytest.fixture
def store(empty_url: str) -> Iterator[Store]:
    with Store.open(filled(empty_url)) as opened:
        yield opened


@pytest.fixture
def ledger(empty_url: str) -> Iterator[Ledger]:
    with Ledger.open(empty_url, create=True) as made:
        yield made


def test_cases_are_those_that_an_agent_leads(store: Store) -> None:
    assert cases_by_agent(store) == {
        "billing": {"cases": 1, "open": 1, "opened_at": OPENED},
        "fulfilment": {"cases": 2, "open": 1, "opened_at": OPENED},
    }
    (case,) = open_cases(store, "fulfilment")
    assert case == {"case_id": "aaa2", "kind": "order.promise_at_risk", "entity": "order:2", "priority": 9.0}
    assert open_cases(store, "fraud") == open_requests(store, "fulfilment") == []


def test_actions_are_those_for_findings_of_the_agent_that_are_not_over(ledger: Ledger) -> None:
    ledger.take_in("s", 0, 3, [new("later", at=AT + 1), new("open"), new("over"), new("other", agent="billing")])
    ledger.open_shard("s0").commit([progress("over", "settled", open=False)])
    assert [row["action_id"] for row in open_actions(ledger, "fulfilment")] == ["open", "later"]
    assert open_actions(ledger, "billing") == [
        {"action_id": "other", "remedy": "tell", "entity": "order:o1", "state": "intended"}
    ]


def test_effects_that_nobody_knows_of_are_told_where_their_action_is_over(ledger: Ledger) -> None:
    ledger.take_in("s", 0, 3, [new("open"), new("over"), new("other", agent="billing")])
    rows = [
        effect("over", "known", "done"),
        effect("over", "lost", "unknown"),
        effect("over", "undone", "done", undo_status="unknown"),
        effect("open", "under-way", "sent"),
        effect("other", "lost", "unknown"),
    ]
    ended = [progress(name, "escalated", open=False) for name in ("over", "other")]
    ledger.open_shard("s0").commit([*ended, progress("open")], rows)
    assert sorted(row["step"] for row in uncertain_effects(ledger, "fulfilment")) == ["lost", "undone"]


def test_all_of_it_can_be_told_as_json(store: Store, ledger: Ledger) -> None:
    ledger.take_in("s", 0, 2, [new("open"), new("over")])
    ledger.open_shard("s0").commit([progress("over", "escalated", open=False)], [effect("over", "lost", "unknown")])
    told = [
        open_cases(store, "fulfilment"),
        open_actions(ledger, "fulfilment"),
        uncertain_effects(ledger, "fulfilment"),
    ]
    assert all(told)
    assert orjson.loads(orjson.dumps(told)) == told
