"""What the commands of `forestall policy` share."""

from __future__ import annotations

from pathlib import Path

import click

from config.agents.load import load_manifests
from config.keys import load_keys
from config.policies.versions import Versions, load_policy
from config.settings import environment, load
from dataflows.cli.console import err
from dataflows.domain import load_policies

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


def say_what_shadows(config: Path | None) -> None:
    """Tell on standard error which versions of the policy may shadow only, and who may change that."""
    settings = load(config, environment())
    if settings.policy.enforce:
        policy = load_policies(settings, load_manifests(), load_keys(settings.approvals.keys))
        for refusal in policy.shadow_only.values():
            err.print(refusal, markup=False)


def load_named(folder: Path | None, config: Path | None) -> Versions:
    """Return the policy in `folder`, by default the one that the settings name."""
    return load_policy(named_folder(folder, config), load_manifests())
