"""`forestall target`: a system to act on, for tests and demonstrations."""

from __future__ import annotations

from pathlib import Path

import click

from config.credentials import read_secret
from config.errors import UsageError
from dataflows.cli.console import err
from dataflows.supervisor import stop_signals
from replay.target import Service, serve
from replay.target_faults import NAMES, SLOW_S, Faults, parse_chances
from replay.target_shop import Shop


@click.command(epilog="\b\nTroubles:\n" + "\n".join(f"  {name:13} {says}" for name, says in NAMES.items()))
@click.option("--db", "database", type=click.Path(path_type=Path), metavar="FILE", help="Its database. [in memory]")
@click.option(
    "--secret-file",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The secret that requests are signed with.",
)
@click.option("--key-id", default="forestall", show_default=True, metavar="NAME", help="What senders call the secret.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8700, show_default=True, help="0 takes a free one.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the troubles.")
@click.option("--faults", default="", metavar="LIST", help="Troubles and how likely each is: lose_reply=0.1,slow=0.2")
@click.option("--slow", "slow_s", type=click.FloatRange(0.0, 600.0), default=SLOW_S, show_default=True, help="Seconds.")
def target(
    database: Path | None,
    secret_file: Path,
    key_id: str,
    host: str,
    port: int,
    seed: int,
    faults: str,
    slow_s: float,
) -> None:
    """Serve the systems of a shop that remedies act on, until stopped by SIGTERM or Ctrl-C.

    They take orders over HTTP: POST /crm/send_message, /crm/open_ticket, /billing/credit, /payments/hold,
    /logistics/expedite, /pager/page, /releases/roll_back and others, each once by its Idempotency-Key; and tell what
    became of one: GET /crm/effects/KEY. Requests are signed (RFC 9421). It is told with --faults to misbehave.

    \b
    Example:
      head -c 32 /dev/urandom | base64 > var/target.key
      forestall target --db var/target.db --secret-file var/target.key
      forestall target --secret-file var/target.key --seed 7 --faults lose_reply=0.1,/crm/open_ticket:lie=0.5
    """
    try:
        keys = {key_id: read_secret(secret_file).encode()}
    except ValueError as error:
        raise UsageError(f"--secret-file {error}.", remedy="Name a file that holds one line: the secret.") from None
    plan = Faults(seed, parse_chances(faults), slow_s)
    if database is not None:
        database.parent.mkdir(parents=True, exist_ok=True)
    shop = Shop(database)
    with stop_signals() as stopping:
        serve(
            Service(shop, keys, plan),
            host,
            port,
            lambda address: err.print(f"listening on {address}; stop with Ctrl-C", markup=False),
            stopping,
        )
    shop.close()
