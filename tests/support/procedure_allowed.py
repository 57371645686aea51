"""What may be decided at the most, and what a consent is worth. For `procedure_oracle`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.support.procedure_known import Case, Known
from tests.support.procedure_rules import SEVERITIES, Row, counts, fire, money_of, span, speaks

RANKS = {"observe": 0, "recommend": 1, "approve": 2, "act": 3}


class Most(NamedTuple):
    """The most that may be decided about a case."""

    outcome: str
    why: str
    """Why it is no more."""
    remedy: str = ""
    parameters: Row | None = None
    """Of what would be done."""
    segment: str = ""
    level: str = ""
    """How far the remedy may go by what it has earned; "" where that does not matter."""
    because: str = ""
    """What the level comes of."""


def allowed(known: Known, at: int, case: Case, decision: Row, consent: Row | None) -> Most:
    """Return the most that may be decided now."""
    hash_, _, main, rules = known.version(at)
    found = known.open_of(case)
    if not found:
        return Most("observe", "nothing is open")
    facts = known.facts(at, case, decision["case_id"], found)
    if decision["bundle"] != hash_:
        return Most("observe", "another version is in force")
    outcome, rule, mode = fire(main, rules, facts)
    if rule is None:
        return Most(outcome, "no rule")
    remedy, why = rule.get("remedy", ""), rule["id"]
    traits = main["remedies"].get(remedy, {})
    parameters = {
        name: facts[value.strip("{}")] if str(value).startswith("{") else value
        for name, value in rule.get("parameters", {}).items()
    }
    wanted = outcome
    if mode in ("recommend", "supervised"):
        outcome = min(outcome, {"recommend": "recommend", "supervised": "approve"}[mode], key=RANKS.__getitem__)
        why += f", mode {mode}"
    if outcome == "act" and traits.get("moves_money") and facts["source_families"] < 2:
        outcome, why = "approve", why + ", one source"
    if outcome == "act" and known.mode != "act":
        outcome, why = known.mode, why + ", the job"
    if wanted in ("approve", "act"):
        denied = case.denied.get(remedy)
        if remedy in case.used:
            outcome, why = "observe", why + ", used"
        elif denied is not None and SEVERITIES.index(facts["severity"]) <= SEVERITIES.index(denied):
            outcome, why = "observe", why + ", denied"
        elif len(tries := case.undone.get(remedy, [])) > 1 or any(again is None or at < again for again in tries):
            outcome, why = min(outcome, "recommend", key=RANKS.__getitem__), why + ", not done before"
        elif case.plan is not None and at < case.plan["until"]:
            outcome, why = min(outcome, "recommend", key=RANKS.__getitem__), why + ", another is under way"
    segment = level = because = ""
    if wanted in ("approve", "act"):
        segment = known.levels.segment(at, facts)
        level, because = known.levels.level(at, (facts["agent"], remedy, segment), facts["data_quality"])
        far = {"recommend": "recommend", "supervised": "approve"}.get(level, outcome)
        if RANKS[far] < RANKS[outcome]:
            outcome, why = far, f"{why}, {level} ({because})"
    if consent is not None and outcome == "approve":
        wrong = consent_lacks(known, at, consent, remedy, parameters, hash_, traits, facts, main)
        outcome, why = ("act", why + ", consent") if not wrong else (outcome, why + ", " + wrong)
    flagged = known.flagged(at, facts["agent"], remedy, traits)
    if flagged == "observe" or (flagged and outcome == "act"):
        # A guardrail asks, rather than lets act; and to ask is beyond no flag but observe-only.
        asks = flagged != "observe" and decision.get("guardrails")
        outcome, why = "approve" if asks else flagged, why + ", a flag"
    return Most(outcome, why, remedy, parameters, segment, level, because)


def consent_lacks(
    known: Known, at: int, consent: Row, remedy: str, parameters: Row, hash_: str, traits: Row, facts: Row, main: Row
) -> str:
    """Return what is wrong with a consent, "" for nothing."""
    request = known.requests.get(consent["request_id"])
    if request is None:
        return "nobody was asked"
    asked = (request["remedy"], request["action"]["parameters"], request["bundle"])
    if asked != (remedy, parameters, hash_):
        return f"asked was {asked}"
    rules = main["approvals"]
    risky = facts["money_at_risk"] >= rules["two_people_from"]
    people = 2 if risky or not traits.get("reversible", True) else 1
    agreed: list[str] = []
    for one in sorted((one for one in known.sent if one.type == "approval.answered"), key=lambda o: o.at):
        if one.data["request_id"] != request["request_id"] or one.at > at or not counts(one, request):
            continue
        if one.data["answer"] == "reject":
            return "somebody said no"
        if one.data["approver"] not in agreed:
            agreed.append(one.data["approver"])
    if len(agreed) < people:
        return f"only {agreed} agreed, of {people}"
    if len(set(consent["approvers"])) < people or not set(consent["approvers"]) <= set(agreed):
        return f"{agreed} agreed, not {consent['approvers']}"
    return ""


def exceeded(known: Known, at: int, case: Case, action: Row, traits: Row) -> Iterator[tuple[str, float]]:
    """Yield the guardrails that an action is beyond, and what was spent before."""
    main = known.version(at)[2]
    for name, limit in main["guardrails"]["limits"].items():
        if not speaks(limit, action["remedy"], traits):
            continue
        money = limit.get("counts") == "money"
        for cause in sorted(known.causes.get(case.entity, ())) if limit["per"] == "cause" else [""]:
            before = [
                one
                for one in known.actions.values()
                if one["at"] + span(limit["within"]) > at
                and speaks(limit, one["remedy"], main["remedies"][one["remedy"]])
                and one["action_id"] not in known.refused
                and (limit["per"] != "customer" or one["customer"] == action["customer"])
                and (limit["per"] != "cause" or cause in one["named"])
            ]
            spent = sum(money_of(main, one) if money else 1 for one in before)
            if spent + (money_of(main, action) if money else 1) > limit["most"]:
                yield name, spent
