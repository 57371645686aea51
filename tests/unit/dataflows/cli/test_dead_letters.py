from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from dataflows.cli.main import main
from replay.recording import Recording
from sinks.store import Store
from tests.support.recordings import records_of
from tests.support.stores import filled


@pytest.fixture
def url(empty_url: str) -> str:
    return filled(empty_url)


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["dead-letters", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_dead_letters_are_shown_in_the_order_of_their_offsets(url: str) -> None:
    letters = orjson.loads(run("--store", url, "--json").stdout)["dead_letters"]
    assert [(letter["offset"], letter["reason"]) for letter in letters] == [
        (1, "not-json"),
        (2, "tombstone"),
        (3, "not-json"),
        (4, "limits"),
    ]
    assert "Dead letters: 4" in run("--store", url).output


def test_dead_letters_of_one_reason(url: str) -> None:
    letters = orjson.loads(run("--store", url, "--json", "--reason", "tombstone").stdout)["dead_letters"]
    assert [letter["offset"] for letter in letters] == [2]


def test_no_dead_letters_is_said_plainly(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/empty.db", create=True):
        pass
    assert "no dead letters" in run("--store", f"sqlite:///{tmp_path}/empty.db").output


def test_redrive_writes_the_original_records(url: str, tmp_path: Path) -> None:
    result = run("--store", url, "--redrive", "--into", str(tmp_path / "again"))
    assert "3 records in" in result.stdout
    assert "1 were too large" in result.stderr
    reader = Recording.open(tmp_path / "again").reader("orders", 0)
    assert records_of(reader) == [
        (1, 1_700_000_000_001, b"k", b"}"),
        (2, 1_700_000_000_002, None, None),
        (3, 1_700_000_000_003, b"k", b"{"),
    ]
    batch = reader.read(1, 1)
    assert batch is not None
    assert batch.headers == [[("ce_type", b"order.placed"), ("none", None)]]


def test_redrive_as_json_counts(url: str, tmp_path: Path) -> None:
    into = str(tmp_path / "again")
    document = orjson.loads(run("--store", url, "--redrive", "--into", into, "--json").stdout)
    assert document == {"written": 3, "too_large": 1, "recording": into}


def test_redrive_of_nothing_is_a_failed_check(url: str, tmp_path: Path) -> None:
    run("--store", url, "--reason", "limits", "--redrive", "--into", str(tmp_path / "again"), code=1)
    assert not (tmp_path / "again").exists()


def test_redrive_needs_a_folder_and_a_folder_needs_redrive(url: str, tmp_path: Path) -> None:
    assert "belong together" in run("--store", url, "--redrive", code=2).stderr
    assert "belong together" in run("--store", url, "--into", str(tmp_path / "x"), code=2).stderr
