"""Puts the uv that `uv.lock` pins at the path given, needing nothing but Python's own library.

The lock holds the address and SHA-256 of uv's wheel, and the wheel holds the binary. So a machine with Python and
make alone, without pip or venv, gets the very version that the project is locked with.
"""

from __future__ import annotations

import hashlib
import io
import platform
import re
import sys
import tomllib
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parents[1] / "uv.lock"


def main(target: Path) -> None:
    """Download, check and place the binary."""
    package = locked_uv()
    wheel = wheel_for_this_machine(package)
    if wheel is None:
        sys.exit(f"uv {package['version']} is not made for {platform.platform()}. See https://docs.astral.sh/uv/.")
    url, expected = wheel["url"], wheel["hash"].removeprefix("sha256:")
    print(f"getting uv {package['version']}", file=sys.stderr)
    try:
        with urllib.request.urlopen(url, timeout=120) as response:
            body = response.read()
    except urllib.error.URLError as error:
        sys.exit(f"{url}: {error.reason}. A network and ca-certificates are needed, or uv on the path.")
    if hashlib.sha256(body).hexdigest() != expected:
        sys.exit(f"{url}: its SHA-256 is not the one in uv.lock. Nothing was installed.")
    with zipfile.ZipFile(io.BytesIO(body)) as opened:
        binary = opened.read(f"uv-{package['version']}.data/scripts/uv")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(binary)
    target.chmod(0o755)


def locked_uv() -> dict[str, Any]:
    """Return what the lock says of uv."""
    package: dict[str, Any]
    (package,) = (p for p in tomllib.loads(LOCK.read_text())["package"] if p["name"] == "uv")
    return package


def wheel_for_this_machine(package: dict[str, Any]) -> dict[str, str] | None:
    """Return the address and hash of the wheel for this system, processor and C library, if there is one."""
    return next((wheel for wheel in package["wheels"] if re.search(_platform(), wheel["url"])), None)


def _platform() -> str:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    if sys.platform == "darwin":
        return rf"macosx_\d+_\d+_{'arm64' if machine == 'aarch64' else machine}"
    libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    return rf"{libc}_\d+_\d+_{machine}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
