"""The same facts give the same findings, whichever type, topic or id each fact comes by."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from config.clock import DAY, HOUR
from config.events import BROADCAST, Event
from tests.support.examples import examples
from tests.support.journeys import (
    PROMISE,
    SHIP_BY,
    START,
    Stage,
    approved,
    cancelled,
    contacted,
    delivered,
    handed_over,
    paid,
    placed,
    refund_posted,
    refund_requested,
    reviewed,
    ticket,
    transit,
    used,
)

INSTANTS = [START, START + DAY, SHIP_BY, SHIP_BY + 1, PROMISE - 3 * DAY, PROMISE, PROMISE + DAY, PROMISE + 3 * DAY]
END = PROMISE + 200 * DAY

ORDERS = st.sampled_from(["order-1", "order-2"])
AT = st.sampled_from(INSTANTS)
"""Few instants, so that ties are common."""

facts = st.one_of(
    st.builds(approved, AT, order=ORDERS, ship_by=st.sampled_from([None, START, SHIP_BY])),
    st.builds(paid, AT, order=ORDERS),
    st.builds(handed_over, AT, order=ORDERS),
    st.builds(delivered, AT, order=ORDERS),
    st.builds(cancelled, AT, order=ORDERS),
    st.builds(refund_requested, AT, due_at=st.sampled_from([None, SHIP_BY])),
    st.builds(refund_posted, AT),
    st.builds(contacted, AT),
    st.builds(reviewed, AT, st.integers(1, 5)),
    st.builds(ticket, AT, closed=st.booleans()),
    st.builds(used, AT, st.just(1.0)),
    st.builds(transit, AT, st.sampled_from([2.0, 8.0, 25.0]), st.just(30.0)),
)
histories = st.tuples(
    st.lists(st.builds(placed, AT, order=ORDERS), max_size=2, unique_by=lambda event: event.data["order_id"]),
    st.lists(facts, max_size=12, unique_by=lambda event: (event.id, event.at)),
).map(lambda parts: [*parts[0], *parts[1]])


def plain(stage: Stage) -> list[Any]:
    """Return the findings that were emitted, without the order of equals."""
    found = [(to, event) for to, event in stage.emitted if event.type == "finding"]
    return sorted((to, event.at, event.key, event.id, msgspec.json.encode(event.data)) for to, event in found)


def distinct(events: list[Event]) -> list[Event]:
    """Return the history with one approval and one request per order and refund: of two, which came last counts."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for event in events:
        name = (event.type, event.data.get("order_id") or event.data.get("refund_id") or event.id)
        if event.type in ("order.approved", "refund.requested", "signal"):
            name = (event.type, str(event.at) if event.type == "signal" else name[1])
            if name in seen:
                continue
            seen.add(name)
        kept.append(event)
    return kept


@examples(300)
@given(histories.map(distinct), st.randoms(use_true_random=False))
def test_findings_do_not_depend_on_the_order_of_ties(events: list[Event], random: Any) -> None:
    names = [f"id-{i:03}" for i in range(len(events))]
    random.shuffle(names)
    renamed = [msgspec.structs.replace(event, id=name) for event, name in zip(events, names, strict=True)]
    one, other = Stage(), Stage()

    one.run(events, END)
    other.run(renamed, END)

    assert plain(one) == plain(other)


@examples(300)
@given(histories)
def test_findings_are_made_once_ended_at_most_once_and_leave_nothing_behind(events: list[Event]) -> None:
    stage = Stage()

    findings = stage.run(events, END + 100 * DAY)

    opened = [(finding.kind, finding.entity, finding.occurrence) for finding in findings if not finding.resolves]
    ended = [(f.kind, f.entity, f.occurrence.partition(" until ")[0]) for f in findings if f.resolves]
    assert len(set(opened)) == len(opened)
    assert len(set(ended)) == len(ended)
    assert set(ended) <= set(opened)
    assert len({finding.finding_id for finding in findings}) == len(findings)
    customers = stage.group.keys - (stage.journey(BROADCAST) is not None)
    assert customers == 0
    assert stage.group.open_timers == 0


@examples(100)
@given(histories, st.lists(st.sampled_from(INSTANTS + [at + HOUR for at in INSTANTS]), max_size=4))
def test_findings_do_not_depend_on_how_time_came(events: list[Event], stops: list[int]) -> None:
    whole, pieces = Stage(), Stage()

    whole.run(events, END)
    cut = 0
    for until in [*sorted(stops), END]:
        pieces.run([event for event in events if cut <= event.at < until], until)
        cut = until

    assert whole.emitted == pieces.emitted
