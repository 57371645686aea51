"""What the commands of `forestall policy` share."""

from __future__ import annotations

from pathlib import Path

import click

from config.agents.load import load_manifests
from config.policies.versions import Versions, load_policy
from config.settings import environment, load

folder_argument = click.argument("folder", type=click.Path(path_type=Path), metavar="[DIR]", required=False)
config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Settings (TOML) over the defaults: they name the policy where no DIR does.",
)


def named_folder(folder: Path | None, config: Path | None) -> Path:
    """Return `folder`, by default the one that the settings name."""
    return folder or load(config, environment()).policy.bundle


def load_named(folder: Path | None, config: Path | None) -> Versions:
    """Return the policy in `folder`, by default the one that the settings name."""
    return load_policy(named_folder(folder, config), load_manifests())
