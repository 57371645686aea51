"""The script that gets uv on a machine that has Python and make alone."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
NAME = "uv-1.2.3-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"


@pytest.fixture
def script() -> Any:
    spec = importlib.util.spec_from_file_location("get_uv", ROOT / ".ci" / "get_uv.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def on(monkeypatch: pytest.MonkeyPatch, system: str, machine: str, libc: str = "") -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, ""))


def lock(script: Any, folder: Path, sha256: str | None = None) -> None:
    """Point the script at a lock whose one wheel lies in `folder`."""
    with zipfile.ZipFile(folder / NAME, "w") as wheel:
        wheel.writestr("uv-1.2.3.data/scripts/uv", "#!/bin/sh\necho uv\n")
    digest = sha256 or hashlib.sha256((folder / NAME).read_bytes()).hexdigest()
    wheel_of = f'{{ url = "{(folder / NAME).as_uri()}", hash = "sha256:{digest}" }}'
    (folder / "uv.lock").write_text(f'[[package]]\nname = "uv"\nversion = "1.2.3"\nwheels = [{wheel_of}]\n')
    script.LOCK = folder / "uv.lock"


@pytest.mark.parametrize(
    ("system", "machine", "libc", "part"),
    [
        ("linux", "x86_64", "glibc", "manylinux_2_17_x86_64"),
        ("linux", "aarch64", "glibc", "manylinux_2_17_aarch64"),
        ("linux", "x86_64", "", "musllinux_1_1_x86_64"),
        ("darwin", "arm64", "", "macosx_11_0_arm64"),
        ("darwin", "x86_64", "", "macosx_10_12_x86_64"),
    ],
)
def test_the_lock_has_a_wheel_for_usual_machines(
    script: Any, monkeypatch: pytest.MonkeyPatch, system: str, machine: str, libc: str, part: str
) -> None:
    on(monkeypatch, system, machine, libc)
    chosen = script.wheel_for_this_machine(script.locked_uv())
    assert part in chosen["url"]


def test_binary_of_the_locked_wheel_is_placed_executable(
    script: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    on(monkeypatch, "linux", "x86_64", "glibc")
    lock(script, tmp_path)
    script.main(tmp_path / "tools" / "uv")
    assert (tmp_path / "tools" / "uv").read_text() == "#!/bin/sh\necho uv\n"
    assert os.access(tmp_path / "tools" / "uv", os.X_OK)


def test_wheel_with_another_hash_is_refused(script: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    on(monkeypatch, "linux", "x86_64", "glibc")
    lock(script, tmp_path, sha256="0" * 64)
    with pytest.raises(SystemExit, match=r"its SHA-256 is not the one in uv\.lock"):
        script.main(tmp_path / "tools" / "uv")
    assert not (tmp_path / "tools").exists()


def test_unreachable_wheel_is_named_with_what_is_needed(
    script: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    on(monkeypatch, "linux", "x86_64", "glibc")
    lock(script, tmp_path)
    (tmp_path / NAME).unlink()
    with pytest.raises(SystemExit, match=r"A network and ca-certificates are needed, or uv on the path"):
        script.main(tmp_path / "tools" / "uv")


def test_machine_without_a_wheel_is_told_so(script: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    on(monkeypatch, "linux", "vax", "glibc")
    lock(script, tmp_path)
    with pytest.raises(SystemExit, match=r"uv 1\.2\.3 is not made for "):
        script.main(tmp_path / "tools" / "uv")
