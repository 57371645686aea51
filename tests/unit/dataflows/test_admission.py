"""What keeps an action from being begun, and how time goes in a replay."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from config.clock import DAY, HOUR, MINUTE, SECOND
from config.targets import load_targets
from dataflows.admission import Admission
from dataflows.remedy_clock import EventClock
from tests.support.playbooks import AT, action, playbook, step
from tests.support.remedies import targets_file


@pytest.fixture
def admission(tmp_path: Path) -> Any:
    def make(*steps: Any, sandbox: bool = True, sandbox_only: bool = True) -> Admission:
        targets = load_targets(targets_file(tmp_path, "http://x", sandbox=sandbox))
        books = {"tell": playbook(tmp_path, *steps)}
        return Admission(books, targets, timedelta(minutes=15), timedelta(days=1), AT - 2 * DAY, sandbox_only)

    return make


def test_what_is_fresh_and_has_its_targets_is_begun(admission: Any) -> None:
    assert admission()(action(), AT + 15 * MINUTE) == ""


def test_what_is_stale_is_not_begun_and_says_by_which_setting(admission: Any) -> None:
    why = admission()(action(), AT + 20 * MINUTE)
    assert "20m ago" in why
    assert "remediation.act_lag_max is 15m, which whoever keeps the settings of the remediation flow may change" in why


def test_before_enough_was_observed_nothing_is_begun(admission: Any) -> None:
    early = action(at=AT - DAY - HOUR, valid_until=AT)
    why = admission()(early, early.at)
    assert "remediation.warmup is 1d, which whoever keeps the settings of the remediation flow may change" in why
    assert admission()(action(at=AT - DAY), AT - DAY) == ""


def test_a_replay_acts_on_sandboxes_only_unless_told(admission: Any) -> None:
    assert "'crm' is no sandbox" in admission(sandbox=False)(action(), AT)
    assert admission(sandbox=False, sandbox_only=False)(action(), AT) == ""


def test_a_target_that_is_not_named_is_said_with_its_owner(admission: Any) -> None:
    why = admission(step(target="moon"))(action(), AT)
    assert "no target 'moon' in targets.yaml; tests may add it" in why


def test_event_time_goes_as_fast_as_possible_or_as_the_wall() -> None:
    wall = [100.0]
    clock = EventClock(AT, lambda: wall[0])
    assert clock.advance(AT + HOUR, real=False)
    assert clock.now() == AT + HOUR
    assert not clock.advance(AT + HOUR + 10 * SECOND, real=True)
    wall[0] += 4
    assert not clock.advance(AT + HOUR + 10 * SECOND, real=True)
    assert clock.now() == AT + HOUR + 4 * SECOND
    wall[0] += 60
    assert clock.advance(AT + HOUR + 10 * SECOND, real=True)
    assert clock.now() == AT + HOUR + 10 * SECOND
    assert clock.advance(AT, real=False)
    assert clock.now() == AT + HOUR + 10 * SECOND
