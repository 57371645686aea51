"""Autonomy on the stream: what is earned and lost is the same however the job is cut up, and bounds what it does."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import pytest
import yaml

from config.clock import DAY, HOUR, MINUTE, to_text
from config.policies.load import DEFAULT_FOLDER
from replay.manifest import Idle
from sinks import queries
from sinks.autonomy import standings
from sinks.store import Store
from tests.support.autonomy import EASY
from tests.support.cloudevents import cloud_event
from tests.support.commands import forestall
from tests.support.recordings import Record, record
from tests.support.replays import Left, Run, replayed
from tests.support.shop import START, recorded, shop

pytestmark = pytest.mark.slow

REMEDY, AGENT = "open_ticket", "billing"


@dataclass(frozen=True)
class Told:
    """A replay with outcomes, in several ways, and the same without any."""

    folder: Path
    acted: list[dict[str, Any]]
    """What is done where no outcome is told."""
    runs: dict[str, Left]

    @property
    def store(self) -> str:
        return f"sqlite:///{self.folder / 'plain' / 'store.db'}"

    def bodies(self, kind: str) -> list[dict[str, Any]]:
        with Store.open(self.store) as store:
            return sorted(queries.bodies(store, kind), key=itemgetter("at"))


def trusting_policy(folder: Path) -> Path:
    """Write a policy that is the default one, but for levels that move with little evidence."""
    file = copytree(DEFAULT_FOLDER, folder, ignore=ignore_patterns("cases")) / "bundle.yaml"
    document = yaml.safe_load(file.read_text())
    demotion = EASY["demotion"] | {"failures": 1, "probation": "1d"}
    document["autonomy"] = {"limits": [EASY | {"start": "autonomous", "demotion": demotion}]}
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return folder


def outcomes(acted: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    """Return (when, data) of what is told: a remedy fails, twice; later it helps, time and again."""
    theirs = [action for action in acted if (action["agent"], action["remedy"]) == (AGENT, REMEDY)]
    told: list[tuple[int, dict[str, Any]]] = []
    for number, action in enumerate(theirs[:2]):
        names = {name: action[name] for name in ("action_id", "case_id", "agent", "remedy", "segment", "bundle")}
        said = names | {"case_key": action["customer"], "state": "escalated", "verdict": "ineffective", "seq": 3}
        at = theirs[1]["at"] + (1 + number) * HOUR  # both were begun before the first is heard of
        told += [(at, said | {"at": at}), (at + MINUTE, said | {"at": at})]
        told.append((at + 2 * MINUTE, said | {"state": "settled", "verdict": "verified", "seq": 2}))  # before it
    since = theirs[1]["at"] + 4 * DAY
    for number in range(12):
        said = {"action_id": f"{number:032x}", "case_id": "other", "case_key": "c1", "seq": 1, "segment": "other"}
        said |= {"agent": AGENT, "remedy": REMEDY, "state": "settled", "verdict": "verified", "collateral": False}
        told.append((since + number * HOUR, said))
    told.append((since, told[-1][1] | {"agent": "somebody", "action_id": "f" * 32}))
    return sorted(told, key=lambda each: (each[0], json.dumps(each[1], sort_keys=True)))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("autonomy")
    content = shop(5)
    settings = f'policy.bundle = "{trusting_policy(folder / "policy")}"\npolicy.mode = "act"\n'

    def recording(name: str, said: list[tuple[int, dict[str, Any]]]) -> Path:
        values: list[Record] = [
            (offset, at // 1000, None, cloud_event("action.outcome", data, id=str(offset), time=to_text(at)))
            for offset, (at, data) in enumerate(said)
        ]
        idle = [Idle("outcomes", 0, 0, START)]
        partitions = recorded(content) | {("outcomes", 0): values}
        return record(folder / name, partitions, recorded_until=content.until, idle=idle).folder

    replayed({"silent": Run((recording("silent", []),), settings=settings)}, folder / "first")
    with Store.open(f"sqlite:///{folder / 'first' / 'silent' / 'store.db'}") as store:
        acted = sorted(queries.bodies(store, "action"), key=lambda action: (action["at"], action["action_id"]))
    plain = Run((recording("recording", outcomes(acted)),), settings=settings)
    runs = {
        "plain": plain,
        "three workers": replace(plain, workers=3, settings=settings + 'runtime.emit_interval = "0ms"\n'),
        "two processes": replace(plain, processes=2, settings=settings + "runtime.batch_records = 7\n"),
        "paced": replace(plain, settings=settings + 'time.alignment_max = "12h"\n'),
    }
    return Told(folder, acted, replayed(runs, folder))


def test_the_outputs_do_not_depend_on_how_the_job_is_cut_up(told: Told) -> None:
    assert {each.digest for each in told.runs.values()} == {told.runs["plain"].digest}
    assert told.runs["plain"].counts.get("dead_letter", 0) == 0


def test_levels_are_lost_and_earned_and_each_outcome_counts_once(told: Told) -> None:
    said = told.bodies("autonomy")
    moves = [(each["level"], each["cause"]) for each in said if "cause" in each]
    assert moves == [
        ("supervised", "failures"),
        ("recommend", "failures"),
        ("supervised", "probation-over"),
        ("autonomous", "earned"),
    ]
    assert Counter(each["action_id"] for each in said if "verified" in each).most_common(1)[0][1] == 1
    ignored = Counter(each["ignored"] for each in said if "ignored" in each)
    assert ignored == {
        "this outcome of the action, or a later one, was counted already": 4,
        "the policy knows no such agent": 1,
    }


def test_decisions_are_bounded_from_the_time_of_each_change_on(told: Told) -> None:
    changes = [each for each in told.bodies("autonomy") if "cause" in each]
    bounded = [each for each in told.bodies("decision") if "autonomy" in each and each["facts"]["agent"] == AGENT]
    assert len({each["autonomy"] for each in bounded}) > 1
    for decision in bounded:
        before = [each["level"] for each in changes if each["at"] < decision["at"]]
        assert decision["autonomy"] == (before[-1] if before else "autonomous")
        beyond = {"autonomous": {""}, "supervised": {"act"}, "recommend": {"act", "approve"}}[decision["autonomy"]]
        assert decision["outcome"] not in beyond
    others = [sorted(each["action_id"] for each in acted if each["agent"] != AGENT) for acted in _all_acted(told)]
    assert others[0] == others[1] != []


def _all_acted(told: Told) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return told.acted, told.bodies("action")


def test_people_are_shown_what_was_earned(told: Told) -> None:
    with Store.open(told.store) as store:
        rows = standings(store)
    row = next(each for each in rows if (each["agent"], each["remedy"]) == (AGENT, REMEDY))
    assert (row["level"], row["cause"], row["changes"], row["counted"]) == ("autonomous", "earned", 4, 14)
    assert row["foreign"] == 12
    assert {each["agent"] for each in rows} >= {AGENT, "fulfilment", "somebody"}
    document = forestall("autonomy", "show", "--store", told.store, "--agent", AGENT, "--json").document
    assert [each["agent"] for each in document["autonomy"]] == [AGENT] * len(document["autonomy"])
    picture = told.folder / "new" / "levels.svg"
    shown = forestall("autonomy", "show", "--store", told.store, "--plot", picture).out
    assert f"{AGENT} {REMEDY} other" in picture.read_text()
    assert "outcomes that counted are of no action of this store" in shown
    assert "probation" not in shown
    report = forestall("report", "--store", told.store, "--json").document
    assert {"agent": AGENT, "level": "autonomous", "cause": "earned", "changes": 1} in report["autonomy"]
