"""What is told of an action is by its contract, and what is written of it is read back."""

from __future__ import annotations

import orjson

from config.identity import derived_id
from config.settings import load
from dataflows.control_records import control_record
from dataflows.remedy_rows import breaker_of, breaker_row, new_action, opened, outcome_row, progress_of, shard_names
from operators.breaker import Breaker
from operators.outcomes import OUTCOME
from operators.saga_state import Saga, outcome_of
from sinks import ledger_shard
from sinks.ledger_rows import Open
from tests.support.playbooks import AT, action


def test_an_outcome_is_by_its_contract() -> None:
    assert ledger_shard.OUTCOME == OUTCOME
    one = action(derived_id("action", "1"))
    saga = Saga(one.action_id, seq=1, reason="x" * 2_000)
    for verdict, collateral in ((None, None), ("verified", False)):
        saga.verdict, saga.collateral = verdict, collateral  # type: ignore[assignment]
        row = outcome_row(outcome_of(saga, one, AT), "alice")
        assert (row.key, row.seq) == ("alice", 1)
        control_record(load(), OUTCOME, orjson.loads(row.body), AT)  # refuses what is not by the contract


def test_what_was_written_is_read_back() -> None:
    shards = shard_names(4)
    one = action()
    new = new_action(one, "alice", shards)
    assert (new.shard in shards, new.case_key, new.entity) == (True, "alice", "order:o1")
    assert new_action(action("a2"), "bob", shards).shard == new.shard
    assert opened(Open(new.action_id, "alice", new.body, b"")) == (one, Saga("a1"))
    saga = Saga("a1", state="settled", phase="over", times={"verified": AT, "settled": AT + 1})
    written = progress_of(saga)
    assert (written.judged_at, written.ended_at, written.open) == (AT, AT + 1, False)
    assert opened(Open(new.action_id, "alice", new.body, written.saga)) == (one, saga)


def test_probes_that_nobody_waits_for_any_more_are_given_up() -> None:
    there = Breaker("crm/query", "half-open", openings=2, probes=[AT], proved=1)
    assert breaker_of(breaker_row(there)) == Breaker("crm/query", "half-open", openings=2, proved=1)
