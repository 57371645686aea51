"""Approvals: what a person is asked, and whether an answer counts. Pure.

A request is bound to one action with all its parameters, to the policy, to the state it was decided on, and to a time:
all of it is in its digest, which an answer repeats and signs. An answer is judged when it takes effect, against what
is so then. What counts and what does not, each with its reason, is an output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
import orjson

from config.clock import to_text
from config.identity import derived_id, short_hash
from config.keys import Keys, NotSigned, statement
from config.policies.approvals import Approvals

ANSWERED = "approval.answered"
"""Type of the control record, and the purpose that is signed."""
AGENT = "agent:"
"""Before the name of the agent that asks."""
APPROVE = "approve"

End = Literal["granted", "rejected", "expired", "withdrawn"]


class Request(msgspec.Struct, array_like=True):
    """What a person was asked and has not answered."""

    request_id: str
    case_id: str
    decision_id: str
    remedy: str
    """"" where the policy could not decide, and a person has to."""
    action: dict[str, Any] | None
    """The data of the action that would be released; None without a remedy."""
    bundle: str
    """Digest of the policy it was decided by."""
    digest: str
    """Of all that is asked."""
    requester: str
    roles: list[str]
    """Who may answer."""
    people: int
    """How many must approve."""
    asked_at: int
    expires_at: int
    severity: str
    """Of the case."""
    approvers: list[str] = []
    """Who has approved so far."""
    heard: list[int] = []
    """Hashes of the answers that counted."""
    since: int = 0
    """When the question was first put: a request that takes another's place waits as long as that did."""
    ladder: list[tuple[int, str]] = []
    """Who else will be told, and when."""


class Ended(msgspec.Struct, array_like=True):
    """A request that nobody can answer any more."""

    case_id: str
    end: End
    why: str
    until: int
    """When it is forgotten."""
    heard: list[int] = []


class Answer(msgspec.Struct, frozen=True):
    """A person's answer, as its contract has it; the instant in microseconds."""

    request_id: str
    case_key: str
    digest: str
    answer: Literal["approve", "reject"]
    approver: str
    role: str
    answered_at: int
    signature: str = ""

    @property
    def message(self) -> bytes:
        """What is signed: all but the signature."""
        said = msgspec.to_builtins(self)
        del said["signature"]
        return statement(ANSWERED, said)

    def signed_by(self, sign: Callable[[bytes], str]) -> Answer:
        """Return it with the signature that `sign` makes of its message."""
        return msgspec.structs.replace(self, signature=sign(self.message))

    @property
    def identity(self) -> int:
        """What is the same of an answer that comes again."""
        return short_hash(self.message.decode())


class Refusal(msgspec.Struct, frozen=True):
    """Why an answer does not count."""

    reason: str
    """A code."""
    detail: str
    """For a person: who may change what."""
    differences: list[dict[str, Any]] = []
    """What is not as it was asked: name, asked, now."""


def request_of(
    decision: Mapping[str, Any],
    action: dict[str, Any] | None,
    row: Mapping[str, Any],
    approvals: Approvals,
    *,
    reversible: bool,
    now: int,
) -> Request:
    """Return the request that follows from a decision.

    Args:
        decision: Data of the decision event; it says who is asked.
        action: Data of the action event that would follow; None where the policy could not decide.
        row: Of the case.
        approvals: How the policy asks people.
        reversible: Whether the remedy can be undone.
        now: Event time, microseconds.
    """
    expires_at = now + approvals.answer_within
    if action is not None:
        expires_at = min(expires_at, action["valid_until"])
    asked: dict[str, Any] = {
        "request_id": derived_id(
            "approval-request", "" if action is None else action["action_id"], decision["decision_id"]
        ),
        "decision_id": decision["decision_id"],
        "action": action,
        "bundle": decision["bundle"],
        "state": digest_of(decision["facts"]),
        "requester": f"{AGENT}{row['agent']}",
        "people": approvals.people(row["money_at_risk"], reversible=reversible) if action is not None else 1,
        "expires_at": expires_at,
    }
    return Request(
        asked["request_id"],
        decision["case_id"],
        decision["decision_id"],
        decision["remedy"],
        action,
        decision["bundle"],
        digest_of(asked),
        asked["requester"],
        [decision["approver"]],
        asked["people"],
        now,
        expires_at,
        row["severity"],
    )


def digest_of(said: Mapping[str, Any]) -> str:
    """Return the digest of built-in values: of their canonical JSON."""
    return derived_id("digest", orjson.dumps(said, option=orjson.OPT_SORT_KEYS).decode())


