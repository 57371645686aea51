"""`forestall contracts …`: the documents that say what records look like."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click
import msgspec

from config.contracts import BUILT_IN, Contract, load_contract, load_contracts, read_folder
from config.contracts.compatibility import Finding, check_compatibility
from config.contracts.model import Mode
from config.errors import CheckFailed, UsageError
from dataflows.cli.console import ForestallGroup, json_option, out, print_json, table

_PATH = click.Path(exists=True, path_type=Path)
_MODES = [mode for mode in get_args(Mode) if mode != "NONE"]


@click.group(cls=ForestallGroup)
def contracts() -> None:
    """List, check and draft data contracts."""


@contracts.command("list")
@click.argument("folders", nargs=-1, type=_PATH, metavar="[FOLDERS]...")
@json_option
def list_contracts(folders: tuple[Path, ...], as_json: bool) -> None:
    """Show the contracts in FOLDERS, on top of the built-in ones.

    \b
    Example:
      forestall contracts list my/contracts
    """
    loaded = load_contracts(BUILT_IN, *folders)
    rows = [(c.type, c.version, c.status, c.owner, c.flow, c.key, c.compatibility) for c in loaded]
    columns = ("type", "version", "status", "owner", "flow", "key", "compatibility")
    if as_json:
        listed = [dict(zip(columns, row, strict=True)) for row in rows]
        print_json({"digest": loaded.digest, "contracts": listed})
    else:
        out.print(table(f"Contracts {loaded.digest}", columns, rows))


@contracts.command("check")
@click.argument("paths", nargs=-1, type=_PATH, metavar="OLD... NEW")
@click.option(
    "--mode",
    type=click.Choice(_MODES, case_sensitive=False),
    help="What must hold; by default what the last old version asks for.",
)
@json_option
def check(paths: tuple[Path, ...], mode: Mode | None, as_json: bool) -> None:
    """Check that the contracts in NEW can follow those in OLD, files or folders.

    Several OLD are older versions, the oldest first; only the last counts unless the mode is transitive.
    A type that NEW no longer has is a finding under every mode; one that OLD does not have is none.

    \b
    BACKWARD  new readers read old records
    FORWARD   old readers read new records
    FULL      both
    …_TRANSITIVE  with all older versions, not only the last

    \b
    Example:
      forestall contracts check v1/order.placed.yaml v2/order.placed.yaml --mode FULL
    """
    if len(paths) < 2:
        raise UsageError(
            f"{len(paths)} paths given, at least two are needed",
            remedy="Name the old contracts and the new ones: `forestall contracts check OLD NEW`.",
        )
    *olds, new = map(_load, paths)
    findings = [finding for name in sorted(new) for finding in _findings(olds, new[name], mode)]
    lost = sorted({name for old in olds[-1:] for name in old} - new.keys())
    compatible = not findings and not lost
    if as_json:
        listed: Any = msgspec.to_builtins(findings)
        print_json({"compatible": compatible, "checked": sorted(new), "removed": lost, "findings": listed})
    else:
        _show(findings, lost, new)
    if not compatible:
        raise CheckFailed(
            f"{len(findings) + len(lost)} findings: {paths[-1]} cannot follow {', '.join(map(str, paths[:-1]))}",
            remedy="Make the change compatible, or give it a new major version and a type of its own.",
        )


def _load(path: Path) -> dict[str, Contract]:
    if path.is_dir():
        return read_folder(path)
    contract = load_contract(path)
    return {contract.type: contract}


def _findings(olds: list[dict[str, Contract]], new: Contract, mode: Mode | None) -> list[Finding]:
    earlier = [old[new.type] for old in olds if new.type in old]
    # The old version sets the terms: a new one must not excuse itself.
    return check_compatibility(earlier, new, mode or earlier[-1].compatibility) if earlier else []


def _show(findings: list[Finding], lost: list[str], new: dict[str, Contract]) -> None:
    rows: list[tuple[str, ...]] = [(f.old, f.new, f.field, f.direction, f.why) for f in findings]
    rows += [(name, "", "", "both", "the type is gone") for name in lost]
    if rows:
        out.print(table("Incompatible changes", ("old", "new", "field", "breaks", "why"), rows))
    else:
        out.print(f"compatible: {', '.join(sorted(new))}")
