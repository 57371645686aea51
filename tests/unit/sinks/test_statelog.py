"""The state log: what a token refers to comes back, whatever was appended after it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from config.errors import RecoveryError
from sinks import statelog
from sinks.statelog import StateLog


class Model:
    """The content a log is to give back: a dict, changed by deltas `key=value`."""

    def __init__(self) -> None:
        self.content: dict[str, str] = {}

    def change(self, key: str, value: str) -> bytes:
        self.content[key] = value
        return f"{key}={value}".encode()

    def whole(self) -> bytes:
        return ";".join(f"{k}={v}" for k, v in self.content.items()).encode()

    @staticmethod
    def of(deltas: list[bytes]) -> dict[str, str]:
        return dict(pair.split("=") for delta in deltas for pair in delta.decode().split(";"))


def test_small_changes_ride_in_the_token(tmp_path: Path) -> None:
    log = StateLog(tmp_path / "state", "journey-3", 100)
    token = log.snapshot(b"k=1", lambda: b"")
    assert not (tmp_path / "state").exists()
    _, deltas = StateLog.resume(tmp_path / "state", 100, token)
    assert deltas == [b"k=1"]


def test_what_was_appended_after_the_token_is_forgotten(tmp_path: Path) -> None:
    log = StateLog(tmp_path, "journey-3", 4)
    token = log.snapshot(b"k=1;l=1", lambda: b"")
    log.snapshot(b"k=2;l=2", lambda: b"")
    resumed, deltas = StateLog.resume(tmp_path, 4, token)
    assert deltas == [b"k=1;l=1"]
    resumed.snapshot(b"k=3;l=3", lambda: b"")
    assert (tmp_path / "journey-3.0.log").stat().st_size == 2 * (8 + 7)


def test_a_log_killed_at_any_snapshot_gives_back_that_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statelog, "COMPACTION_BYTES_MIN", 300)
    rng = random.Random(7)
    log, model = StateLog(tmp_path, "g", 40), Model()
    token, expected = b"", dict[str, str]()
    for step in range(600):
        token_now = log.snapshot(model.change(f"k{rng.randrange(9)}", str(step)), model.whole)
        if rng.random() < 0.7:  # else the process dies before this epoch is durable
            token, expected = token_now, dict(model.content)
            if rng.random() < 0.8:
                continue
        if not token:
            continue
        log.close()
        log, deltas = StateLog.resume(tmp_path, 40, token)
        assert Model.of(deltas) == expected
        model.content = dict(expected)
    assert log._generation > 3
    assert len(list(tmp_path.iterdir())) <= 3


def test_an_old_generation_stays_until_the_new_one_is_surely_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statelog, "COMPACTION_BYTES_MIN", 20)
    log = StateLog(tmp_path, "g", 1)
    before = log.snapshot(b"a=1", lambda: b"a=1")
    log.snapshot(b"a=22222222222222222", lambda: b"a=2")
    assert {p.name for p in tmp_path.iterdir()} == {"g.0.log", "g.1.log"}
    log.close()
    _, deltas = StateLog.resume(tmp_path, 1, before)
    assert deltas == [b"a=1"]
    assert {p.name for p in tmp_path.iterdir()} == {"g.0.log"}


def test_a_missing_log_is_refused_with_its_path(tmp_path: Path) -> None:
    token = StateLog(tmp_path, "g", 1).snapshot(b"abc", lambda: b"")
    (tmp_path / "g.0.log").unlink()
    with pytest.raises(RecoveryError, match=r"g\.0\.log: No such file"):
        StateLog.resume(tmp_path, 1, token)


def test_a_short_log_is_refused(tmp_path: Path) -> None:
    token = StateLog(tmp_path, "g", 1).snapshot(b"abc", lambda: b"")
    (tmp_path / "g.0.log").write_bytes(b"12345")
    with pytest.raises(RecoveryError, match="5 bytes, the recovered snapshot refers to 11"):
        StateLog.resume(tmp_path, 1, token)


def test_a_flipped_bit_is_refused(tmp_path: Path) -> None:
    token = StateLog(tmp_path, "g", 1).snapshot(b"abc", lambda: b"")
    content = bytearray((tmp_path / "g.0.log").read_bytes())
    content[-1] ^= 1
    (tmp_path / "g.0.log").write_bytes(content)
    with pytest.raises(RecoveryError, match="wrong checksum"):
        StateLog.resume(tmp_path, 1, token)


@pytest.mark.parametrize("token", [b"", b"\x00", b"\x96\x02\xa1g\x00\x00\x00\x90"])
def test_a_token_of_another_kind_or_format_is_refused(tmp_path: Path, token: bytes) -> None:
    with pytest.raises(RecoveryError):
        StateLog.resume(tmp_path, 1, token)


def test_a_disk_that_takes_no_more_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    log = StateLog(tmp_path / "file" / "state", "journey-3", 4)
    with pytest.raises(RecoveryError, match=r"state/journey-3\.0\.log: Not a directory") as raised:
        log.snapshot(b"k=1;l=1", lambda: b"")
    assert "nothing is lost" in raised.value.remedy
