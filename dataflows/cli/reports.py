"""`forestall report`, `forestall case` and `forestall store …`: what is in a store."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from config.clock import HOUR, to_text
from config.errors import CheckFailed
from dataflows.cli.console import ForestallGroup, json_option, out, print_json, print_line, print_rows, table
from dataflows.cli.done import done, print_done
from dataflows.cli.request_lines import said_of_request
from replay.backtest.labels import SHOWN, judged
from replay.score import score
from replay.world.labels import Labels
from sinks import queries
from sinks.audit import verify_chain
from sinks.autonomy import changes_by_level
from sinks.ledger import Ledger
from sinks.ledger_queries import holds_ledger
from sinks.requests import requests_by_end
from sinks.store import Store

store_option = click.option(
    "--store",
    "store_url",
    required=True,
    metavar="URL",
    help="sqlite:///path/of/store.db or postgresql://user@host/db.",
)

Row = dict[str, Any]

LABELS = {"lead_us": "lead", "case_id": "case"}
HEADED = frozenset({"case_id", "correlation_key", "customer", "entity", "agent", "reason", "updated_at", "decision_id"})
"""What a case's timeline leaves out, since it stands above it or in the line before."""


@click.command()
@store_option
@click.option("--top", type=click.IntRange(min=0), default=10, show_default=True, help="Open cases to show.")
@click.option(
    "--labels",
    "labels_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What was true, of a simulated recording: tells what was found in time, and what was missed.",
)
@click.option("--ledger", "ledger_url", metavar="URL", help="What was done of it. [in the store, if it is there]")
@click.option(
    "--target-db",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The database of `forestall target`: tells whether it holds what the ledger says.",
)
@json_option
def report(
    store_url: str, top: int, labels_file: Path | None, ledger_url: str | None, target_db: Path | None, as_json: bool
) -> None:
    """Show what was found and done: cases, lead times, decisions, actions, and records that could not be used.

    \b
    Example:
      forestall report --store sqlite:///var/world.db
      forestall report --store sqlite:///var/world.db --labels var/world/labels.json
    """
    labels = None if labels_file is None else Labels.read(labels_file)
    with Store.open(store_url) as opened:
        document = {
            "outputs": opened.counts(),
            "totals": opened.totals(),
            "cases": queries.cases_by_agent(opened),
            "status": queries.cases_by_status(opened),
            "lead_hours": queries.lead_times(opened),
            "decisions": queries.decisions_by_outcome(opened),
            "shadows": queries.shadows_by_outcome(opened),
            "guardrails": queries.held_by_guardrail(opened),
            "requests": requests_by_end(opened),
            "autonomy": changes_by_level(opened),
            "top": queries.top_open_cases(opened, top),
            "drift": queries.drifts(opened),
            "dead_letters": queries.dead_letters_by_reason(opened),
            "late": queries.late_by_topic(opened),
            "channels": queries.channel_statistics(opened),
            "open": queries.open_by_stage(opened),
            "complete": opened.all_done(),
            "digest": opened.digest(),
        }
        if labels is not None:
            document["labelled"] = judged(score(labels, queries.bodies(opened, "finding")))
        if ledger_url is not None or holds_ledger(opened):
            with Ledger.open(ledger_url or store_url) as ledger:
                document["done"] = done(opened, ledger, target_db)
    if as_json:
        print_json(document)
    else:
        _show_report(document)


def _show_report(document: dict[str, Any]) -> None:
    if not document["outputs"]:
        out.print("Nothing was found.")
    columns: tuple[str, ...] = ("agent", "kind", "cases", "open", "resolved", "held", "money_at_risk")
    print_rows("Cases by agent", columns, document["cases"])
    columns = ("agent", "cases", "p10", "p50", "p90")
    print_rows("Lead times: hours from opening to harm", columns, document["lead_hours"])
    if "labelled" in document:
        labelled = document["labelled"]
        rows = [*labelled["by_kind"], {"kind": "all"} | labelled["all"]]
        cells = [{heading: row[name] for heading, name in SHOWN.items()} for row in rows]
        print_rows("Labelled issues: found before anybody was hurt or complained", tuple(SHOWN), cells)
    _show_counts("Decisions", "outcome", document["decisions"])
    _show_counts("Decided in shadow, without effect", "outcome", document["shadows"])
    print_rows("Held back by guardrails", ("guardrail", "decisions", "withheld"), document["guardrails"])
    _show_counts("Requests to people", "state", document["requests"])
    if "done" in document:
        print_done(document["done"])
    columns = ("agent", "level", "cause", "changes")
    print_rows("Autonomy: levels that were earned or lost", columns, document["autonomy"])
    _show_top(document["top"])
    columns = ("feature", "since", "ended", "distance", "by_chance", "moved_most")
    drifts = [_drift(row) for row in document["drift"]]
    print_rows("Drift: numbers that a model reads, and that are not what they were", columns, drifts)
    _show_counts("Dead letters", "reason", document["dead_letters"])
    _show_counts("Late records", "topic", document["late"])
    columns = ("channel", "records", "late", "duplicates", "rejected", "watermark")
    print_rows("Channels", columns, [row | {"watermark": to_text(row["watermark"])} for row in document["channels"]])
    rows = [{"stage": stage} | counts for stage, counts in document["open"].items()]
    print_rows("Open at the end of the input", ("stage", "keys", "timers", "events"), rows)
    if not document["complete"]:
        out.print("The run into this store is not complete: `forestall replay` goes on with it.")


