"""Nothing is done that the policy, a flag or a person did not allow, whatever people send and whatever is killed: held
against a naive reckoning. `make chaos-remediation` does so for ten thousand cases.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos.worlds import found_out
from tests.support.procedure_check import check
from tests.support.procedure_controls import CONTROLS
from tests.support.procedure_world import ProcedureSetting

SEEDS = range(1, 13)
TRIES = range(120)
"""Seeds in which what is broken has to be found out."""


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> ProcedureSetting:
    return ProcedureSetting(tmp_path_factory.mktemp("procedure"))


@pytest.mark.slow
def test_only_what_is_allowed_is_done(setting: ProcedureSetting) -> None:
    seen: Counter[str] = Counter()
    kills = 0
    for seed in SEEDS:
        checked = check(seed, setting)
        assert checked.wrong == [], f"seed {seed}"
        seen.update(checked.seen)
        kills += len(checked.kills)
    # Else nothing was tried.
    assert min(seen[name] for name in ("acted without asking", "acted with consent", "effects taken back")) > 10
    refused = {name.removeprefix("refused: ") for name in seen if name.startswith("refused: ")}
    assert {"forged", "expired", "own-request", "replayed", "wrong-role", "other-request", "revoked"} <= refused
    assert kills > 10
    levels = {name.removeprefix("level ") for name in seen if name.startswith("level ")}
    assert {"autonomous: earned", "supervised: failures", "recommend: bounds", "supervised: probation-over"} <= levels
    held = {name.removeprefix("goes by supervised ") for name in seen if name.startswith("goes by supervised ")}
    assert {"(failures)", "(drift)", "(quality)"} <= held


@pytest.mark.slow
@pytest.mark.parametrize("control", CONTROLS)
def test_what_is_not_kept_is_found_out(setting: ProcedureSetting, control: str) -> None:
    assert found_out(check, setting, control, TRIES)
