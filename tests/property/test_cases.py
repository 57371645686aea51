"""Cases are functions of what was found, not of the order in which findings of one instant came."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from config.clock import DAY, HOUR, TIME_MAX
from config.events import BROADCAST, Event
from config.findings import Finding
from config.policies.versions import load_policy
from operators.case import fold
from operators.case_state import CaseState, Link
from operators.cases import CaseLogic, CaseSettings
from operators.decide import Decider
from operators.frame import Frame
from operators.keyed import KeyedGroup
from tests.support.examples import examples
from tests.support.findings import end_of, finding, process

POLICY = load_policy()
KINDS = ["order.promise_at_risk", "order.promise_passed", "order.ship_by_missed"]

FINDINGS = st.builds(
    finding,
    agent=st.sampled_from(["fulfilment", "experience", "billing"]),
    kind=st.sampled_from(KINDS),
    entity=st.sampled_from(["order:1", "order:2"]),
    occurrence=st.sampled_from("abc"),
    severity=st.sampled_from(["low", "medium", "high", "critical"]),
    confidence=st.floats(0, 1),
    harm_at=st.none() | st.integers(-DAY, 5 * DAY),
    money_at_risk=st.floats(0, 1e6),
    causes=st.lists(st.sampled_from(["lane:a", "lane:b", "seller:c"]), max_size=2),
    features=st.fixed_dictionaries({}, optional={"expected_at": st.just("1970-01-03T00:00:00Z")}),
)


class Direct:
    """A context that lets a logic be called in an order that a key group would never choose."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.emitted: list[tuple[str, Event]] = []

    def emit(self, to: str, event: Event) -> None:
        self.emitted.append((to, event))

    def set_timer(self, name: str, at: int) -> None:
        pass

    def cancel_timer(self, name: str) -> None:
        pass

    def forget(self) -> None:
        pass

    def shared(self) -> CaseState:
        return CaseState()  # nobody set a flag

    def common(self) -> Any:
        raise AssertionError("no agent has a budget here")


def logic(mode: Any = "recommend") -> CaseLogic:
    return CaseLogic(Decider(POLICY, mode), CaseSettings())


def in_turn(findings: list[Finding]) -> dict[str, dict[str, Any]]:
    """Return the final rows by entity, without the columns that name the first to come.

    The stage hears of a finding at its time, or later: never does time go back.
    """
    links = {cause: Link(f"opening {cause}", DAY) for cause in ("lane:a", "lane:b")}
    state, context = CaseState(links=links), Direct(0)
    for found in findings:
        context.now = max(context.now, found.at)
        logic().on_event("c1", state, found.event("c1"), context)
    first = {"decision_id", "updated_at"}
    return {
        entity: {name: value for name, value in case.row.items() if name not in first}
        for entity, case in state.open.items()
    }


@given(st.data())
def test_rows_are_the_same_for_any_order_of_findings_of_one_instant(data: st.DataObject) -> None:
    findings = data.draw(st.lists(FINDINGS, min_size=1, max_size=6, unique_by=lambda found: found.finding_id))
    shuffled = data.draw(st.permutations(findings))
    assert in_turn(findings) == in_turn(shuffled)


@given(st.data())
def test_rows_are_the_same_for_any_order_of_findings_of_different_instants(data: st.DataObject) -> None:
    drawn = data.draw(st.lists(FINDINGS, min_size=1, max_size=6, unique_by=lambda found: found.finding_id))
    findings = [replace(found, at=data.draw(st.sampled_from([0, 1, HOUR, DAY]))) for found in drawn]
    last = finding(occurrence="last", at=2 * DAY, kind="order.stuck", entity="order:1")
    shuffled = data.draw(st.permutations(findings))
    assert in_turn([*findings, last])["order:1"] == in_turn([*shuffled, last])["order:1"]


