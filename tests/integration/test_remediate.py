"""Remedies carried out for real: processes, HTTP, databases; killed, and gone on with."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from subprocess import Popen
from urllib.request import urlopen

import msgspec
import pytest

from config.clock import HOUR, MINUTE
from dataflows.remedy_clock import wall_clock
from replay.target_shop import Shop
from tests.support.commands import children, end, eventually, forestall, start, store_url
from tests.support.kafka import free_port
from tests.support.metrics import series, total
from tests.support.playbooks import document, step, written
from tests.support.remedies import many, store_with, target_process, targets_file

Start = Callable[..., str]


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Start]:
    running: list[Popen[str]] = []

    def begin(*options: object) -> str:
        process, url = target_process(tmp_path, *options)
        running.append(process)
        return url

    yield begin
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def books(tmp_path: Path) -> Path:
    folder = tmp_path / "playbooks"
    folder.mkdir()
    retry = {"attempts": 8, "first": "50ms", "most": "500ms"}
    credit = {"target": "billing", "operation": "credit", "inverse": {"operation": "reverse_credit", "within": "24h"}}
    amount = {"amount": {"type": "number", "value": "5.0"}}
    unchanged = {"unchanged": ["notes", "refunds"]}
    written(folder, document("tell", step(timeout="1s", retry=retry), verify=unchanged))
    both = (step(timeout="1s", retry=retry), step("credit", timeout="1s", retry=retry, parameters=amount, **credit))
    written(folder, document("tell-and-credit", *both, verify=unchanged))
    return folder


def agree(folder: Path, url: str) -> Counter[str]:
    """Assert that ledger and target hold the same effects; return the ledger's by status."""
    told = forestall("actions", "list", "--ledger", url, "--effects", "--json").document
    effects = [effect for action in told["actions"] for effect in action["effects"]]
    shop = Shop(folder / "target.db")
    there = {one["key"]: one["status"] for one in shop.effects() if one["undoes"] is None}
    undos = [one["undoes"] for one in shop.effects() if one["undoes"] is not None]
    shop.close()
    assert {e["key"]: e["status"] for e in effects if e["status"] in ("done", "undone")} == there
    assert sorted(undos) == sorted(key for key, status in there.items() if status == "undone")
    assert not [effect for effect in effects if effect["status"] in ("sent", "unknown")]
    return Counter(effect["status"] for effect in effects)


def test_actions_are_carried_out_and_verified(tmp_path: Path, target: Start, books: Path) -> None:
    url = store_with(store_url(tmp_path / "store.db"), many(10, "tell-and-credit"))
    options = ("--store", url, "--targets", targets_file(tmp_path, target()), "--playbooks", books)
    told = forestall("remediate", *options, "--json").document
    assert (told["complete"], told["actions"], told["effects"]) == (True, {"settled": 10}, {"done": 20})
    assert agree(tmp_path, url) == {"done": 20}
    timed = ("actions", "timing", "--ledger", url, "--store", url)
    (row,) = forestall(*timed, "--plot", tmp_path / "new" / "timing.svg", "--json").document["timing"]
    assert {stage["stage"]: stage["actions"] for stage in row["stages"]} == dict.fromkeys(
        ("taken_in", "begin", "target", "settling", "end"), 10
    )
    assert "tell-and-credit, 10 actions" in (tmp_path / "new" / "timing.svg").read_text()
    assert "sent to acknowledged" in forestall(*timed).out
    assert forestall(*timed, "--plot", "a.docx").code == 2
    again = forestall("remediate", *options, "--json").document
    assert again == told


def test_what_a_guardrail_withheld_is_told_of_and_not_done(tmp_path: Path, target: Start, books: Path) -> None:
    url = store_with(store_url(tmp_path / "store.db"), many(1), withheld=many(3)[1:])
    options = ("--targets", targets_file(tmp_path, target()), "--playbooks", books)
    told = forestall("remediate", "--store", url, *options, "--json").document
    assert (told["actions"], told["effects"]) == ({"refused": 2, "settled": 1}, {"done": 1})
    assert agree(tmp_path, url) == {"done": 1}
    shown = forestall("actions", "show", "a0002", "--ledger", url, "--json").document
    (outcome,) = shown["outcomes"]
    assert (outcome["state"], outcome["guardrails"], outcome["again_at"]) == ("refused", ["few"], 9)
    report = forestall("report", "--store", url, "--json").document
    assert report["done"]["not_begun"] == [
        {
            "remedy": "tell",
            "reason": "Withheld by guardrail few: what may be done for all is spent.",
            "actions": 2,
        }
    ]


def test_what_is_due_after_the_end_of_the_recording_stays_open_and_is_gone_on_with(
    tmp_path: Path, target: Start, books: Path
) -> None:
    first, second = many(6)[:3], many(6)
    url, ledger = store_url(tmp_path / "store.db"), store_url(tmp_path / "ledger.db")
    rest = ("--ledger", ledger, "--targets", targets_file(tmp_path, target()), "--playbooks", books)
    store_with(url, first, until=first[-1].at + MINUTE)
    told = forestall("remediate", "--store", url, *rest, "--json").document
    assert (told["complete"], told["actions"]) == (True, {"acknowledged": 3})
    # The same job has gone on: its store holds more actions, and is complete for longer.
    longer = store_with(store_url(tmp_path / "longer.db"), second, until=second[-1].at + MINUTE)
    told = forestall("remediate", "--store", longer, *rest, "--json").document
    assert told["actions"] == {"acknowledged": 6}
    told = forestall("remediate", "--store", longer, *rest, "--drain", "--json").document
    assert told["actions"] == {"settled": 6}
    assert agree(tmp_path, ledger) == {"done": 6}


