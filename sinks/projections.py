"""Projections: tables that are folded from events, and can be folded again at any time.

A case event says which columns of its case changed (`change`); a case is what its events, applied in the order of
their `seq`, add up to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from config.errors import StoreError
from sinks.schema import cases, outputs

Row = dict[str, Any]

COLUMNS = tuple(column.name for column in cases.columns)
CHANGEABLE = frozenset(COLUMNS) - {"case_id", "seq"}

IN_MAX = 500
"""Ids in one IN list: below every database's limit on parameters."""


def chunks(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    """Return `ids` in stretches for one IN list each."""
    return (ids[start : start + IN_MAX] for start in range(0, len(ids), IN_MAX))


def fold(rows: dict[str, Row], bodies: Iterable[bytes]) -> set[str]:
    """Apply case events to `rows`, by case id, in place; an event already in its row is passed over.

    Args:
        rows: The cases so far; new ones are added.
        bodies: Data of case events as JSON, those of one case in the order of their `seq`.

    Returns:
        The ids of the cases that changed.

    Raises:
        StoreError: An event changes a column that no case has, or skips one before it.
    """
    changed = set()
    for body in bodies:
        data = orjson.loads(body)
        case_id, seq = data["case_id"], data["seq"]
        row = rows.get(case_id)
        if row is None:
            row = rows[case_id] = dict.fromkeys(COLUMNS)
            row.update(case_id=case_id, seq=0)
        if seq <= row["seq"]:
            continue
        if seq != row["seq"] + 1:
            raise StoreError(f"Case {case_id}: event {seq} follows event {row['seq']}.", remedy="Report this defect.")
        if unknown := data["change"].keys() - CHANGEABLE:
            raise StoreError(
                f"Case {case_id}: event {seq} changes unknown columns {', '.join(sorted(unknown))}.",
                remedy="Use the version of Forestall that wrote it.",
            )
        row.update(data["change"], seq=seq)
        changed.add(case_id)
    return changed


def apply_case_events(connection: sa.Connection, bodies: Sequence[bytes]) -> None:
    """Fold case events into the table `cases`, within the caller's transaction."""
    ids = sorted({orjson.loads(body)["case_id"] for body in bodies})
    rows: dict[str, Row] = {}
    for start in range(0, len(ids), IN_MAX):
        found = connection.execute(sa.select(cases).where(cases.c.case_id.in_(ids[start : start + IN_MAX])))
        rows.update((row["case_id"], dict(row)) for row in found.mappings())
    known = set(rows)
    changed = fold(rows, bodies)
    if new := [rows[case_id] for case_id in sorted(changed - known)]:
        connection.execute(cases.insert(), new)
    if old := [{**rows[case_id], "_id": case_id} for case_id in sorted(changed & known)]:
        values: Any = {name: sa.bindparam(name) for name in COLUMNS if name != "case_id"}
        connection.execute(cases.update().where(cases.c.case_id == sa.bindparam("_id")).values(values), old)


def rebuild_cases(connection: sa.Connection) -> bool:
    """Fold all case events again; replace the table `cases` where it differs from the result.

    Returns:
        Whether the table was equal to what the events add up to.
    """
    events = connection.execute(
        sa.select(outputs.c.body).where(outputs.c.kind == "case").order_by(outputs.c.part, outputs.c.seq)
    )
    truth: dict[str, Row] = {}
    fold(truth, (body for (body,) in events))
    there = {row["case_id"]: dict(row) for row in connection.execute(sa.select(cases)).mappings()}
    if there == truth:
        return True
    connection.execute(cases.delete())
    if truth:
        connection.execute(cases.insert(), [truth[case_id] for case_id in sorted(truth)])
    return False
