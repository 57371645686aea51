"""`forestall keys`: keys by which people sign what they decide."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import yaml

from config.clock import to_text
from config.errors import UsageError
from config.key_files import make_private_key
from config.keys import PERSON, ROLE, Keys, load_keys, public_text
from dataflows.cli.console import ForestallGroup, json_option, out, print_json, print_rows
from dataflows.cli.instant import Instant


@click.group(cls=ForestallGroup)
def keys() -> None:
    """Keys by which people sign what they decide: answers to requests, and changes of policy."""


@keys.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--person", required=True, metavar="NAME", help="The account of whom it is for.")
@click.option("--roles", required=True, metavar="NAMES", help="What it may sign for, separated by commas.")
@click.option("--valid-from", type=Instant(), metavar="TIME", help="From when on. [now]")
@json_option
def make(file: Path, person: str, roles: str, valid_from: int | None, as_json: bool) -> None:
    """Make a private key in FILE, and print the entry of its public half for the key file.

    FILE is for its owner alone. The entry is no secret: whoever keeps the key file, which `approvals.keys` in the
    settings names, adds it there.

    \b
    Example:
      forestall keys make ~/.forestall.key --person maria --roles customer-operations,duty-manager
    """
    named = [role.strip() for role in roles.split(",") if role.strip()]
    for pattern, name in ((PERSON, person), *((ROLE, role) for role in named or [""])):
        if not pattern.fullmatch(name):
            raise UsageError(f"{name!r} is no name.", remedy="Write lower-case letters, digits and . _ -.")
    entry = {
        "person": person,
        "roles": named,
        "public_key": public_text(make_private_key(file)),
        "valid_from": to_text(time.time_ns() // 1000 if valid_from is None else valid_from),
    }
    if as_json:
        print_json(entry)
        return
    out.print(yaml.safe_dump([entry], sort_keys=False).rstrip(), markup=False)


@keys.command(name="list")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@json_option
def list_(file: Path, as_json: bool) -> None:
    """Check a key file, and show whose keys it holds.

    \b
    Example:
      forestall keys list keys.yaml
    """
    loaded = load_keys(file)
    rows = _rows(loaded)
    if as_json:
        print_json({"owner": loaded.owner, "keys": rows})
        return
    shown = [row | {"roles": ", ".join(row["roles"])} for row in rows]
    print_rows(f"Keys, kept by {loaded.owner}", ["person", "key", "roles", "valid_from", "revoked_at"], shown)


def _rows(loaded: Keys) -> list[dict[str, Any]]:
    return [
        {
            "person": key.person,
            "key": key.id,
            "roles": sorted(key.roles),
            "valid_from": to_text(key.valid_from),
            "revoked_at": None if key.revoked_at is None else to_text(key.revoked_at),
        }
        for _, owned in sorted(loaded.by_person.items())
        for key in owned
    ]
