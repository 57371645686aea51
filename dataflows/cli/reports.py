"""`forestall report`, `forestall case` and `forestall store …`: what is in a store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from config.clock import HOUR, to_text
from config.errors import CheckFailed
from dataflows.cli.console import ForestallGroup, json_option, out, print_json, table
from sinks import queries
from sinks.audit import verify_chain
from sinks.store import Store

store_option = click.option(
    "--store", "store_url", required=True, metavar="URL", help="The store: sqlite:///path/of/store.db."
)

Row = dict[str, Any]


@click.command()
@store_option
@click.option("--top", type=click.IntRange(min=0), default=10, show_default=True, help="Open cases to show.")
@json_option
def report(store_url: str, top: int, as_json: bool) -> None:
    """Show what was found: cases, lead times, decisions, and records that could not be used.

    \b
    Example:
      forestall report --store sqlite:///var/world.db
    """
    with Store.open(store_url) as opened:
        document = {
            "outputs": opened.counts(),
            "totals": opened.totals(),
            "cases": queries.cases_by_agent(opened),
            "status": queries.cases_by_status(opened),
            "lead_hours": queries.lead_times(opened),
            "decisions": queries.decisions_by_outcome(opened),
            "top": queries.top_open_cases(opened, top),
            "dead_letters": queries.dead_letters_by_reason(opened),
            "late": queries.late_by_topic(opened),
            "channels": queries.channel_statistics(opened),
            "complete": opened.all_done(),
            "digest": opened.digest(),
        }
    if as_json:
        print_json(document)
    else:
        _show_report(document)


def _show_report(document: dict[str, Any]) -> None:
    if not document["outputs"]:
        out.print("Nothing was found.")
    _show("Cases by agent", ("agent", "kind", "cases", "open", "resolved", "money_at_risk"), document["cases"])
    _show("Lead times: hours from opening to harm", ("agent", "cases", "p10", "p50", "p90"), document["lead_hours"])
    _show_counts("Decisions", "outcome", document["decisions"])
    top = [
        row | {"case": row["case_id"][:12], "harm at": _instant(row["harm_at"]), "priority": _number(row["priority"])}
        for row in document["top"]
    ]
    _show("Most urgent open cases", ("case", "priority", "agent", "entity", "harm at", "decision", "reason"), top)
    _show_counts("Dead letters", "reason", document["dead_letters"])
    _show_counts("Late records", "topic", document["late"])
    columns = ("channel", "records", "accepted", "late", "duplicates", "rejected", "held", "watermark")
    _show("Channels", columns, [row | {"watermark": to_text(row["watermark"])} for row in document["channels"]])
    if not document["complete"]:
        out.print("The run into this store is not complete: `forestall replay` goes on with it.")


@click.command()
@click.argument("case_id", metavar="ID")
@store_option
@json_option
def case(case_id: str, store_url: str, as_json: bool) -> None:
    """Show one case: how it came about, on what evidence, what was decided and why. The start of an ID will do.

    \b
    Example:
      forestall case 5f1c93 --store sqlite:///var/world.db
    """
    with Store.open(store_url) as opened:
        found = queries.find_case(opened, case_id)
        events = queries.timeline(opened, found)
    if as_json:
        print_json({"case": found, "timeline": events})
        return
    facts = [
        (name.replace("_", " "), _shown(name, value))
        for name, value in found.items()
        if value not in (None, "") and name != "seq"
    ]
    out.print(table(f"Case {found['case_id']}", ("", ""), facts))
    out.print(table("Timeline", ("at", "what", "says"), [line for event in events for line in _lines(event)]))


def _lines(event: Row) -> Iterable[tuple[str, str, str]]:
    """Yield one event of a timeline as lines: when, what, which says."""
    at, data = to_text(event["at"]), event["data"]
    if event["type"] == "finding":
        yield at, "finding", f"{data['agent']} {data['kind']}, {data['severity']}, confidence {data['confidence']:.2f}"
        yield "", "  reason", data["reason"]
        evidence = data["evidence"]
        for topic, partition, offset in evidence["records"]:
            yield "", "  record", f"{topic}/{partition} at offset {offset}"
        for query in evidence["queries"]:
            spans = ", ".join(f"{channel} {first} to {last}" for channel, (first, last) in query["spans"].items())
            since, until = to_text(query["since"]), to_text(query["until"])
            yield "", "  records", f"{query['metric']} of {query['key']} from {since} until {until}: {spans}"
        for name, value in evidence["features"].items():
            yield "", "  feature", f"{name} = {value}"
    elif event["type"] == "decision":
        remedy = f": {data['remedy']}" if data.get("remedy") else ""
        yield at, "decision", f"{data['outcome']}{remedy}, by {data['rule']}"
        yield "", "  reason", data.get("reason", "")
        for title, rules in (("fired", data["fired"]), ("nearly fired", data["nearly"])):
            for rule in rules:
                yield "", f"  {title}", _rule(rule)
    elif event["type"] == "action":
        yield at, "action", f"{data['remedy']} on {data['target']}, valid until {to_text(data['valid_until'])}"
    else:
        changes = ", ".join(
            f"{name} = {_shown(name, value)}" for name, value in data["change"].items() if name not in ("reason", "seq")
        )
        yield at, event["type"], changes


def _rule(rule: object) -> str:
    """Return a rule of a decision as text: its name, or what the policy says of it."""
    if isinstance(rule, dict):
        return ", ".join(f"{name} {value}" for name, value in rule.items())
    return str(rule)


@click.group(cls=ForestallGroup)
def store() -> None:
    """Look after a store."""


@store.command()
@store_option
@json_option
def rebuild(store_url: str, as_json: bool) -> None:
    """Make the table of cases again from the case events; exit with 1 where it had differed.

    \b
    Example:
      forestall store rebuild --store sqlite:///var/world.db
    """
    with Store.open(store_url) as opened:
        equal, count = opened.rebuild(), opened.cases()
    if as_json:
        print_json({"equal": equal, "cases": count})
    elif equal:
        out.print(f"equal: {count:,} cases are what their events add up to")
    if not equal:
        raise CheckFailed(
            f"The table of cases differed from its events; it was made again, with {count:,} cases.",
            remedy="Find out what else writes to this store; its events are whole if `forestall store verify` says so.",
        )


@store.command()
@store_option
@json_option
def verify(store_url: str, as_json: bool) -> None:
    """Check that no output is missing, was altered or moved: compute the chain of every sink part again.

    \b
    Example:
      forestall store verify --store sqlite:///var/world.db
    """
    with Store.open(store_url) as opened:
        verified = verify_chain(opened)
    if as_json:
        print_json({"verified": verified})
    else:
        out.print(table("Verified entries", ("sink part", "entries"), verified.items()))


def _show(title: str, columns: tuple[str, ...], rows: list[Row]) -> None:
    if rows:
        cells = [[row[column] for column in columns] for row in rows]
        out.print(table(title, [column.replace("_", " ") for column in columns], cells))


def _show_counts(title: str, name: str, counts: Row) -> None:
    if counts:
        out.print(table(title, (name, "count"), counts.items()))


def _shown(name: str, value: Any) -> str:
    if value is not None and name.endswith("_at"):
        return to_text(value)
    if value is not None and name == "lead_us":
        return f"{value / HOUR:.1f} h"
    return _number(value) if isinstance(value, float) else str(value)


def _instant(at: int | None) -> str:
    return "" if at is None else to_text(at)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
