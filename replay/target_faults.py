"""How a target system misbehaves: drawn by a seed from the request itself, so that the same requests meet the same
troubles, in whatever order and at whatever pace they come.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import NamedTuple

from config.errors import UsageError

NAMES: Mapping[str, str] = {
    "slow": "holds the request back for up to the time of --slow, and obeys it then, if it has not expired",
    "fail_before": "answers 500, and has done nothing",
    "fail_after": "answers 500, and has done it",
    "lose_request": "closes the connection, and has done nothing",
    "lose_reply": "closes the connection, and has done it",
    "refuse": "answers 422, and has done nothing",
    "throttle": "answers 429, and has done nothing",
    "lie": "answers that it is done, and has done nothing",
    "garbage": "does it, and answers what is no JSON",
    "huge": "does it, and answers megabytes",
    "redirect": "sends to another address, and has done nothing",
    "duplicate": "gets the request twice, as from a network that repeats it",
    "useless": "does it, and it helps nobody",
    "spill": "does it, and changes something else as well",
}
"""What can go wrong, and what it means."""

OF_READING = frozenset(
    {"slow", "fail_before", "fail_after", "lose_request", "lose_reply", "throttle", "garbage", "huge"}
)
"""What can go wrong with a request that only asks."""

EVERY = "*"
SLOW_S = 2.0


class Fault(NamedTuple):
    """What goes wrong with one request."""

    name: str = ""
    """One of `NAMES`, or "" for nothing."""
    hold_s: float = 0.0
    """How long the request is held back before anything is done."""


class Faults:
    """A plan of troubles.

    Args:
        seed: The same seed, the same troubles.
        chances: How likely each is, 0 to 1, by path (`/crm/send_message`) and name; `*` for all paths that are not
            named.
        slow_s: The longest time a request is held back, seconds.
    """

    def __init__(
        self, seed: int = 0, chances: Mapping[str, Mapping[str, float]] | None = None, slow_s: float = SLOW_S
    ) -> None:
        self._seed, self._chances, self._slow_s = seed, chances or {}, slow_s
        self._arrived: dict[tuple[str, str, str], int] = {}

    def draw(self, method: str, path: str, key: str) -> Fault:
        """Return what goes wrong with the next request of this kind."""
        chances = self._chances.get(path, self._chances.get(EVERY, {}))
        if not chances:
            return Fault()
        nth = self._arrived[method, path, key] = self._arrived.get((method, path, key), 0) + 1
        chance = Random(f"{self._seed}|{method}|{path}|{key}|{nth}")
        drawn = chance.random()
        for name, share in sorted(chances.items()):
            if drawn < share:
                if method == "GET" and name not in OF_READING:
                    return Fault()
                return Fault(name, self._slow_s * chance.random() if name == "slow" else 0.0)
            drawn -= share
        return Fault()


def parse_chances(text: str) -> dict[str, dict[str, float]]:
    """Return the chances that `text` names: `lose_reply=0.1,/crm/send_message:useless=1`.

    Raises:
        UsageError: it cannot be read, names an unknown trouble, or the chances of a path are more than one.
    """
    chances: dict[str, dict[str, float]] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        where, _, share = item.partition("=")
        path, _, name = where.rpartition(":")
        try:
            value = float(share)
        except ValueError:
            value = -1.0
        if name not in NAMES or not 0.0 <= value <= 1.0:
            raise UsageError(
                f"{item!r} is no trouble of a target.",
                remedy=f"Write NAME=CHANCE or PATH:NAME=CHANCE, with NAME one of {', '.join(NAMES)}.",
            )
        chances.setdefault(path or EVERY, {})[name] = value
    for path, named in chances.items():
        if sum(named.values()) > 1.0:
            raise UsageError(f"The chances of {path} add up to more than 1.", remedy="Lower some of them.")
    return chances
