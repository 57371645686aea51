"""Guardrails on the stream: they hold, and the same is withheld however the job is cut up."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import pytest
import yaml

from config.clock import DAY, HOUR
from config.policies.load import DEFAULT_FOLDER
from replay.cut import cut
from sinks import queries
from sinks.store import Store
from tests.support.recordings import MADE_AT, record
from tests.support.replays import Left, Run, replayed
from tests.support.shop import recorded, shop

pytestmark = pytest.mark.slow

GUARDRAILS: dict[str, Any] = {
    "limits": {
        "per-customer": {
            "description": "d",
            "per": "customer",
            "most": 1,
            "within": "5d",
            "then": "recommend",
            "owner": "care",
        },
        "few": {
            "description": "d",
            "per": "cause",
            "counts": "customers",
            "most": 1,
            "share": 0.2,
            "within": "2d",
            "owner": "care",
        },
        "all-tickets": {
            "description": "d",
            "per": "all",
            "most": 2,
            "within": "1d",
            "of": {"side_effects": ["open-ticket"]},
            "owner": "desk",
        },
        "all-money": {
            "description": "d",
            "per": "all",
            "most": 400,
            "within": "1d",
            "counts": "money",
            "of": {"moves_money": True},
            "owner": "finance",
        },
    },
    "turns": {"one": {"description": "d", "of": {"contacts_customer": True}, "owner": "care"}},
    "freezes": {"night": {"description": "d", "hours": "22:00-02:00", "owner": "care"}},
}


def acting_policy(folder: Path, guardrails: dict[str, Any]) -> Path:
    """Write a policy that is the default one, but does by itself all that is to be done about orders."""
    copytree(DEFAULT_FOLDER, folder, ignore=ignore_patterns("cases"))
    table = folder / "fulfilment.yaml"
    table.write_text(table.read_text().replace("outcome: recommend", "outcome: act").replace("approve", "act"))
    main = folder / "bundle.yaml"
    document = yaml.safe_load(main.read_text()) | {"guardrails": guardrails}
    main.write_text(yaml.safe_dump(document, sort_keys=False))
    return folder


@dataclass(frozen=True)
class Told:
    folder: Path
    runs: dict[str, Left]

    def bodies(self, kind: str) -> list[dict[str, Any]]:
        with Store.open(f"sqlite:///{self.folder / 'plain' / 'store.db'}") as store:
            return sorted(queries.bodies(store, kind), key=lambda each: each["at"])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("guardrails")
    content = shop(5)
    policy = acting_policy(folder / "policy", GUARDRAILS)
    recording = record(folder / "recording", recorded(content, stamped=True), recorded_until=content.until)
    settings = f'policy.bundle = "{policy}"\npolicy.mode = "act"\n'
    plain = Run((recording.folder,), settings=settings)
    middle, pieces = content.until - 10 * DAY, [folder / "begin", folder / "end"]
    cut(recording, pieces[0], created_at=MADE_AT, until=middle)
    cut(recording, pieces[1], created_at=MADE_AT, from_=middle)
    runs = {
        "plain": plain,
        "two workers": replace(plain, workers=2, settings=settings + "runtime.batch_records = 97\n"),
        "two pieces": replace(plain, recordings=tuple(pieces), workers=2),
        "three workers": replace(plain, workers=3, settings=settings + 'runtime.emit_interval = "0ms"\n'),
    }
    return Told(folder, replayed(runs, folder))


def test_the_outputs_do_not_depend_on_how_the_job_is_cut_up(told: Told) -> None:
    assert told.runs["plain"].counts["action"] > 20
    assert told.runs["plain"].counts["guardrail"] > 5
    assert {each.digest for each in told.runs.values()} == {told.runs["plain"].digest}


def test_no_limit_is_ever_passed(told: Told) -> None:
    actions = told.bodies("action")
    assert most_within(actions, 5 * DAY, lambda each: each["customer"]) == 1
    assert not [each for each in actions if not 2 * HOUR <= each["at"] % DAY < 22 * HOUR]
    tickets = [each for each in actions if each["remedy"] in ("open_ticket", "note_on_ticket", "warn_carrier_manager")]
    assert most_within(tickets, DAY, lambda each: "") == 2


def test_every_action_that_was_decided_is_released_or_withheld(told: Told) -> None:
    decided = Counter(each["decision_id"] for each in told.bodies("decision") if each["outcome"] == "act")
    left = Counter(each["decision_id"] for each in told.bodies("action"))
    left += Counter(each["action"]["decision_id"] for each in told.bodies("guardrail"))
    assert left == decided


def test_what_is_held_back_says_by_what_and_who_may_change_it(told: Told) -> None:
    held = [each for each in told.bodies("decision") if "guardrails" in each]
    assert held
    for each in held:
        assert each["outcome"] == "recommend"
        assert {guardrail["owner"] for guardrail in each["guardrails"]} == {"care"}
        assert all(f"may change that (guardrail {g['guardrail']} of" in each["reason"] for g in each["guardrails"])
    for each in told.bodies("guardrail"):
        names = [guardrail["guardrail"] for guardrail in each["guardrails"]]
        assert each["reason"].endswith(f"may change that (guardrail {names[-1]} of the policy).")


def most_within(actions: list[dict[str, Any]], span: int, of: Any) -> int:
    """Return how many actions lie within any span, at the most, of those that have the same `of`."""
    by: dict[str, list[int]] = defaultdict(list)
    for each in actions:
        if of(each) or of({"customer": ""}) == "":
            by[of(each)].append(each["at"])
    return max(sum(at - span < other <= at for other in times) for times in by.values() for at in times)
