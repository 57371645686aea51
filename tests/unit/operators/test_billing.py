"""What the billing agent finds on a refund."""

from __future__ import annotations

from config.agents.load import load_manifests
from config.clock import DAY, SECOND, to_text
from operators.agents.billing import REFUND_NOT_POSTED, BillingAgent, RefundsParameters
from operators.agents.charges import KINDS as CHARGES
from operators.agents.charges import ChargesParameters
from operators.agents.invoices import PLAN_MISMATCH, InvoicesParameters
from tests.support.journeys import START, Stage, kinds, refund_posted, refund_requested

DUE = START + 3 * DAY
MANIFEST = load_manifests()["billing"]


def test_refund_not_posted_is_found_a_moment_after_it_was_due() -> None:
    (finding,) = Stage().run([refund_requested(due_at=DUE)], DUE + DAY)

    assert (finding.kind, finding.entity, finding.at) == (REFUND_NOT_POSTED, "refund:refund-1", DUE + SECOND)
    assert (finding.occurrence, finding.harm_at, finding.money_at_risk) == (to_text(DUE), DUE, 42.5)
    assert finding.reason == "Refund refund-1 for order order-1 was due on 2025-03-06 and was not posted."
    assert len(finding.evidence.records) == 1


def test_refund_without_due_instant_is_due_within_a_span() -> None:
    (finding,) = Stage().run([refund_requested()], START + 30 * DAY)

    assert finding.at == START + 7 * DAY + SECOND


def test_refund_posted_when_due_is_fine() -> None:
    assert Stage().run([refund_requested(due_at=DUE), refund_posted(DUE)], DUE + 10 * DAY) == []


def test_refund_posted_late_ends_the_finding() -> None:
    findings = Stage().run([refund_requested(due_at=DUE), refund_posted(DUE + DAY)], DUE + 10 * DAY)

    assert kinds(findings) == [(REFUND_NOT_POSTED, False), (REFUND_NOT_POSTED, True)]
    assert findings[1].reason == "Refund refund-1 was posted on 2025-03-07."


def test_refund_posted_and_never_requested_is_none_of_its_business() -> None:
    assert Stage().run([refund_posted(START)], START + 20 * DAY) == []


def test_each_refund_is_judged_by_itself() -> None:
    events = [refund_requested(due_at=DUE), refund_requested(START, refund="refund-2", due_at=DUE + DAY)]

    findings = Stage().run(events, DUE + 10 * DAY)

    assert [finding.entity for finding in findings] == ["refund:refund-1", "refund:refund-2"]


def test_manifest_gives_the_defaults_and_names_every_kind() -> None:
    assert MANIFEST.parameters("refunds", RefundsParameters) == RefundsParameters()
    assert MANIFEST.parameters("charges", ChargesParameters) == ChargesParameters()
    assert MANIFEST.parameters("invoices", InvoicesParameters) == InvoicesParameters()
    assert MANIFEST.findings == [*CHARGES, PLAN_MISMATCH, REFUND_NOT_POSTED]
    assert BillingAgent.of(MANIFEST).name == MANIFEST.agent
