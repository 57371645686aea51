"""A slow target, reached over HTTP: more comes at once than it has time for, and none of it is lost or done twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.clock import MINUTE
from config.targets import load_targets
from dataflows.remedy_clock import wall_clock
from dataflows.remedy_means import Means
from dataflows.remedy_rows import new_action, shard_names
from dataflows.remedy_shard import Shard
from replay.target import Service, serving
from replay.target_faults import Faults
from replay.target_shop import Shop
from sinks.ledger import Ledger
from sinks.ledger_queries import find_actions
from sinks.remediation import make_hands
from tests.support.playbooks import action, playbook, step
from tests.support.remedies import targets_file
from tests.support.target import KEYS

ACTIONS = 12
PATIENCE_S = 60.0
SHARDS = shard_names(2)


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.parametrize("waiting", [1, ACTIONS])
def test_more_at_once_than_a_slow_target_has_time_for(tmp_path: Path, shop: Shop, waiting: int) -> None:
    once = step(timeout="1s", retry={"attempts": 1, "first": "100ms", "most": "1s", "jitter": 0.2})
    book = playbook(tmp_path, once, verify={"after": "1h"})
    slow = Service(shop, KEYS, Faults(1, {"/crm/send_message": {"slow": 1.0}}, slow_s=0.4))
    with serving(slow) as url, Ledger.open(f"sqlite:///{tmp_path}/ledger.db", create=True) as ledger:
        targets = load_targets(targets_file(tmp_path, url, concurrency=1, waiting=waiting))
        hands = make_hands(targets)
        means = Means(ledger, {"tell": book}, targets, hands)
        shards = [Shard(name, means, wall_clock()) for name in SHARDS]
        now, rows = wall_clock(), []
        for number in range(ACTIONS):
            about = f"order:{number}"
            one = action(f"a{number}", at=now, valid_until=now + 10 * MINUTE, entity=about, target=f"crm:{about}")
            rows.append(new_action(one, one.customer, SHARDS))
        taken = ledger.take_in("test", 0, ACTIONS, rows)
        for shard in shards:
            shard.take(taken, now)
        ends = time.monotonic() + PATIENCE_S
        while any(shard.waits_for_answers or (shard.next_at or now + MINUTE) < now + MINUTE for shard in shards):
            assert time.monotonic() < ends
            for shard in shards:
                shard.turn(wall_clock())
            time.sleep(0.005)
        hands.close()
        found = find_actions(ledger)
    assert {row["state"] for row in found} == {"acknowledged"}
    assert [row["attempts"] for row in found] == [1] * ACTIONS
    assert len(shop.effects()) == ACTIONS
