"""What was earned and lost, folded from the outputs of kind `autonomy`: how far each remedy may go, and by what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import sqlalchemy as sa

from sinks.queries import bodies
from sinks.schema import outputs
from sinks.store import Store

Row = dict[str, Any]
AUTONOMY = "autonomy"
KEY = ("agent", "remedy", "segment")
EVIDENCE = ("outcomes", "verified", "failed", "false_actions", "success_low", "false_high")


def standings(store: Store) -> list[Row]:
    """Return how far each remedy may go, for each agent and segment that anything is known of, by these names.

    Beside them: `level` (None where a drift that held an agent back is over), `since` (when it changed last, None where
    it begins there), `cause` and `reason` of that; what counts of outcomes since; what is `missing` for the next level;
    the number of `changes`, of outcomes `counted` and `ignored`, and of those counted that are of no action of this
    store (`foreign`).
    """
    decided = sa.select(outputs.c.body).where(outputs.c.kind == "decision").order_by(*_ORDER)
    found: dict[tuple[str, ...], Row] = {}
    with store.read() as connection:
        own = set(connection.execute(sa.select(outputs.c.id).where(outputs.c.kind == "action")).scalars())
        for body in connection.execution_options(yield_per=1_000).execute(decided).scalars():
            _begin(found, orjson.loads(body))
        for what, said in _told(connection):
            _fold(found, what, said, own)
    return [found[key] for key in sorted(found)]


def histories(store: Store) -> list[Row]:
    """Return what became of levels, for each agent, remedy and segment that anything was heard of, by these names.

    `points` are in the order of event time, two kinds of them: what counted after an outcome did, with the `level`, the
    numbers of `EVIDENCE` and `success_high`; and a change of level, with `before`, `level` and `cause`.
    """
    found: dict[tuple[str, ...], Row] = {}
    with store.read() as connection:
        for what, said in _told(connection):
            key = tuple(said[name] for name in KEY)
            if what == "ignored":
                continue
            point = {"at": said["at"], "level": said["level"]}
            if what == "changed":
                point |= {"before": said["before"], "cause": said["cause"]}
            else:
                point |= {name: said["evidence"][name] for name in (*EVIDENCE, "success_high")}
            found.setdefault(key, dict(zip(KEY, key, strict=True)) | {"points": []})["points"].append(point)
    return [found[key] for key in sorted(found)]


def changes_by_level(store: Store) -> list[Row]:
    """Return how often levels changed, by agent, level and cause."""
    names = ("agent", "level", "cause")
    changes = Counter(tuple(body[name] for name in names) for body in bodies(store, AUTONOMY) if "cause" in body)
    return [dict(zip(names, key, strict=True)) | {"changes": count} for key, count in sorted(changes.items())]


_ORDER = (outputs.c.event_at, outputs.c.part, outputs.c.seq)


def _told(connection: sa.Connection) -> Iterator[tuple[str, Row]]:
    """Yield what was told of autonomy, in the order of event time: `changed`, `counted` or `ignored`, and its data."""
    query = sa.select(outputs.c.type, outputs.c.body).where(outputs.c.kind == AUTONOMY).order_by(*_ORDER)
    for type_, body in connection.execution_options(yield_per=1_000).execute(query):
        yield type_.partition(".")[2], orjson.loads(body)


def _begin(found: dict[tuple[str, ...], Row], decision: Row) -> None:
    if "autonomy" in decision:
        key = (decision["facts"]["agent"], decision["remedy"], decision["segment"])
        _row(found, key)["level"] = decision["autonomy"]


def _fold(found: dict[tuple[str, ...], Row], what: str, said: Row, own: set[str]) -> None:
    row = _row(found, tuple(said[name] for name in KEY))
    if what == "ignored":
        row["ignored"] += 1
        return
    row |= {"level": said["level"] or None, "missing": said["missing"]}
    row |= {name: said["evidence"][name] for name in EVIDENCE if name in said["evidence"]}
    if what == "changed":
        row |= {"since": said["at"], "cause": said["cause"], "reason": said["reason"], "changes": row["changes"] + 1}
    else:
        row |= {"counted": row["counted"] + 1, "foreign": row["foreign"] + (said["action_id"] not in own)}
    found[tuple(said[name] for name in KEY)] = row


def _row(found: dict[tuple[str, ...], Row], key: tuple[str, ...]) -> Row:
    fresh: Row = dict(zip(KEY, key, strict=True))
    fresh |= {"level": None, "since": None, "cause": "", "reason": "", "missing": []}
    fresh |= dict.fromkeys(EVIDENCE, 0) | {"success_low": 0.0, "false_high": 1.0}
    fresh |= dict.fromkeys(("changes", "counted", "ignored", "foreign"), 0)
    return found.setdefault(key, fresh)