def said_of(request: Request, decision: Mapping[str, Any], case_key: str) -> dict[str, Any]:
    """Return the data of the output that asks."""
    return {
        "request_id": request.request_id,
        "case_id": request.case_id,
        "case_key": case_key,
        "decision_id": request.decision_id,
        "at": request.asked_at,
        "remedy": request.remedy,
        "action": request.action,
        "bundle": request.bundle,
        "state": digest_of(decision["facts"]),
        "requester": request.requester,
        "roles": request.roles,
        "people": request.people,
        "expires_at": request.expires_at,
        "severity": request.severity,
        "reason": decision["reason"],
        "digest": request.digest,
    }


def differences(request: Request, decision: Mapping[str, Any], people: int) -> list[dict[str, Any]]:
    """Return in what matters a decision of now differs from what was asked: none where the same is still wanted.

    Args:
        request: What was asked.
        decision: Data of the decision of now.
        people: How many have to agree to what it wants.
    """
    if request.action is None:
        asked: dict[str, Any] = {"outcome": APPROVE, "remedy": ""}
        found: dict[str, Any] = {"outcome": decision["outcome"], "remedy": decision["remedy"]}
    else:
        wanted = decision["outcome"] in ("approve", "act")
        asked = {"outcome": APPROVE, "remedy": request.remedy} | _flat(request.action["parameters"])
        found = {"outcome": APPROVE if wanted else decision["outcome"], "remedy": decision["remedy"]}
        found |= _flat(decision["parameters"])
        if people > request.people:
            # There is more at risk than when it was asked; fewer than were asked for would do no harm.
            asked["people"], found["people"] = request.people, people
        overruled = request.action.get("overrules", [])
        reached = [each["guardrail"] for each in decision.get("guardrails", [])]
        if not set(reached) <= set(overruled):
            # Who consents to pass over one guardrail has not said so of another.
            asked["guardrails"], found["guardrails"] = overruled, reached
    names = sorted({*asked, *found})
    return [
        {"name": name, "asked": asked.get(name), "now": found.get(name)}
        for name in names
        if asked.get(name) != found.get(name)
    ]


def _flat(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {f"parameters.{name}": value for name, value in parameters.items()}


def judge(answer: Answer, request: Request | None, ended: Ended | None, keys: Keys, now: int) -> Refusal | None:
    """Return why an answer does not count, None where it does unless what it answers is stale.

    Args:
        answer: The answer.
        request: What it answers, while it is open.
        ended: How that ended, when it is not.
        keys: Who may sign.
        now: When the answer takes effect, microseconds.
    """
    known = request or ended
    if known is None:
        return Refusal("unknown-request", "there is no such request, or it was forgotten; nobody can answer it")
    if answer.identity in known.heard:
        return Refusal("replayed", f"this very answer of {answer.approver} was counted already; it counts once")
    if request is None:
        assert ended is not None
        reason = "expired" if ended.end == "expired" else "closed"
        return Refusal(reason, f"the request is over: {ended.end}. {ended.why}")
    if max(now, answer.answered_at) >= request.expires_at:
        return Refusal("expired", f"the request expired at {to_text(request.expires_at)}; it is denied")
    if answer.approver == request.requester:
        return Refusal("own-request", f"{answer.approver} asked, and cannot consent; {_who(request)} can")
    try:
        keys.signer(answer.approver, answer.role, answer.message, answer.signature, now)
    except NotSigned as error:
        return Refusal(error.fault, str(error))
    if answer.role not in request.roles:
        return Refusal("wrong-role", f"the role {answer.role} is not asked; {_who(request)} can answer")
    if answer.digest != request.digest:
        return Refusal("other-request", f"it answers something else than what is asked; {_who(request)} can look again")
    if answer.approver in request.approvers and answer.answer == APPROVE:
        need = f"{request.people} people have to, and {answer.approver} is one"
        return Refusal("same-person", f"{answer.approver} has approved already; {need}; another of {_who(request)} can")
    return None


def judge_state(request: Request, decision: Mapping[str, Any], people: int) -> Refusal | None:
    """Return why what is asked cannot be granted by what is decided now, None where it can: see `differences`."""
    if decision["bundle"] != request.bundle:
        changed = [{"name": "bundle", "asked": request.bundle, "now": decision["bundle"]}]
        return Refusal(
            "other-policy", "another version of the policy is in force; it asks anew if it wants to", changed
        )
    if different := differences(request, decision, people):
        return Refusal("stale", f"what was asked is not what is wanted now: {decision['reason']}", different)
    return None


def _who(request: Request) -> str:
    return " or ".join(request.roles)
