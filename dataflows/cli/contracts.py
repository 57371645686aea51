"""`forestall contracts …`: the documents that say what records look like."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import click
import msgspec
import yaml

from config.contracts import BUILT_IN, Contract, load_contract, load_contracts, read_folder
from config.contracts.compatibility import Finding, check_compatibility
from config.contracts.model import Mode
from config.errors import CheckFailed, UsageError
from dataflows.cli.console import ForestallGroup, json_option, out, print_json, table
from dataflows.cli.kafka_options import bootstrap_option, config_option, settings_with, topics_option
from replay.draft import Draft, TopicSurvey, survey
from replay.recording import Recording

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


@contracts.command("draft")
@click.argument("folder", type=click.Path(path_type=Path), metavar="[DIR]", required=False)
@topics_option
@bootstrap_option
@config_option
@click.option(
    "--contracts", "own", type=_PATH, multiple=True, metavar="FOLDER", help="Contracts in force beside the built-in."
)
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER", help="Write drafts here.")
@click.option(
    "--sample", default=10_000, show_default=True, type=click.IntRange(min=1), help="Records read of each partition."
)
@json_option
def draft(
    folder: Path | None,
    topics: tuple[str, ...],
    bootstrap_servers: str | None,
    config: Path | None,
    own: tuple[Path, ...],
    into: Path | None,
    sample: int,
    as_json: bool,
) -> None:
    """Look at the topics of the recording in DIR, or at live ones, and draft contracts for what none describes.

    Shows how much of each topic decodes and why the rest does not, how far records come behind and how long topics
    are silent, and proposes `lateness_max` and `idle_timeout`. A draft is not in force: name its owner, its personal
    fields' purposes, and set its status to active. Of a live topic the last records are looked at.

    \b
    Example:
      forestall contracts draft var/recording --into my/contracts
      forestall contracts draft --topics orders,crm --bootstrap-servers kafka:9092
    """
    live = bool(topics or bootstrap_servers or config)
    if live == (folder is not None):
        raise UsageError(
            "Either a recording or live topics are looked at." if live else "nothing to look at is named",
            remedy="Name the folder of a recording, or --topics on --bootstrap-servers.",
        )
    with TemporaryDirectory() as temporary:
        if folder is None:
            folder = Path(temporary) / "sample"
            _sample(folder, config, bootstrap_servers, topics, sample)
        surveys, drafts = survey(Recording.open(folder, verify=False), load_contracts(BUILT_IN, *own), sample)
    written = _write(into, drafts) if into else []
    if as_json:
        documents: Any = msgspec.to_builtins(drafts)
        listed: Any = msgspec.to_builtins(surveys)
        print_json({"topics": listed, "drafts": documents, "written": [str(path) for path in written]})
        return
    out.print(table("Topics", _TOPIC_COLUMNS, map(_topic_row, surveys)))
    if drafts:
        rows = [(item.topic, item.type, item.records, _key_of(item)) for item in drafts]
        out.print(table("Drafts", ("topic", "type", "records", "key"), rows))
        where = f"written to {into}" if into else "shown with --json, written with --into FOLDER"
        out.print(f"{len(drafts)} drafts {where}")


def _sample(folder: Path, config: Path | None, servers: str | None, topics: tuple[str, ...], records: int) -> None:
    from replay.sample import sample as sample_topics  # with it comes the client of brokers, which takes its time

    settings = settings_with(config, servers, topics)
    sample_topics(
        settings.kafka, settings.registry, settings.kafka.topics, records, folder, lambda: time.time_ns() // 1000
    )


_TOPIC_COLUMNS = ("topic", "sampled", "decoded", "types", "rejects", "keys", "behind p99", "silence p99",
                  "lateness_max", "idle_timeout")  # fmt: skip


def _topic_row(item: TopicSurvey) -> tuple[object, ...]:
    return (
        item.topic,
        item.sampled,
        f"{item.decoded / item.sampled:.1%}" if item.sampled else "",
        ", ".join(f"{name} {count}" for name, count in item.types.items()),
        ", ".join(f"{name} {count}" for name, count in item.rejects.items()),
        item.distinct_keys,
        f"{item.behind_s.get('p99', 0)} s",
        f"{item.silence_s.get('p99', 0)} s",
        item.lateness_max,
        item.idle_timeout,
    )


def _key_of(item: Draft) -> str:
    extras = item.document["customProperties"]
    return str(next(extra["value"] for extra in extras if extra["property"] == "entityKey"))


def _write(into: Path, drafts: list[Draft]) -> list[Path]:
    paths = [into / f"{item.type}.yaml" for item in drafts]
    for path in paths:
        if path.exists():
            raise UsageError(f"{path} exists already", remedy="Name another folder, or move the file away.")
    into.mkdir(parents=True, exist_ok=True)
    for path, item in zip(paths, drafts, strict=True):
        path.write_text(yaml.safe_dump(item.document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return paths
