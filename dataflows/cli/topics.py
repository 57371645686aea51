"""`forestall topics`: what a live job reads, where that is more than a setting."""

from __future__ import annotations

from pathlib import Path

import click

from config.errors import UsageError
from dataflows.cli.console import ForestallGroup, json_option, out, print_json, table
from dataflows.cli.results import absolute_url
from dataflows.job import default_recovery
from dataflows.recovered import SOURCE, interpret
from sinks.lock import lock_recovery
from sinks.preflight import forget, inspect


@click.group(cls=ForestallGroup)
def topics() -> None:
    """Change what a live job goes on reading."""


@topics.command()
@click.argument("topic")
@click.option("--store", "store_url", metavar="URL", help="The job's store: its recovery folder is beside it.")
@click.option("--recovery", type=click.Path(path_type=Path), metavar="DIR", help="Where its state rests.")
@json_option
def retire(topic: str, store_url: str | None, recovery: Path | None, as_json: bool) -> None:
    """Let a job that is stopped go on without TOPIC, which must then be left out of kafka.topics.

    The job forgets how far it read there. What was found remains, and so do journeys and windows that the topic's
    records are part of; from the next start on nobody waits for its partitions. Named again, it begins as kafka.start
    says, and what is older than what the job has come to by then is late.

    \b
    Example:
      forestall topics retire clickstream --store sqlite:///var/live.db
    """
    if recovery is None:
        if store_url is None:
            raise UsageError("Neither --recovery nor --store is given.", remedy="Name the job's recovery folder.")
        recovery = default_recovery(absolute_url(store_url))
    with lock_recovery(recovery):
        channels = interpret(inspect(recovery).snapshots).channels
        chosen = {name: state.next_offset for name, state in channels.items() if name.rpartition("/")[0] == topic}
        if not chosen:
            known = sorted({name.rpartition("/")[0] for name in channels})
            raise UsageError(f"{recovery} knows no topic {topic}", remedy=f"It knows: {', '.join(known) or 'none'}.")
        forget(recovery, SOURCE, chosen)
    if as_json:
        print_json({"recovery": str(recovery), "topic": topic, "offsets": chosen})
        return
    out.print(table(f"{topic} is retired", ("partition", "read up to"), sorted(chosen.items())))
