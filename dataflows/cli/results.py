"""What commands that run a job share: where its store is, and what is in it at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from config.errors import UsageError
from dataflows.cli.console import out
from sinks.engine import store_path
from sinks.queries import open_by_stage
from sinks.store import Store

COUNTS = ("events", "late", "duplicates", "held", "dead_letters", "findings", "cases", "decisions", "actions")


def absolute_url(store_url: str) -> str:
    """Return the URL of a store with an absolute path: workers may run in another directory.

    Raises:
        UsageError: it is no URL.
    """
    scheme, found, path = store_url.partition(":///")
    if not found and "://" not in store_url:
        raise UsageError(
            f"--store {store_url}: not a URL",
            remedy="Write it as sqlite:///path/to/store.db or postgresql://user@host/db.",
        )
    store_path(store_url)  # refuses one without a file, which would become one by the next line
    return f"{scheme}:///{Path(path).resolve()}" if scheme == "sqlite" and found else store_url


def results(store_url: str) -> dict[str, Any]:
    """Return what is in a store: counts, the digest of all outputs, what was open at the end."""
    with Store.open(store_url) as store:
        totals, counts = store.totals(), store.counts()
        return {
            "events": totals["records"],
            "late": counts.get("late", 0),
            "duplicates": totals["duplicates"],
            "held": totals["held"],
            "dead_letters": counts.get("dead_letter", 0),
            "findings": counts.get("finding", 0),
            "cases": store.cases(),
            "decisions": counts.get("decision", 0),
            "actions": counts.get("action", 0),
            "digest": store.digest(),
            "complete": store.all_done(),
            "open": open_by_stage(store),
            "store": store_url,
        }


def print_counts(document: dict[str, Any]) -> None:
    """Print the counts of `results` for people."""
    for name in COUNTS:
        out.print(f"  {name.replace('_', ' '):14}{document[name]:>12,}")
