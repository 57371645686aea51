from __future__ import annotations

from config.clock import HOUR, MINUTE, to_text
from replay.backtest.faults import Fault
from replay.review.faults import judged
from replay.review.wrong import Row
from tests.support.reviews import found

START = 10 * HOUR


def fault(at: int, service: str) -> Fault:
    return Fault(to_text(at), "cpu", service=service)


def on(service: str, at: int, number: int = 0) -> list[Row]:
    """Return a finding on a service, and its end five minutes later."""
    given = {"entity": f"service:{service}", "customer": "", "kind": "service.degraded"}
    return [
        found(number, at, occurrence=f"{at}", **given),
        found(number, at + 5 * MINUTE, occurrence=f"{at} until {at + 5 * MINUTE}", resolves=True, **given),
    ]


def test_each_fault_is_named_in_time_or_wrong_in_its_own_way() -> None:
    faults = [
        fault(START, "a"),
        fault(START + 2 * HOUR, "b"),
        fault(START + 4 * HOUR, "c"),
        fault(START + 6 * HOUR, "d"),
    ]
    findings = [
        *on("a", START + MINUTE),
        *on("shop", START + 2 * HOUR + MINUTE),
        *on("c", START + 4 * HOUR + 20 * MINUTE),
        *on("shop", START + 8 * HOUR),
    ]
    wrongs, everything = judged(faults, findings)
    assert [(wrong.verdict, wrong.entity) for wrong in wrongs] == [
        ("wrong service", "service:b"),
        ("found too late", "service:c"),
        ("missed", "service:d"),
        ("false alarm", "service:c"),
        ("false alarm", "service:shop"),
    ]
    assert "service:shop was named instead" in wrongs[0].what
    assert len(everything) == 4


def test_what_comes_soon_after_another_fault_is_not_the_late_finding_of_the_first() -> None:
    faults = [fault(START, "a"), fault(START + 10 * MINUTE, "a")]
    wrongs, _ = judged(faults, on("a", START + 12 * MINUTE))
    assert [(wrong.verdict, wrong.finding) for wrong in wrongs] == [("missed", None)]
    assert [at for at, _ in wrongs[0].notes] == [START + 10 * MINUTE]
