"""Two policies on a month of real orders: decided alike on any number of workers and whatever is killed, and told apart
in words.
"""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from config.policies.load import DEFAULT_FOLDER
from sinks.store import Store
from tests.support.commands import end, eventually, forestall, start, store_url
from tests.support.recordings import between, imported
from tests.support.replays import Run, left_in, replayed

pytestmark = pytest.mark.slow

HANDS_ON = DEFAULT_FOLDER.with_name("hands_on")
SETTINGS = f"""\
policy.mode = "act"
policy.candidate = "{HANDS_ON}"
runtime.epoch_interval = "50ms"
"""
KILLS = 3


@pytest.fixture(scope="module")
def month(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("orders")
    whole = imported(sorted((shared_data / "olist").glob("*.gz")), folder / "olist")
    return between(whole, "2017-11-20T00:00:00Z", "2017-12-20T00:00:00Z", folder / "part").folder


def test_decided_alike_on_any_number_of_workers_and_after_kills(month: Path, tmp_path: Path) -> None:
    plain = Run((month,), settings=SETTINGS)
    left = replayed({str(workers): replace(plain, workers=workers) for workers in (1, 2, 3)}, tmp_path)
    assert min(left["1"].counts[kind] for kind in ("decision", "shadow", "action")) > 100
    assert left["2"] == left["3"] == left["1"]
    assert killed(month, tmp_path / "killed", left["1"].counts["decision"]) == KILLS
    assert left_in(tmp_path / "killed") == left["1"]


def killed(recording: Path, folder: Path, decisions: int) -> int:
    """Replay on two workers, killed whenever so many more decisions are there; return how often it was."""
    folder.mkdir()
    config, store = folder / "settings.toml", folder / "store.db"
    config.write_text(SETTINGS)
    command = ("replay", recording, "--store", store_url(store), "--config", config, "--workers", 2)
    kills = sum(is_killed(command, store, share * decisions // (KILLS + 1)) for share in range(1, KILLS + 1))
    assert end(start(*command)).code == 0
    return kills


def is_killed(command: tuple[object, ...], store: Path, enough: int) -> bool:
    """Start a command, kill it when so much is decided, and return whether it was at work until then."""
    process = start(*command)
    try:
        eventually(lambda: process.poll() is not None or count(store) >= enough, "so much is decided")
        return process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def count(store: Path) -> int:
    try:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
            row = connection.execute("SELECT count(*) FROM outputs WHERE kind = 'decision'").fetchone()
        connection.close()
        return int(row[0])
    except sqlite3.OperationalError:
        return 0  # it is not there yet


def test_difference_is_told_in_words(month: Path) -> None:
    arguments = ("policy", "diff", DEFAULT_FOLDER, HANDS_ON, "--recording", month, "--mode", "act")
    shown = forestall(*arguments).out
    recorded = forestall(*arguments, "--json").document["recorded"]
    assert recorded["unknown"] == {}
    newly = recorded["newly_acted"]
    assert f"Newly without a person: {newly['cases']} cases, with {newly['money_at_risk']:,.2f} at risk" in shown
    assert recorded["money_newly_moved"]["cases"] == 0
    told = list(paragraphs(shown))
    assert len(told) == len(recorded["segments"]) >= 3
    for words, segment in zip(told, recorded["segments"], strict=True):
        assert words.startswith(f"{segment['cases']:,} cases of {segment['kind']} (found by {segment['agent']})")
        assert segment["examples"][0][:12] in words
    dates = next(words for words in told if "order.promise_at_risk" in words)
    assert "today:    shown to a person: notify_new_date (Tell the customer honestly that the order is late" in dates
    assert "would be: done without asking: notify_new_date" in dates


def paragraphs(shown: str) -> Iterator[str]:
    """Yield what is told of each segment."""
    lines: list[str] = []
    for line in shown.splitlines():
        if lines and not line.startswith("  "):
            yield "\n".join(lines)
            lines = []
        if " cases of " in line or lines:
            lines.append(line)


def test_store_of_a_job_tells_the_same(month: Path, tmp_path: Path) -> None:
    config, url = tmp_path / "job.toml", store_url(tmp_path / "store.db")
    config.write_text(SETTINGS)
    assert end(start("replay", month, "--store", url, "--config", config)).code == 0
    of_store = forestall("policy", "diff", DEFAULT_FOLDER, HANDS_ON, "--store", url, "--json").document
    of_recording = forestall(
        "policy", "diff", DEFAULT_FOLDER, HANDS_ON, "--recording", month, "--config", config, "--json"
    ).document
    assert of_store == of_recording
    with Store.open(url) as store:
        assert of_store["recorded"]["decisions"] <= store.counts()["decision"]