def test_refusals_name_what_is_in_the_way(tmp_path: Path, books: Path) -> None:
    url = store_with(store_url(tmp_path / "store.db"), many(2))
    forestall("remediate", "--store", url).says(3, "remediation.targets", "--targets")
    real = targets_file(tmp_path, "http://127.0.0.1:9", sandbox=False)
    told = forestall("remediate", "--store", url, "--targets", real, "--playbooks", books, "--json").document
    assert told["actions"] == {"refused": 2}
    assert "refused" in forestall("actions", "list", "--ledger", url, "--state", "refused", "--effects").out
    one = forestall("actions", "show", "a0001", "--ledger", url, "--json").document
    assert (one["state"], one["outcomes"][0]["state"], one["effects"]) == ("refused", "refused", [])
    assert one["reason"].startswith("A replay does not act on real targets, and 'crm' is no sandbox; tests may say")
    assert "order:o1" in forestall("actions", "show", "a0001", "--ledger", url).out
    forestall("actions", "show", "a00", "--ledger", url).says(2, "More than one action")
    forestall("actions", "show", "b", "--ledger", url).says(2, "no action 'b'")
    fewer = {"FORESTALL_REMEDIATION_SHARDS": "2"}
    forestall("remediate", "--store", url, "--targets", real, **fewer).says(3, "8 shards", "remediation.shards = 8")


@pytest.mark.slow
def test_killed_again_and_again_every_effect_is_there_once(tmp_path: Path, target: Start, books: Path) -> None:
    chance = Random(7)
    url = store_with(store_url(tmp_path / "store.db"), many(24, "tell-and-credit"))
    troubles = "slow=0.1,fail_before=0.05,fail_after=0.1,lose_request=0.05,lose_reply=0.1,garbage=0.05,duplicate=0.05"
    address = target("--seed", 3, "--faults", troubles, "--slow", 1.5)
    options = ("--store", url, "--targets", targets_file(tmp_path, address), "--playbooks", books, "--json")
    for _ in range(5):
        process = start("remediate", *options)
        time.sleep(1.0 + chance.random())
        process.send_signal(signal.SIGKILL)
        process.communicate()
    told = end(start("remediate", *options)).document
    assert told["complete"]
    found = agree(tmp_path, url)
    listed = forestall("actions", "list", "--ledger", url, "--json").document["actions"]
    # A target that does not tell how things were leaves nobody to judge whether it helped; else all helps.
    assert {(one["state"], one["verdict"]) for one in listed} <= {
        ("settled", "verified"),
        ("escalated", "inconclusive"),
    }
    assert (found, told["actions"]["settled"] > 12) == ({"done": 48}, True)


def answers(port: int, path: str) -> bool:
    """Return whether the exporter answers well."""
    with suppress(OSError):
        return bool(urlopen(f"http://127.0.0.1:{port}{path}", timeout=10).status == 200)
    return False


@pytest.mark.slow
def test_a_live_job_that_is_killed_does_everything_once(tmp_path: Path, target: Start, books: Path) -> None:
    chance, now = Random(11), wall_clock()
    decided = [msgspec.structs.replace(one, at=now, valid_until=now + HOUR) for one in many(24, "tell-and-credit")]
    url = store_with(store_url(tmp_path / "store.db"), decided)
    address = target("--seed", 5, "--faults", "slow=0.1,fail_after=0.1,lose_reply=0.1,lose_request=0.05", "--slow", 1.5)
    settings = tmp_path / "job.toml"
    file = targets_file(tmp_path, address)
    for book in books.glob("*.yaml"):
        book.write_text(book.read_text().replace("after: 30m", "after: 1s"))
    settings.write_text(f'[remediation]\ntargets = "{file}"\nplaybooks = "{books}"\nwarmup = "0s"\n')
    command = ("run", "remediation", "--config", settings, "--store", url, "--ledger", url, "--processes", 2, "--json")
    for _ in range(4):
        process = start(*command)
        time.sleep(2.5 + 2 * chance.random())
        process.send_signal(signal.SIGKILL)
        process.communicate()
    port = free_port()
    process = start(*command, "--metrics-port", port)
    eventually(lambda: len(children(process)) == 2, "both workers have started")
    eventually(lambda: answers(port, "/health/ready"), "it is ready")

    def all_ended() -> bool:
        states = forestall("actions", "list", "--ledger", url, "--json").document["actions"]
        return len(states) == 24 and not any(one["open"] for one in states)

    eventually(all_ended, "all actions come to their end")
    found = series(urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode())
    assert (total(found, "forestall_actions_open"), total(found, "forestall_unknown_age_seconds")) == (0, 0)
    assert total(found, "forestall_flow_workers") == 2
    process.terminate()
    assert end(process).document["effects"] == {"done": 48}
    assert agree(tmp_path, url) == {"done": 48}


def test_a_live_job_says_what_is_at_fault(tmp_path: Path, books: Path) -> None:
    settings = tmp_path / "job.toml"
    file = targets_file(tmp_path, "http://127.0.0.1:9")
    settings.write_text(f'[remediation]\ntargets = "{file}"\nplaybooks = "{books}"\n')
    ledger = ("--ledger", store_url(tmp_path / "ledger.db"))
    forestall("run", "remediation", *ledger).says(3, "remediation.targets")
    forestall("run", "remediation", "--config", settings, *ledger).says(3, "topics.actions", "--store")
    forestall("run", "remediation", "--config", settings, *ledger, "--store", store_url(tmp_path / "none.db")).says(
        3, "no store", "none.db"
    )
