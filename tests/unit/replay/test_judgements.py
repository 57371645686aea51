from __future__ import annotations

from pathlib import Path

import pytest

from config.clock import DAY, HOUR, SECOND
from config.settings import load
from replay.judgements import judge
from replay.manifest import Idle
from tests.support.market import START, market, placed_at

ORDERS = 12
REVIEWS = ORDERS - 1
LATE = 3


def test_every_order_is_judged_when_it_is_approved_and_learned_when_its_customer_answers(tmp_path: Path) -> None:
    read: list[int] = []
    judged = judge(market(tmp_path / "market", ORDERS).folder, load(), read.append)
    first = {judgement.order: judgement.at for judgement in reversed(judged.judgements)}
    assert first == {f"m{number}": placed_at(number) + HOUR + SECOND for number in range(ORDERS)}
    # The one who says nothing is learned too.
    assert (judged.state.orders, judged.state.complaints) == (ORDERS, LATE)
    assert sum(read) == 4 * ORDERS + REVIEWS


def test_what_is_judged_does_not_depend_on_how_much_is_read_at_once(tmp_path: Path) -> None:
    folder = market(tmp_path / "market", ORDERS).folder
    (tmp_path / "small.toml").write_text("runtime.batch_records = 1\n")
    assert judge(folder, load(tmp_path / "small.toml")).judgements == judge(folder, load()).judgements


@pytest.mark.parametrize("hole", [0, 1], ids=["at a record", "in a hole"])
def test_after_an_idle_time_what_comes_from_before_it_is_late(hole: int, tmp_path: Path) -> None:
    """Two reviews had come when all others were promised not to."""
    idle = [Idle("crm", 0, 4 - hole, START + 60 * DAY)]
    state = judge(market(tmp_path / "market", ORDERS, idle).folder, load()).state
    # All others count as silent, and none of the three complaints is heard.
    assert (state.orders, state.complaints) == (ORDERS, 0)


def test_of_a_recording_without_orders_nothing_is_judged(tmp_path: Path) -> None:
    judged = judge(market(tmp_path / "market", 0).folder, load())
    assert (judged.judgements, judged.state.orders) == ([], 0)
