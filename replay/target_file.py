"""The file of targets that names the systems of a target system which serves here: what `remediate --targets` reads."""

from __future__ import annotations

from pathlib import Path

import yaml

from replay.target_shop import OPERATIONS

SETTLE = "1s"
"""It obeys nothing that has expired; so long the answer to the last request may be under way."""


def targets_text(address: str, key_id: str, secret_file: Path) -> str:
    """Return the text of a file that names all systems of a target system as targets to be tried on.

    Args:
        address: Where it serves, `http://host:port`.
        key_id: What senders call the secret.
        secret_file: The secret that requests are signed with.
    """
    host = address.partition("//")[2].rpartition(":")[0]
    common = {
        "kind": "http",
        "key_id": key_id,
        "secret_file": str(secret_file.resolve()),
        "networks": [f"{host}/32"],
        "sandbox": True,
        "settle": SETTLE,
    }
    targets = {name: {"url": f"{address}/{name}"} | common for name in OPERATIONS}
    return yaml.safe_dump({"owner": "forestall target", "targets": targets}, sort_keys=False)
