from __future__ import annotations

from operators.session import Sessions, combine_sessions
from tests.support.measures import Measure, table

GAP = 10


def sessions_of(*batches: list[int]) -> Sessions:
    sessions, offset = Sessions(), 0
    for batch in batches:
        for partial in combine_sessions(table([Measure(at=at) for at in batch], offset), "web/0", GAP, 1)[0]:
            sessions.add(partial, GAP)
        offset += len(batch)
    return sessions


def bounds(sessions: Sessions) -> list[tuple[int, int, int]]:
    return [(session.start, session.last, session.pane.count) for session in sessions.open]


def test_a_pause_of_the_gap_ends_a_session() -> None:
    assert bounds(sessions_of([0, 9, 19])) == [(0, 9, 2), (19, 19, 1)]


def test_a_late_batch_bridges_two_sessions() -> None:
    assert bounds(sessions_of([0, 18], [9])) == [(0, 18, 3)]


def test_a_session_closes_when_no_event_can_extend_it() -> None:
    sessions = sessions_of([0, 5, 40])
    assert sessions.close(14, GAP) == []
    assert [(session.start, session.last) for session in sessions.close(15, GAP)] == [(0, 5)]
    assert bounds(sessions) == [(40, 40, 1)]
