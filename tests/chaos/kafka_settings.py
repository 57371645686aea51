"""Settings of the jobs of a campaign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

OUTPUTS = ("findings", "cases", "decisions", "actions", "dead_letters")
TRANSACTION_TIMEOUT_S = 1
"""Short, so that a worker may be stopped for longer."""


def settings_text(servers: str, topics: Sequence[str], name: str, outputs: Mapping[str, str], silent: bool) -> str:
    """Return a file of settings.

    Args:
        servers: The brokers.
        topics: What to read.
        name: Of the job.
        outputs: Topics of outputs, by the name of their setting.
        silent: Whether partitions that are silent count as idle.
    """
    lines = [
        "[time]",
        f'idle_timeout = "{"1s" if silent else "1d"}"',
        "[kafka]",
        f'bootstrap_servers = "{servers}"',
        f"topics = {list(topics)}".replace("'", '"'),
        f'group_id = "{name}"',
        'start = "earliest"',
        "[topics]",
        f'transactional_id_prefix = "{name}"',
        f'transaction_timeout = "{TRANSACTION_TIMEOUT_S}s"',
        *(f'{key} = "{topic}"' for key, topic in outputs.items()),
    ]
    return "\n".join(lines) + "\n"