def _drift(row: Row) -> Row:
    bounds = [f"{word} {row[name]:g}" for word, name in (("above", "above"), ("to", "until")) if row[name] is not None]
    return {
        "feature": row["feature"],
        "since": to_text(row["since"]),
        "ended": "" if row["ended_at"] is None else to_text(row["ended_at"]),
        "distance": _number(row["distance"]),
        "by_chance": _number(row["threshold"]),
        "moved_most": f"{row['share_before']:.0%} → {row['share']:.0%} {' '.join(bounds)}",
    }


def _show_top(rows: list[Row]) -> None:
    """Print cases as lines, not as a table: their reasons are sentences."""
    if rows:
        out.print("Most urgent open cases", style="italic")
    for row in rows:
        harm = "" if row["harm_at"] is None else f"harm at {to_text(row['harm_at'])}"
        decision = row["decision"] or "undecided"
        print_line(f"  {row['case_id'][:12]}  priority {_number(row['priority'])}  {decision}  {harm}")
        print_line(f"    {row['reason'] or ''}")


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
    out.print(table("Case", ("", ""), _facts(found, frozenset({"seq"}))))
    out.print(table("Timeline", ("at", "what", "says"), [line for event in events for line in _lines(event)]))


def _lines(event: Row) -> Iterable[tuple[str, str, str]]:
    """Yield one event of a timeline as lines: when, what, which says."""
    at, data = to_text(event["at"]), event["data"]
    if event["type"] == "finding":
        yield at, "finding", f"{data['agent']} {data['kind']}, {data['severity']}, confidence {data['confidence']:.2f}"
        yield "", "  reason", data["reason"]
        yield from _evidence_lines(data["evidence"])
    elif event["type"] in ("decision", "shadow"):
        remedy = f" {data['remedy']}" if data["remedy"] else ""
        yield at, event["type"], f"{data['outcome']}{remedy}, by rule {data['rule']}"
        yield "", "  reason", data["reason"]
        for title, rules in (("fired", data["fired"]), ("nearly fired", data["nearly"])):
            if rules:
                yield "", f"  {title}", "; ".join(map(_rule, rules))
    elif event["type"] == "guardrail.withheld":
        yield at, "withheld", f"{data['action']['remedy']} on {data['action']['target']} is not done: {data['reason']}"
    elif event["type"] == "action":
        yield at, "action", f"{data['remedy']} on {data['target']}, valid until {to_text(data['valid_until'])}"
    elif event["type"].startswith("outcome."):
        verdict = f", {data['verdict']}" if data.get("verdict") else ""
        ignored = f" (ignored: {data['ignored']})" if data["ignored"] else ""
        yield at, event["type"], f"{data['action_id'][:12]}  {data['state']}{verdict}{ignored}"
        if data["state"] == "refused" and data.get("reason"):
            yield "", "  reason", data["reason"]
    elif event["type"].startswith("approval."):
        yield at, event["type"], said_of_request(event["type"], data)
    else:
        changes = {name: value for name, value in data["change"].items() if value not in (None, "")}
        yield at, event["type"], ", ".join(f"{name} {text}" for name, text in _facts(changes, HEADED))


def _evidence_lines(evidence: Row) -> Iterable[tuple[str, str, str]]:
    records: dict[str, list[str]] = {}
    for topic, partition, offset in evidence["records"]:
        records.setdefault(f"{topic}/{partition}", []).append(str(offset))
    if records:
        text = "; ".join(f"{channel} at {', '.join(offsets)}" for channel, offsets in sorted(records.items()))
        yield "", "  records", text
    for query in evidence["queries"]:
        spans = ", ".join(f"{channel} {first} to {last}" for channel, (first, last) in query["spans"].items())
        since, until = to_text(query["since"]), to_text(query["until"])
        yield "", "  records", f"{query['metric']} of {query['key']} from {since} until {until}: {spans}"
    if evidence["features"]:
        yield "", "  features", ", ".join(f"{name} {value}" for name, value in evidence["features"].items())


def _facts(row: Row, without: frozenset[str] = frozenset()) -> list[tuple[str, str]]:
    """Return what is known of a case as names and texts."""
    return [
        (LABELS.get(name, name.replace("_", " ")), _shown(name, value))
        for name, value in row.items()
        if value not in (None, "") and name not in without
    ]


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


def _show_counts(title: str, name: str, counts: Row) -> None:
    if counts:
        out.print(table(title, (name, "count"), counts.items()))


def _shown(name: str, value: Any) -> str:
    if value is not None and name.endswith("_at"):
        return to_text(value)
    if value is not None and name == "lead_us":
        return f"{value / HOUR:.1f} h"
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
