"""Options of commands that talk to brokers: where these are, and which topics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from config.errors import UsageError
from config.settings import Settings, environment, load

F = TypeVar("F", bound=Callable[..., Any])

config_option = click.option(
    "--config", type=click.Path(path_type=Path), metavar="FILE", help="Settings (TOML) over the defaults."
)
topics_option = click.option(
    "--topics", multiple=True, metavar="NAMES", help="Topics, separated by commas. [kafka.topics of the settings]"
)
bootstrap_option = click.option(
    "--bootstrap-servers", metavar="HOST:PORT", help="Some of the brokers. [kafka.bootstrap_servers of the settings]"
)


def need_brokers(settings: Settings, otherwise: str = "") -> None:
    """Check that brokers are named, for a command that writes to them.

    Args:
        settings: The settings.
        otherwise: What can be done without any, as a sentence.

    Raises:
        UsageError: there are none.
    """
    if not settings.kafka.bootstrap_servers:
        raise UsageError(
            "No brokers are named.",
            remedy="Name some with --bootstrap-servers HOST:PORT, or as kafka.bootstrap_servers of the settings that "
            f"--config names. {otherwise}".rstrip(),
        )


def settings_with(config: Path | None, servers: str | None = None, topics: tuple[str, ...] = ()) -> Settings:
    """Return the settings, with the brokers and topics that the command line names.

    Raises:
        SettingsError: A settings file or variable is at fault.
    """
    settings = load(config, environment())
    named = tuple(dict.fromkeys(name.strip() for each in topics for name in each.split(",") if name.strip()))
    kafka = settings.kafka
    return replace(
        settings,
        kafka=replace(
            kafka, bootstrap_servers=servers or kafka.bootstrap_servers, topics=tuple(sorted(named)) or kafka.topics
        ),
    )
