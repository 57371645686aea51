"""Answers on the stream: the same comes of them however the job is cut up, and no effect is without consent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from config.clock import HOUR
from replay.manifest import Idle
from sinks import queries
from sinks.requests import requests
from sinks.store import Store
from tests.support.approvals import asking_policy, record_of, signed, write_keys
from tests.support.recordings import Record, record
from tests.support.replays import Left, Run, replayed
from tests.support.shop import START, recorded, shop

pytestmark = pytest.mark.slow

ROLES = {"maria": ["customer-operations"], "joao": ["customer-operations"], "ana": ["duty-manager"]}
NOBODY = {"signer": "nobody"}


@dataclass(frozen=True)
class Told:
    """A replay with answers, in several ways, and the requests that they answer."""

    folder: Path
    asked: list[dict[str, Any]]
    runs: dict[str, Left]

    def bodies(self, kind: str) -> list[dict[str, Any]]:
        with Store.open(f"sqlite:///{self.folder / 'plain' / 'store.db'}") as store:
            return list(queries.bodies(store, kind))


def answers(asked: list[dict[str, Any]]) -> Iterator[tuple[int, bytes]]:
    """Yield (when, record) of what people send, each request in another way."""
    for number, request in enumerate(asked):
        at = request["at"] + HOUR
        ways: list[tuple[str, dict[str, Any]]] = [
            ("maria", {}),
            ("maria", {"answer": "reject"}),
            ("joao", NOBODY),
            ("ana", {}),
            ("agent:fulfilment", {}),
        ]
        way = number % (len(ways) + 1)
        for again, (by, changes) in enumerate([*ways[way : way + 1], ("joao", {})][: 1 if way else 2]):
            when = at + again * HOUR
            yield when, record_of(signed(request, by, when, **changes), when, f"{number} {again}")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("approvals")
    content = shop(5)
    keys, policy = write_keys(folder / "keys.yaml", ROLES), asking_policy(folder / "policy")
    settings = f'policy.bundle = "{policy}"\napprovals.keys = "{keys}"\n'

    def recording(name: str, said: list[Record]) -> Path:
        partitions = recorded(content) | {("approvals", 0): said}
        idle = [Idle("approvals", 0, 0, START)]
        return record(folder / name, partitions, recorded_until=content.until, idle=idle).folder

    unanswered = Run((recording("silent", []),), settings=settings)
    replayed({"silent": unanswered}, folder / "first")
    with Store.open(f"sqlite:///{folder / 'first' / 'silent' / 'store.db'}") as store:
        asked = requests(store)
    said: list[Record] = [
        (offset, at // 1000, None, value) for offset, (at, value) in enumerate(sorted(answers(asked)))
    ]
    plain = Run((recording("recording", said),), settings=settings)
    runs = {
        "plain": plain,
        "two processes": replace(plain, processes=2, settings=settings + "runtime.batch_records = 7\n"),
        "two workers": replace(plain, workers=2, settings=settings + 'runtime.emit_interval = "0ms"\n'),
        "paced": replace(plain, settings=settings + 'time.alignment_max = "12h"\n'),
    }
    return Told(folder, asked, replayed(runs, folder))


def test_the_outputs_do_not_depend_on_how_the_job_is_cut_up(told: Told) -> None:
    assert len(told.asked) > 10
    assert {each.digest for each in told.runs.values()} == {told.runs["plain"].digest}
    assert told.runs["plain"].counts.get("dead_letter", 0) == 0


def test_no_action_is_without_consent_and_every_answer_has_its_end(told: Told) -> None:
    outputs = told.bodies("approval")
    actions, known = told.bodies("action"), {"maria", "joao"}
    assert actions
    for action in actions:
        assert action["approval"] is not None
        assert set(action["approval"]["approvers"]) <= known
    counted = [each for each in outputs if "still_needed" in each]
    refused = Counter(each["reason"] for each in outputs if "detail" in each)
    assert len(counted) + refused.total() == len(list(answers(told.asked)))
    assert {"forged", "own-request", "wrong-role"} <= refused.keys()
    assert {each["answer"] for each in counted} == {"approve", "reject"}
    granted = {each["request_id"] for each in outputs if each.get("end") == "granted"}
    assert {each["approval"]["request_id"] for each in actions} == granted
