"""What is left of a verdict: what no policy can overrule, and what people have taken away. Pure.

In this order: the case (one open plan, each remedy once, the budget of false discoveries, a person's no), the autonomy
that was earned, guardrails, consent, and flags. Each only takes away, but for consent, which lets happen what was to
be asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from config.actions import Approval
from config.policies.bundle import Bundle
from config.policies.documents import Outcome
from operators.case import Case
from operators.flags import restraint
from operators.guardrails import Held, judge
from operators.policy import Verdict
from operators.standing import Reach, reach, within

if TYPE_CHECKING:
    from operators.decide import Surroundings


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a verdict."""

    outcome: Outcome
    why: str
    """Why it is less than the rule wants, and who may change that."""
    approver: str = ""
    """Whom to ask; "" where nobody is."""
    held: tuple[Held, ...] = ()
    """Guardrails that hold it back, or that somebody consented to pass over."""
    far: Reach | None = None
    """How far it may go by what was earned."""

    @property
    def earned(self) -> dict[str, Any]:
        """What decision and action tell of how far it may go."""
        # Under which name its outcome counts.
        return {} if self.far is None else {"segment": self.far.segment, "autonomy": self.far.level}


def restrain(
    bundle: Bundle,
    verdict: Verdict,
    case: Case,
    facts: Mapping[str, Any],
    around: Surroundings,
    now: int,
    approval: Approval | None = None,
) -> Left:
    """Return what is left of a verdict.

    Args:
        bundle: By which it was decided.
        verdict: What the policy says.
        case: The case.
        facts: What was decided on.
        around: What is known beside the case.
        now: Event time, microseconds.
        approval: Who consented.
    """
    remedy = bundle.remedies.get(verdict.remedy)
    far = reach(bundle, verdict, facts, case.quality, around.standings, now)
    outcome, why = _by_case(verdict, case, now)
    if far is not None and (less := within(far, outcome)) != outcome:
        outcome, why = less, far.why
    left = Left(outcome, why, verdict.owner, far=far)
    if remedy is not None and outcome in ("act", "approve"):
        money = remedy.money(max(finding.money_at_risk for finding in case.open.values()))
        left = _hold(left, judge(bundle.guardrails, remedy.name, money, around.acts, now))
    if approval is not None and left.outcome == "approve" and verdict.remedy:
        overruled = f"{left.why} " if left.held else ""
        left = replace(left, outcome="act", why=f"{overruled}Approved by {', '.join(approval.approvers)}.")
    flagged = restraint(around.flags, case.leading().agent, remedy, now)
    # Where the policy could not decide, a person has to look, flag or no flag: that is no act.
    if flagged is not None and not verdict.error and (left.outcome == "act" or flagged[0] == "observe" != left.outcome):
        left = Left(*flagged, far=far)
    return left if left.outcome == "approve" else replace(left, approver="")


def _by_case(verdict: Verdict, case: Case, now: int) -> tuple[Outcome, str]:
    if case.held:
        owner = f"the owner of agent {case.leading().agent} may change that"
        return "observe", f"Watched only: it is beyond the day's budget of false discoveries; {owner}."
    if verdict.wanted in ("act", "approve"):
        if verdict.remedy in case.used:
            return "observe", "It was decided to be done before for this case; once is enough, always."
        if (denial := case.denial(verdict.remedy)) is not None:
            return "observe", denial.why
        undone = case.undone.get(verdict.remedy)
        if undone is not None and verdict.outcome != "observe" and (why := undone.said(now)):
            return "recommend", why
        if case.plan is not None and now < case.plan.until and verdict.outcome != "observe":
            return "recommend", f"The remedy {case.plan.remedy} of this case is still being carried out."
    return verdict.outcome, verdict.restraint


def _hold(left: Left, held: Sequence[Held]) -> Left:
    """Return what guardrails leave of what is to be done, or asked.

    Only its owner's consent overrules a guardrail, and only one that lets itself be overruled. Where two would have to
    consent, none is asked: one role's consent would pass over the other.
    """
    if not held:
        return left
    owners = {each.owner for each in held} | ({left.approver} if left.outcome == "approve" else set())
    asks = len(owners) == 1 and all(each.then == "approve" for each in held)
    why = " ".join([*filter(None, [left.why]), *(each.why for each in held)])
    return replace(left, outcome="approve" if asks else "recommend", why=why, approver=min(owners), held=tuple(held))
