"""What is asked of a store by reports: each function returns built-in values, ready for JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from typing import Any

import msgspec
import orjson
import sqlalchemy as sa

from config.clock import HOUR
from config.errors import UsageError
from config.quantiles import nearest_rank
from sinks.schema import cases, channels, outputs
from sinks.store import Store

Row = dict[str, Any]

OF_CASE = ("finding", "case", "decision", "action", "guardrail", "shadow", "approval", "outcome")
"""Kinds of outputs that are about a case."""
_OF_SOURCE = channels.c.channel.not_like("@%")
_LIKE_LITERAL = str.maketrans({"%": r"\%", "_": r"\_", "\\": r"\\"})


def cases_by_agent(store: Store) -> list[Row]:
    """Return agent, kind, cases, open, resolved, held and money at risk, by agent and kind of finding.

    Held are those that a budget of false discoveries keeps for observation only.
    """
    c = cases.c
    query = (
        sa.select(
            c.agent,
            c.kind,
            sa.func.count().label("cases"),
            sa.func.count().filter(c.status == "open").label("open"),
            sa.func.count().filter(c.status == "resolved").label("resolved"),
            sa.func.count().filter(c.held).label("held"),
            sa.func.sum(c.money_at_risk).label("money_at_risk"),
        )
        .group_by(c.agent, c.kind)
        .order_by(c.agent, c.kind)
    )
    return [row | {"money_at_risk": round(row["money_at_risk"] or 0.0, 2)} for row in _rows(store, query)]


def cases_by_status(store: Store) -> Row:
    """Return the number of cases by status."""
    query = sa.select(cases.c.status, sa.func.count().label("cases")).group_by(cases.c.status).order_by(cases.c.status)
    return {row["status"]: row["cases"] for row in _rows(store, query)}


def lead_times(store: Store) -> list[Row]:
    """Return, by agent, how many hours before the harm its cases were opened: cases, p10, p50, p90.

    Quantiles by nearest rank. Cases whose harm has no known time do not count; a negative lead is a harm found late.
    """
    query = sa.select(cases.c.agent, cases.c.lead_us).where(cases.c.lead_us.is_not(None)).order_by(cases.c.lead_us)
    leads: dict[str, list[int]] = {}
    for row in _rows(store, query):
        leads.setdefault(row["agent"], []).append(row["lead_us"])
    return [
        {"agent": agent, "cases": len(of)} | {f"p{p}": round(nearest_rank(of, p) / HOUR, 1) for p in (10, 50, 90)}
        for agent, of in sorted(leads.items())
    ]


def decisions_by_outcome(store: Store) -> Row:
    """Return the number of decisions by outcome."""
    return _counted(body["outcome"] for body in bodies(store, "decision"))


def drifts(store: Store) -> list[Row]:
    """Return the lasting changes of what models read, oldest first, and when each ended: None where it goes on."""
    said = list(bodies(store, "drift"))
    ended = {(row["model"], row["feature"], row["since"]): row["at"] for row in said if row["ended"]}
    begun = sorted((row for row in said if not row["ended"]), key=lambda row: (row["since"], row["feature"]))
    return [
        {name: value for name, value in row.items() if name not in ("at", "ended")}
        | {"told_at": row["at"], "ended_at": ended.get((row["model"], row["feature"], row["since"]))}
        for row in begun
    ]


def shadows_by_outcome(store: Store) -> Row:
    """Return the number of decisions in shadow by outcome: what would have been decided."""
    return _counted(body["outcome"] for body in bodies(store, "shadow"))


def held_by_guardrail(store: Store) -> list[Row]:
    """Return, by guardrail, how many decisions it held back, and how many actions it withheld that were decided."""
    decided = Counter(each["guardrail"] for body in bodies(store, "decision") for each in body.get("guardrails", ()))
    withheld = Counter(each["guardrail"] for body in bodies(store, "guardrail") for each in body["guardrails"])
    return [
        {"guardrail": name, "decisions": decided[name], "withheld": withheld[name]}
        for name in sorted(decided.keys() | withheld.keys())
    ]


def dead_letters_by_reason(store: Store) -> Row:
    """Return the number of dead letters by reason."""
    return _counted(body["reason"] for body in bodies(store, "dead_letter"))


def late_by_topic(store: Store) -> Row:
    """Return the number of late records by topic."""
    return _counted(body["topic"] for body in bodies(store, "late"))


def top_open_cases(store: Store, limit: int = 10) -> list[Row]:
    """Return the open cases of the highest priority, the most urgent first."""
    query = (
        sa.select(cases).where(cases.c.status == "open").order_by(cases.c.priority.desc(), cases.c.case_id).limit(limit)
    )
    return _rows(store, query)


def channel_statistics(store: Store) -> list[Row]:
    """Return what each source partition last said of itself."""
    said = [column for column in channels.c if not column.name.startswith("open_")]
    return _rows(store, sa.select(*said).where(_OF_SOURCE).order_by(channels.c.channel))


def open_by_stage(store: Store) -> dict[str, Row]:
    """Return the keys, timers and events that each stage has open at the end of the input; none before that."""
    counted = ("keys", "timers", "events")
    stages: dict[str, Row] = {}
    for row in _rows(store, sa.select(channels).where(~_OF_SOURCE).order_by(channels.c.channel)):
        stage = stages.setdefault(row["channel"].removeprefix("@").partition("/")[0], dict.fromkeys(counted, 0))
        for name in counted:
            stage[name] += row[f"open_{name}"]
    return stages


def bodies(store: Store, kind: str) -> Iterator[Any]:
    """Yield the data of all outputs of a kind, in the order of their ids."""
    query = sa.select(outputs.c.body).where(outputs.c.kind == kind).order_by(outputs.c.id)
    with store.read() as connection, connection.execution_options(yield_per=1_000).execute(query) as found:
        for (body,) in found:
            yield orjson.loads(body)


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """What another policy is held against: of a decision, live or in shadow, its facts."""

    case_id: str
    at: int
    bundle: str
    facts: dict[str, Any]


_recorded = msgspec.json.Decoder(Recorded).decode


def recorded(store: Store, kind: str) -> Iterator[Recorded]:
    """Yield the recorded decisions of a kind, `decision` or `shadow`, in no order that means anything."""
    query = sa.select(outputs.c.body).where(outputs.c.kind == kind)
    with store.read() as connection, connection.execution_options(yield_per=5_000).execute(query) as found:
        for rows in found.partitions():
            for (body,) in rows:
                yield _recorded(body)


def customers_of(store: Store, case_ids: Container[str]) -> dict[str, str]:
    """Return the customers of cases, by case; without those of causes, which are of no customer."""
    query = sa.select(cases.c.case_id, cases.c.customer).where(cases.c.customer != "")
    with store.read() as connection, connection.execution_options(yield_per=5_000).execute(query) as found:
        return {case_id: customer for case_id, customer in found if case_id in case_ids}


def find_case(store: Store, case_id: str) -> Row:
    """Return the case whose id is, or begins with, `case_id`.

    Raises:
        UsageError: There is none, or more than one.
    """
    begins = cases.c.case_id.like(case_id.translate(_LIKE_LITERAL) + "%", escape="\\")
    found = _rows(store, sa.select(cases).where(begins).order_by(cases.c.case_id).limit(2))
    if not found or not case_id:
        raise UsageError(f"There is no case {case_id!r}.", remedy="`forestall report` shows the ids of open cases.")
    if len(found) > 1 and found[0]["case_id"] != case_id:
        raise UsageError(f"More than one case begins with {case_id!r}.", remedy="Give more of the id.")
    return found[0]


def decisions_of(store: Store, case_id: str) -> tuple[str, list[Row]]:
    """Return the whole id of a case, and the data of its decisions, live and in shadow, oldest first.

    What was found by an agent in shadow has decisions in shadow, and no case that anybody sees.

    Raises:
        UsageError: There is none, or more than one.
    """
    try:
        case = find_case(store, case_id)
    except UsageError:
        shadows = [body for body in bodies(store, "shadow") if case_id and body["case_id"].startswith(case_id)]
        if len({body["case_id"] for body in shadows}) != 1:
            raise
        return shadows[0]["case_id"], sorted(shadows, key=lambda body: body["at"])
    events = timeline(store, case)
    return case["case_id"], [event["data"] for event in events if event["type"] in ("decision", "shadow")]


def timeline(store: Store, case: Row) -> list[Row]:
    """Return all that happened in a case, oldest first: at, type, id, data.

    Findings belong to the case on their entity that was open at their time; they rest under the same key as it.
    """
    query = (
        sa.select(outputs.c.event_at, outputs.c.type, outputs.c.id, outputs.c.body)
        .where(outputs.c.key == case["correlation_key"], outputs.c.kind.in_(OF_CASE))
        .order_by(outputs.c.event_at, outputs.c.part, outputs.c.seq)
    )
    with store.read() as connection:
        events = [
            {"at": row.event_at, "type": row.type, "id": row.id, "data": orjson.loads(row.body)}
            for row in connection.execute(query)
        ]
    return [event for event in events if _belongs(event, case)]


def _belongs(event: Row, case: Row) -> bool:
    if event["type"] != "finding":
        return bool(event["data"].get("case_id") == case["case_id"])
    until = case["resolved_at"] if case["resolved_at"] is not None else event["at"]
    return bool(event["data"]["entity"] == case["entity"] and case["opened_at"] <= event["at"] <= until)


def _counted(names: Iterator[str]) -> Row:
    return dict(sorted(Counter(names).items()))


def _rows(store: Store, query: sa.Select[Any]) -> list[Row]:
    with store.read() as connection:
        found = connection.execute(query)
        names = list(map(str, found.keys()))  # SQLAlchemy's are of a kind of str that orjson refuses
        return [dict(zip(names, row, strict=True)) for row in found]
