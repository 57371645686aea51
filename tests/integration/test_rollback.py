"""`forestall rollback`: previewed, consented to, and done by a flow that is killed meanwhile."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from config.clock import to_text
from replay.target_shop import Shop
from tests.support.commands import end, forestall, start, store_url
from tests.support.playbooks import AT, document, step, written
from tests.support.remedies import many, store_with, target_process, targets_file


@pytest.fixture
def target(tmp_path: Path) -> Iterator[str]:
    process, url = target_process(tmp_path, "--seed", 5, "--faults", "fail_after=0.1,lose_reply=0.1,slow=0.2")
    yield url
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_all_that_a_policy_did_is_taken_back_and_nothing_else(tmp_path: Path, target: str) -> None:
    books = tmp_path / "playbooks"
    books.mkdir()
    retry = {"attempts": 8, "first": "50ms", "most": "500ms"}
    credit = {"target": "billing", "operation": "credit", "inverse": {"operation": "reverse_credit", "within": "24h"}}
    credit |= {"parameters": {"amount": {"type": "number", "value": "5.0"}}}
    steps = (step(timeout="1s", retry=retry), step("credit", timeout="1s", retry=retry, **credit))
    written(books, document("tell-and-credit", *steps, verify={"unchanged": ["notes", "refunds"]}))
    bad, good = "ba" * 16, "0d" * 16
    actions = many(16, "tell-and-credit", bundle=bad)[:8] + many(16, "tell-and-credit", bundle=good)[8:]
    url = store_with(store_url(tmp_path / "store.db"), actions)
    flow = ("remediate", "--store", url, "--targets", targets_file(tmp_path, target), "--playbooks", books, "--json")
    assert forestall(*flow).document["effects"] == {"done": 32}

    file = tmp_path / "job.toml"
    file.write_text(f'[remediation]\nplaybooks = "{books}"\n')
    span = ("--from", to_text(AT), "--to", to_text(actions[6].at))
    where = ("--ledger", url, "--config", file)
    meant = ("rollback", "--policy", "ba", *span, *where)
    shown = forestall(*meant, "--dry-run", "--json").document
    assert (shown["counts"], shown["wanted"], shown["ordered"]) == ({"take back": 12}, 6, 0)
    assert "12 taken back" in forestall(*meant, "--dry-run").out
    forestall(*meant, "--json").says(2, "Nobody is here to consent", "--yes")
    assert forestall(*flow).document["effects"] == {"done": 32}
    told = forestall(*meant, "--yes", "--json", "--reason", "drill").document
    assert (told["wanted"], told["ordered"]) == (6, 6)

    chance = Random(5)
    for _ in range(2):
        process = start(*flow)
        time.sleep(1.5 + chance.random())
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert end(start(*flow)).document["effects"] == {"done": 20, "undone": 12}
    shop = Shop(tmp_path / "target.db")
    there = [one["status"] for one in shop.effects() if one["undoes"] is None]
    undos = [one["undoes"] for one in shop.effects() if one["undoes"] is not None]
    shop.close()
    assert (there.count("undone"), there.count("done"), len(set(undos)), len(undos)) == (12, 20, 12, 12)
    assert forestall(*meant, "--yes").out.endswith("nothing is to be taken back\n")
    forestall("rollback", "--policy", "ba", "--from", *span[1:3], span[1], *where).says(2, "is not after --from")
    forestall("rollback", "--policy", "77", *span, *where).says(2, "No action of the ledger", "bababababa")
