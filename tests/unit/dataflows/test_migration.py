"""A state's form changes between releases: real state of each stage, read by the logic of a later one."""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from config.errors import RecoveryError
from config.settings import load
from dataflows.domain import load_logics
from dataflows.recovered import STAGES, STATE, Recovered, interpret
from operators.keyed import Delta, KeyedGroup
from operators.logic import KeyedLogic
from sinks.preflight import inspect
from sinks.statelog import read

ARCHIVE = Path(__file__).parents[2] / "golden" / "recovery" / "0.1.0.tar.xz"
MakeLogic = Callable[[], KeyedLogic[Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    unpacked = tmp_path_factory.mktemp("killed")
    with tarfile.open(ARCHIVE) as packed:
        packed.extractall(unpacked, filter="data")
    return unpacked / "store.db.recovery"


@pytest.fixture(scope="module")
def recovered(folder: Path) -> Recovered:
    return interpret(inspect(folder).snapshots)


@pytest.fixture(scope="module")
def logics() -> dict[str, MakeLogic]:
    made = load_logics(load())
    return {name: getattr(made, name) for name in STAGES}


NEWER = {"fleet", "risk", "autonomy", "guard"}
"""Stages that the release did not have."""


@pytest.fixture(params=[stage for stage in STAGES if stage not in NEWER])
def stage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def deltas(stage: str, recovered: Recovered, folder: Path) -> list[bytes]:
    """Of the key group with the most keys."""
    of = [read(folder / STATE, token) for token in recovered.tokens[stage].values()]
    return max(of, key=lambda each: len(keys_in(each)))


def keys_in(deltas: list[bytes]) -> set[str]:
    keys: set[str] = set()
    for encoded in deltas:
        for key, _, body, _ in msgspec.msgpack.decode(encoded, type=Delta).entries:
            (keys.add if body else keys.discard)(key)
    return keys


def later(logic: KeyedLogic[Any]) -> KeyedLogic[Any]:
    """Return a logic of a later version, which reads the former from built-in values as any migration would."""

    class Later(type(logic)):  # type: ignore[misc]
        state_version = logic.state_version + 1
        migrated = 0

        def migrate(self, version: int, state: Any) -> Any:
            if version != logic.state_version:
                return super().migrate(version, state)
            self.migrated += 1
            return msgspec.convert(state, logic.state_type)

    made: Any = Later.__new__(Later)
    made.__dict__.update(logic.__dict__)
    return made  # type: ignore[no-any-return]


def restored(logic: KeyedLogic[Any], deltas: list[bytes]) -> KeyedGroup[Any]:
    group: KeyedGroup[Any] = KeyedGroup(logic, ())
    group.restore(deltas)
    return group


def test_every_state_of_the_former_version_is_read_by_the_later_one(
    stage: str, deltas: list[bytes], logics: dict[str, MakeLogic]
) -> None:
    former = restored(logics[stage](), deltas)
    migrating: Any = later(logics[stage]())
    group = restored(migrating, deltas)
    keys = keys_in(deltas)
    assert len(keys) > 0
    for key in keys:
        assert group.state_of(key) == former.state_of(key) is not None
    assert migrating.migrated == len(keys) + 1  # once to try whether it can be done
    assert (group.open_timers, group.open_events) == (former.open_timers, former.open_events)


def test_keys_that_sleep_keep_their_version_and_those_met_get_the_later_one(
    stage: str, deltas: list[bytes], logics: dict[str, MakeLogic]
) -> None:
    group = restored(later(logics[stage]()), deltas)
    version, keys = logics[stage]().state_version, keys_in(deltas)
    assert group.versions() == {version: len(keys)}
    met = min(keys)
    group.state_of(met)
    again = restored(later(logics[stage]()), [group.whole()])
    assert again.versions() == Counter({version: len(keys) - 1, version + 1: 1})
    assert all(again.state_of(key) == group.state_of(key) for key in keys)


def test_a_state_may_skip_a_release(stage: str, deltas: list[bytes], logics: dict[str, MakeLogic]) -> None:
    former, group = restored(logics[stage](), deltas), restored(later(later(logics[stage]())), deltas)
    assert all(group.state_of(key) == former.state_of(key) for key in keys_in(deltas))


def test_a_version_that_the_logic_does_not_know_is_refused_when_the_group_is_restored(
    stage: str, deltas: list[bytes], logics: dict[str, MakeLogic]
) -> None:
    stranger = logics[stage]()
    stranger.state_version = 7
    with pytest.raises(RecoveryError, match=rf"stage {stage}: recovered state is of version 1"):
        restored(stranger, deltas)