@given(st.data())
def test_whether_cases_are_open_is_the_same_for_any_order_of_findings_and_ends_of_one_instant(
    data: st.DataObject,
) -> None:
    """Each kind begins once and may end; what began before may end as it begins anew."""
    kinds = data.draw(st.lists(st.sampled_from(KINDS), min_size=1, unique=True))
    found = [finding(kind=kind, occurrence="new", entity="order:1") for kind in kinds]
    ends = [end_of(each, 0) for each in found if data.draw(st.booleans())]
    before = [finding(kind=kind, occurrence="old", at=-1) for kind in kinds if data.draw(st.booleans())]
    past = [end_of(each, 0) for each in before]
    first, second = (
        in_turn([*before, *order])
        for order in (data.draw(st.permutations([*found, *ends, *past])), [*past, *found, *ends])
    )
    count = {entity: row.pop("findings") for entity, row in first.items()}
    assert first == {entity: {n: v for n, v in row.items() if n != "findings"} for entity, row in second.items()}
    assert count == {entity: row["findings"] for entity, row in second.items()}


@given(st.data())
def test_outputs_are_the_same_for_any_order_of_arrival(data: st.DataObject) -> None:
    findings = data.draw(st.lists(FINDINGS, min_size=1, max_size=6, unique_by=lambda found: found.finding_id))
    shuffled = data.draw(st.permutations(findings))
    outputs = [process(logic("act"), [found.event("c1") for found in order]) for order in (findings, shuffled)]
    assert outputs[0] == outputs[1]


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Draw a customer's findings, ends and links over some weeks."""
    events: list[Event] = []
    opened: list[Finding] = []
    at = 0
    for number in range(draw(st.integers(1, 12))):
        at += draw(st.sampled_from([0, 1, HOUR, 20 * DAY, 45 * DAY]))
        choice = draw(st.integers(0, 5))
        if choice == 0 and opened:
            events.append(end_of(draw(st.sampled_from(opened)), at).event("c1"))
        elif choice == 1:
            data = {"cause": draw(st.sampled_from(["lane:a", "lane:b"])), "opening": draw(st.sampled_from(["", "f"]))}
            events.append(Event(at, f"link{number}", "c1", "link", data))
        else:
            drawn = draw(FINDINGS)
            found = finding(
                kind=drawn.kind,
                entity=drawn.entity,
                occurrence=f"{number}",
                at=at,
                severity=drawn.severity,
                confidence=drawn.confidence,
                harm_at=None if drawn.harm_at is None else at + drawn.harm_at,
                money_at_risk=drawn.money_at_risk,
                causes=drawn.causes,
            )
            opened.append(found)
            events.append(found.event("c1"))
    return events


@examples(150)
@given(histories(), st.booleans())
def test_case_events_fold_into_what_the_stage_itself_holds(events: list[Event], acting: bool) -> None:
    group: KeyedGroup[CaseState] = KeyedGroup(logic("act" if acting else "recommend"), ["in"])
    group.receive(Frame(0, "in", events[-1].at + 1, events))
    emitted = group.advance()
    changes: dict[str, list[dict[str, Any]]] = {}
    for _, event in emitted:
        if event.type.startswith("case."):
            history = changes.setdefault(event.data["case_id"], [])
            history.append(event.data["change"])
            assert event.data["seq"] == len(history)
    folded = {name: fold(history) for name, history in changes.items()}
    state = group.state_of("c1")
    held = {} if state is None else {case.case_id: case.row for case in state.open.values()}
    assert {name: row for name, row in folded.items() if row["status"] == "open"} == held

    decided = {event.id for _, event in emitted if event.type == "decision"}
    assert {row["decision_id"] for row in folded.values()} <= decided
    ids = [event.id for _, event in emitted]
    assert len(set(ids)) == len(ids)

    group.receive(Frame(0, "in", TIME_MAX, [], ended=True))
    group.advance()
    # What is left is how often roles were told of requests, which the group counts for all its keys.
    assert group.keys == (group.state_of(BROADCAST) is not None)


@given(histories(), st.integers(1, 11))
def test_outputs_do_not_depend_on_where_the_input_is_cut(events: list[Event], cut: int) -> None:
    whole = process(logic("act"), events)
    group: KeyedGroup[CaseState] = KeyedGroup(logic("act"), ["in"])
    group.receive(Frame(0, "in", events[min(cut, len(events)) - 1].at, events[:cut]))
    emitted = group.advance()
    resumed: KeyedGroup[CaseState] = KeyedGroup(logic("act"), ["in"])
    resumed.restore([group.whole()])
    resumed.receive(Frame(0, "in", TIME_MAX, events[cut:], ended=True))
    assert emitted + resumed.advance() == whole
