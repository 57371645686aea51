from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.errors import RecoveryError
from sinks.lock import lock_recovery, lock_store


def test_second_lock_on_a_recovery_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "store.db.recovery"
    with lock_recovery(folder), pytest.raises(RecoveryError, match="in use by another job") as raised:
        lock_recovery(folder)
    assert str(folder) in raised.value.message
    lock_recovery(folder).release()


def test_second_lock_on_a_store_is_refused(tmp_path: Path) -> None:
    with lock_store(tmp_path / "a.db"):
        with pytest.raises(RecoveryError, match=r"a\.db is in use"):
            lock_store(tmp_path / "a.db")
        lock_store(tmp_path / "b.db").release()


def test_lock_lives_on_in_a_worker_that_inherited_it(tmp_path: Path) -> None:
    lock = lock_recovery(tmp_path)
    worker = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock.descriptor])
    lock.release()
    with pytest.raises(RecoveryError, match="in use"):
        lock_recovery(tmp_path)
    worker.communicate(b"\n")
    lock_recovery(tmp_path).release()


def test_released_lock_has_no_descriptor(tmp_path: Path) -> None:
    lock = lock_recovery(tmp_path)
    os.fstat(lock.descriptor)
    lock.release()
    lock.release()
    with pytest.raises(ValueError, match="released"):
        _ = lock.descriptor


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecoveryError, match="cannot be locked"):
        lock_recovery(tmp_path / "file" / "recovery")
