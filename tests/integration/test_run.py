"""`make run`, as somebody runs it who has just come: it finds, decides, acts, and tells what came of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from replay.target_shop import Shop
from tests.support.commands import PATIENCE_S, ROOT, eventually, forestall, store_url, unmeasured

LONG_S = 560.0
"""It takes half a minute where nothing else runs."""
GOLDEN = ROOT / "tests" / "golden" / "bundled.json"


def make_run(store: Path) -> subprocess.Popen[str]:
    # Whatever a shell starts in the background is deaf to Ctrl-C, and so would all be that is started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen(
        ["make", "run", f"STORE={store}"],
        cwd=ROOT,
        env=unmeasured(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def of_session(session: int) -> Iterator[int]:
    """Yield the ids of the processes of a session."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                yield int(status.parent.name)
        except OSError:
            continue  # it has ended meanwhile


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    store = tmp_path_factory.mktemp("run") / "run.db"
    process = make_run(store)
    try:
        out, err = process.communicate(timeout=LONG_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, err
    assert not list(of_session(process.pid))
    return store, out


@pytest.mark.slow
def test_it_acts_takes_back_asks_and_agrees_with_its_target(ran: tuple[Path, str]) -> None:
    store, _ = ran
    url, database = store_url(store), store.with_name("run.db.target")
    document = forestall("report", "--store", url, "--target-db", database, "--json").document
    golden, done = json.loads(GOLDEN.read_text()), document["done"]
    assert document["complete"]
    assert document["digest"] == golden["acting"]["digest"]
    ends = {name: sum(row[name] for row in done["actions"]) for name in done["actions"][0] if name != "remedy"}
    withheld = document["outputs"]["guardrail"]
    assert ends["actions"] == document["outputs"]["action"] + withheld
    assert document["outputs"]["action"] == golden["acting"]["actions"]
    assert withheld == len(done["withheld"]) >= 1
    assert withheld == sum(row["actions"] for row in done["not_begun"] if "fast-way-per-week" in row["reason"])
    assert ends["done"] > 300
    assert ends["taken_back"] == len(done["taken_back"]) >= 1
    assert len(done["waiting"]) >= 1
    assert {"fast-way-per-week"} == {each["guardrail"] for body in done["withheld"] for each in body["guardrails"]}
    assert not {body["action_id"] for body in done["withheld"]} & set(acted_on(store))
    assert all(row["expires_at"] > 0 for row in done["waiting"])
    with closing(Shop(database)) as shop:
        effects = shop.effects()
    forward = [one for one in effects if one["undoes"] is None]
    assert len(forward) == ends["done"] + ends["taken_back"] + ends["to_a_person"] + ends["under_way"]
    assert [one["status"] for one in forward].count("undone") == ends["taken_back"]
    assert done["target"]["different"] == []


def acted_on(store: Path) -> list[str]:
    listed = forestall("actions", "list", "--ledger", store_url(store), "--json").document["actions"]
    return [one["action_id"] for one in listed if one["state"] != "refused"]


@pytest.mark.slow
def test_it_says_so_to_people(ran: tuple[Path, str]) -> None:
    store, said = ran
    document = forestall("report", "--store", store_url(store), "--json").document
    for text in (
        document["digest"][:32],
        "What was done",
        "Taken back, for example: expedite_shipment for order:",
        "It did not help: 'after.trouble < before.trouble' does not hold.",
        "Withheld, for example: expedite_shipment for order:",
        "order-operations may change that",
        "Waiting for people",
        f"{document['done']['waiting'][0]['remedy']} for order:",
        "just what the ledger says",
        "found in time",
    ):
        assert text in said


@pytest.mark.slow
def test_a_target_that_holds_something_else_is_found_out(ran: tuple[Path, str], tmp_path: Path) -> None:
    store, _ = ran
    database = tmp_path / "target.db"
    Shop(database).close()
    found = forestall("report", "--store", store_url(store), "--target-db", database)
    assert "it differs" in found.out
    assert "Effects that differ" in found.out
    forestall("report", "--store", store_url(store), "--target-db", tmp_path / "none").says(2, "--target-db", "none")


@pytest.mark.slow
@pytest.mark.parametrize("everybody", [True, False])
def test_interrupted_it_leaves_no_process_behind(tmp_path: Path, everybody: bool) -> None:
    process = make_run(tmp_path / "run.db")
    try:
        eventually(lambda: (tmp_path / "run.db").exists(), "the replay has begun")
        if everybody:  # Ctrl-C goes to all that runs in the foreground
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.terminate()
        process.communicate(timeout=PATIENCE_S)
        eventually(lambda: not list(of_session(process.pid)), "all processes have ended")
    finally:
        for pid in of_session(process.pid):
            os.kill(pid, signal.SIGKILL)
    assert process.returncode != 0


@pytest.mark.slow
def test_an_agent_with_something_under_way_cannot_be_retired_yet(ran: tuple[Path, str]) -> None:
    url = store_url(ran[0])
    told = forestall("agents", "drained", "fulfilment", "--store", url)
    assert told.code == 1
    assert "fulfilment has something under way: actions: 1, requests:" in told.err
    assert "which order-operations may change" in told.err
    assert "for order-operations-on-call to take over" in told.out
    document = forestall("agents", "drained", "outage", "--store", url, "--json").document
    assert (document["drained"], document["actions"], document["requests"]) == (True, [], [])
    listed = {row["agent"]: row for row in forestall("agents", "list", "--store", url, "--json").document["agents"]}
    assert listed["fulfilment"]["lifecycle"] == "active"
    assert listed["fulfilment"]["cases"] > listed["fulfilment"]["open"] > 0
    forestall("agents", "drained", "fulfillment", "--store", url).says(2, "There is no agent 'fulfillment'")
