"""`forestall target`: a system to act on, for tests and demonstrations."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from config.credentials import read_secret
from config.errors import EnvironmentFault, UsageError
from dataflows.cli.console import err
from dataflows.supervisor import stop_signals
from replay.target import Service, serving
from replay.target_faults import NAMES, SLOW_S, Faults, parse_chances
from replay.target_file import targets_text
from replay.target_shop import Shop

POLL_S = 0.05


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
@click.option(
    "--targets",
    "targets_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a file that names its systems, for `remediate --targets`.",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
def target(
    database: Path | None,
    secret_file: Path,
    key_id: str,
    host: str,
    port: int,
    seed: int,
    faults: str,
    slow_s: float,
    targets_file: Path | None,
    command: Sequence[str],
) -> None:
    """Serve the systems of a shop that remedies act on, until stopped by SIGTERM or Ctrl-C; with a COMMAND, while it
    runs, and exit as it does.

    They take orders over HTTP: POST /crm/send_message, /crm/open_ticket, /billing/credit, /payments/hold,
    /logistics/expedite, /pager/page, /releases/roll_back and others, each once by its Idempotency-Key; and tell what
    became of one: GET /crm/effects/KEY. Requests are signed (RFC 9421). It is told with --faults to misbehave.

    \b
    Example:
      head -c 32 /dev/urandom | base64 > var/target.key
      forestall target --db var/target.db --secret-file var/target.key
      forestall target --secret-file var/target.key --seed 7 --faults lose_reply=0.1,/crm/open_ticket:lie=0.5
      forestall target --secret-file var/target.key --port 0 --targets var/targets.yaml -- \\
          forestall remediate --store sqlite:///var/world.db --targets var/targets.yaml
    """
    try:
        keys = {key_id: read_secret(secret_file).encode()}
    except ValueError as error:
        raise UsageError(f"--secret-file {error}.", remedy="Name a file that holds one line: the secret.") from None
    plan = Faults(seed, parse_chances(faults), slow_s)
    for file in filter(None, (database, targets_file)):
        file.parent.mkdir(parents=True, exist_ok=True)
    shop = Shop(database)
    with stop_signals() as stopping, serving(Service(shop, keys, plan), host, port) as address:
        if targets_file is not None:
            targets_file.write_text(targets_text(address, key_id, secret_file))
        if command:
            code = _run(command, stopping)
        else:
            err.print(f"listening on {address}; stop with Ctrl-C", markup=False)
            code = 0
            while not stopping():
                time.sleep(POLL_S)
    shop.close()
    if code:
        click.get_current_context().exit(code)


def _run(command: Sequence[str], stopping: Callable[[], int]) -> int:
    """Run a command until it ends; asked to stop, stop it, and at the second time kill it. Return its exit code.

    Raises:
        EnvironmentFault: it cannot be run, or was ended by a signal that is none of ours.
    """
    try:
        process = subprocess.Popen(command)
    except OSError as error:
        raise EnvironmentFault(f"{command[0]} cannot be run: {error.strerror}.", remedy="Name a program.") from None
    asked = 0
    while process.poll() is None:
        if stopping() > asked:
            asked = stopping()
            process.terminate() if asked == 1 else process.kill()
        time.sleep(POLL_S)
    if process.returncode >= 0:
        return process.returncode
    if asked:
        return EnvironmentFault.exit_code
    raise EnvironmentFault(f"{command[0]} was ended by signal {-process.returncode}.", remedy="Run it again.")
