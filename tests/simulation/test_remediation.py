"""Remedies in worlds where the target misbehaves, the network loses and delays, and processes are killed at every
boundary: what is there is what the ledger says, once. `make chaos-remediation` runs thousands of them.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos.worlds import found_out
from tests.support.remedy_check import check
from tests.support.remedy_world import CONTROLS, Setting

SEEDS = 16
TRIES = range(40)
"""Seeds in which a control has to be found out."""


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return Setting(tmp_path_factory.mktemp("worlds"))


@pytest.mark.slow
def test_what_is_there_is_what_the_ledger_says(setting: Setting) -> None:
    states: Counter[str] = Counter()
    kills: Counter[str] = Counter()
    lined_up = expired = 0
    for seed in range(SEEDS):
        checked = check(seed, setting)
        assert checked.wrong == [], f"seed {seed}"
        states.update(checked.states)
        kills.update(checked.kills)
        lined_up, expired = lined_up + checked.lined_up, expired + checked.expired
    # Else nothing was tried.
    assert min(lined_up, expired) > 10
    assert set(states) == {"settled", "compensated", "refused", "escalated"}
    assert {"before the commit", "after the commit", "before it is sent", "after it is sent"} <= set(kills)


@pytest.mark.slow
@pytest.mark.parametrize("control", CONTROLS)
def test_without_a_mechanism_it_is_found_out(setting: Setting, control: str) -> None:
    assert found_out(check, setting, control, TRIES)
