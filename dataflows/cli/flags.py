"""`forestall flag`: limit what a running job does by itself."""

from __future__ import annotations

import time
from pathlib import Path

import click

from config.clock import to_text
from dataflows.cli.console import ForestallGroup, json_option, out, print_json
from dataflows.cli.instant import Instant
from dataflows.cli.kafka_options import bootstrap_option, config_option, need_brokers, settings_with
from dataflows.control_records import control_record, send
from operators.flags import FLAG, MODES


@click.group(cls=ForestallGroup)
def flag() -> None:
    """Limit what a running job does by itself: a kill switch, and modes between that and what its policy says."""


@flag.command(name="set")
@click.argument("mode", type=click.Choice(MODES))
@click.option("--scope", default="*", show_default=True, metavar="SCOPE", help="All (*), agent:NAME, or remedy:NAME.")
@click.option("--by", required=True, metavar="WHO", help="A role or an account of the operators.")
@click.option("--reason", required=True, metavar="TEXT", help="Why: it stands beside each decision it changes.")
@click.option("--until", type=Instant(), metavar="TIME", help="When it ends by itself. [never]")
@click.option("--topic", default="flags", show_default=True, metavar="NAME", help="The control topic.")
@bootstrap_option
@config_option
@json_option
def set_(
    mode: str,
    scope: str,
    by: str,
    reason: str,
    until: int | None,
    topic: str,
    bootstrap_servers: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Set MODE for a scope, or take an earlier one back with `normal`.

    The job heeds it from the moment it reads it; what was decided before is not begun any more. `observe-only` leaves
    nothing but watching, `notify-only` messages that move no money, `reversible-only` what can be undone. A flag never
    allows more than the policy does.

    \b
    Example:
      forestall flag set observe-only --by on-call --reason "prices are wrong" --bootstrap-servers localhost:9092
      forestall flag set normal --by on-call --reason "prices are right again" --bootstrap-servers localhost:9092
    """
    settings = settings_with(config, bootstrap_servers)
    need_brokers(settings)
    ends = None if until is None else to_text(until)
    told = {"scope": scope, "mode": mode, "set_by": by, "reason": reason, "until": ends}
    record = control_record(settings, FLAG, told, time.time_ns() // 1000)
    partition, offset = send(settings.kafka, topic, scope, record)
    if as_json:
        print_json({"topic": topic, "partition": partition, "offset": offset, "scope": scope, "mode": mode})
        return
    out.print(f"{topic}/{partition}, offset {offset}: {mode} for {scope}.")
