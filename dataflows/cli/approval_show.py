"""`forestall approvals show`: what a person needs to know to say yes or no."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from config.actions import Action
from config.clock import MICROSECOND, to_text
from config.duration import format_duration
from config.errors import ExpressionError, ForestallError
from config.expressions import Bound
from config.playbooks.load import load_playbooks
from config.playbooks.model import Parameter, Playbook, Step
from dataflows.cli.console import out, print_json, print_rows, table
from dataflows.cli.policy_explain import explanation
from dataflows.cli.policy_options import load_named
from sinks import queries
from sinks.requests import find_request
from sinks.store import Store

Row = dict[str, Any]


def show_request(request_id: str, store_url: str, config: Path | None, *, as_json: bool) -> None:
    """Print what is asked.

    Args:
        request_id: Or its beginning.
        store_url: Where it was asked.
        config: Settings, which name the policy.
        as_json: Print one document instead of tables.
    """
    policy = load_named(None, config)
    with Store.open(store_url) as opened:
        request = find_request(opened, request_id)
        case = queries.find_case(opened, request["case_id"])
        events = queries.timeline(opened, case)
    decision = next(event["data"] for event in events if event["id"] == request["decision_id"])
    found = [event["data"] for event in events if event["type"] == "finding" and event["at"] <= request["at"]]
    explained = explanation(policy, decision)
    bundle = next((each for each in policy.bundles if each.hash == request["bundle"]), None)
    remedy = None if bundle is None else bundle.remedies.get(request["remedy"])
    document = {
        "request": request,
        "case": case,
        "evidence": [_evidence(each) for each in found if not each["resolves"]],
        "counter_evidence": {
            "doubt": round(1.0 - case["confidence"], 4),
            "ended": [_evidence(each) for each in found if each["resolves"]],
            "nearly": explained["nearly"],
            "flips": explained["flips"],
        },
        "steps": _steps(request["action"]),
        "cost": {
            "money_at_risk": case["money_at_risk"],
            "moves_money": None if remedy is None else remedy.moves_money,
            "contacts_customer": None if remedy is None else remedy.contacts_customer,
        },
    }
    if as_json:
        print_json(document)
    else:
        _show(document, decision)


def _evidence(finding: Row) -> Row:
    evidence = finding["evidence"]
    return {
        "agent": finding["agent"],
        "kind": finding["kind"],
        "confidence": finding["confidence"],
        "records": len(evidence["records"]) + len(evidence["queries"]),
        "reason": finding["reason"],
        "finding_id": finding["finding_id"],
    }


def _steps(action: Row | None) -> list[Row]:
    """Return what the playbook of an action would do, step by step, and what undoes each."""
    playbook = None if action is None else load_playbooks().get(action["remedy"])
    return [] if action is None or playbook is None else list(_of_playbook(playbook, action))


def _of_playbook(playbook: Playbook, action: Row) -> Iterator[Row]:
    values: Row | None
    try:
        values = playbook.values(msgspec.convert(action, Action)) | {"now": action["at"]}
    except (ExpressionError, msgspec.ValidationError):
        values = None  # the steps will be refused for the same reason; what they are can be told all the same
    for step in playbook.steps:
        parameters = {name: _value(parameter, values) for name, parameter in step.parameters.items()}
        yield {
            "step": step.id,
            "does": f"{step.target}: {step.operation}",
            "parameters": parameters,
            "rung": step.rung,
            "inverse": _inverse(step),
        }


def _value(parameter: Parameter, values: Row | None) -> Any:
    try:
        return parameter.value.source if values is None else parameter.of(Bound(values))
    except ForestallError:
        return parameter.value.source


def _inverse(step: Step) -> str:
    if step.inverse is None:
        return f"none: {step.irreversible}"
    return f"{step.inverse.operation}, within {_span(step.inverse.within)}"


def _span(microseconds: int) -> str:
    return format_duration(microseconds * MICROSECOND)


def _show(document: Row, decision: Row) -> None:
    request, cost = document["request"], document["cost"]
    lines = [
        ("request", request["request_id"]),
        ("asks", f"{request['remedy']} for {request['action']['entity']}" if request["action"] else "what to do"),
        ("why", decision["reason"]),
        ("case", request["case_id"]),
        ("asked by", request["requester"]),
        ("may answer", " or ".join(request["roles"])),
        ("agreed", f"{len(request['approvers'])} of {request['people']}: {', '.join(request['approvers'])}"),
        ("expires", to_text(request["expires_at"])),
        ("state", request["end"] or "open"),
        *([("because", request["why"])] if request["why"] else []),
        ("policy", request["bundle"]),
        ("digest", request["digest"]),
    ]
    out.print(table("Request", ("", ""), lines))
    if request["action"]:
        out.print(table("Parameters", ("name", "value"), request["action"]["parameters"].items()))
    columns = ("agent", "kind", "confidence", "records", "reason")
    print_rows("Evidence", columns, [row | {"confidence": f"{row['confidence']:.2f}"} for row in document["evidence"]])
    against = document["counter_evidence"]
    out.print(f"Against it: a chance of {against['doubt']:.0%} that nothing is wrong at all.")
    print_rows("Found to be over", ("agent", "kind", "reason"), against["ended"])
    near = [row | {"lacks": "; ".join(row["lacks"])} for row in against["nearly"]]
    print_rows("Rules that nearly decided otherwise", ("rule", "outcome", "remedy", "lacks"), near)
    print_rows(
        "What one other fact would have changed", ("fact", "value", "instead", "outcome", "remedy"), against["flips"]
    )
    steps = [row | {"parameters": _named(row["parameters"])} for row in document["steps"]]
    print_rows("What is done, and what undoes it", ("step", "does", "parameters", "rung", "inverse"), steps)
    said = {True: "yes", False: "no", None: "unknown: its policy is not the one at hand"}
    out.print(
        f"Cost: money moves: {said[cost['moves_money']]}; a customer is contacted: {said[cost['contacts_customer']]}; "
        f"at risk without it: {cost['money_at_risk']:g}."
    )
    answers = [row | {"at": to_text(row["at"])} for row in request["answers"]]
    print_rows("Answers", ("at", "answer", "approver", "role"), answers)
    refused = [row | {"at": to_text(row["at"])} for row in request["refusals"]]
    print_rows("Refused answers", ("at", "approver", "reason", "detail"), refused)
    told = [row | {"at": to_text(row["at"])} for row in request["escalations"]]
    print_rows("Escalated", ("at", "to", "notify"), told)


def _named(values: Row) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
