from __future__ import annotations

import dataclasses
import pickle
import re
import tomllib
import typing
from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from config import settings as module
from config.errors import SettingsError
from config.layers import Layer, build, flatten, leaves
from config.settings import DEFAULTS, Settings, environment, load
from operators.journey import JourneySettings

LEAVES = {leaf.name: leaf for leaf in leaves(Settings)}


def write(folder: Path, text: str) -> Path:
    file = folder / "job.toml"
    file.write_text(text, encoding="utf-8")
    return file


def variable(name: str) -> str:
    return "FORESTALL_" + name.upper().replace(".", "_")


def test_defaults_alone_are_complete() -> None:
    settings = load()
    assert dataclasses.asdict(settings.runtime.key_groups) == {"telemetry": 16, "journey": 16, "cause": 16, "case": 16}
    assert settings.runtime.epoch_interval == timedelta(seconds=1)
    assert settings.runtime.emit_interval == timedelta(milliseconds=50)
    assert settings.runtime.batch_records == 50_000
    assert settings.time.jump_max == timedelta(days=30)
    assert settings.state.dedupe_ttl == timedelta(days=7)


def test_defaults_name_every_setting_and_no_other() -> None:
    table = tomllib.loads(DEFAULTS.read_text(encoding="utf-8"))
    assert set(flatten(Settings, "defaults", table)) == {leaf.key for leaf in leaves(Settings)}


def test_default_folders_are_those_of_the_package() -> None:
    settings = load()
    assert settings.contracts.folders == ()
    assert settings.policy.bundle == DEFAULTS.parent / "policies" / "default"


def test_journey_settings_are_those_of_the_journey() -> None:
    # The journey can be built without settings, in tests; what it then assumes must be what a job gets.
    ours, theirs = load().journey, JourneySettings()
    expected = dataclasses.asdict(theirs)
    del expected["dedupe_ttl"]
    assert dataclasses.asdict(ours) == expected


def test_every_setting_has_a_docstring_below_it() -> None:
    declared = 0
    for path in Path(module.__file__).parent.glob("*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for line, below in pairwise(lines):
            if ": Annotated[" in line:
                declared += 1
                assert below.strip().startswith('"""'), line
    assert declared == len(LEAVES)


def test_file_overrides_defaults_key_by_key(tmp_path: Path) -> None:
    settings = load(write(tmp_path, '[runtime]\nepoch_interval = "250ms"\n[runtime.key_groups]\ncase = 32\n'))
    assert settings.runtime.epoch_interval == timedelta(milliseconds=250)
    assert (settings.runtime.key_groups.case, settings.runtime.key_groups.journey) == (32, 16)
    assert settings.time == load().time


def test_environment_overrides_file(tmp_path: Path) -> None:
    file = write(tmp_path, '[time]\nlateness_max = "1m"\njump_max = "2d"\n')
    settings = load(file, {"FORESTALL_TIME_LATENESS_MAX": "2m", "PATH": "/bin"})
    assert (settings.time.lateness_max, settings.time.jump_max) == (timedelta(minutes=2), timedelta(days=2))


def test_lists_and_tables_are_read_from_the_environment() -> None:
    settings = load(
        None, {"FORESTALL_TELEMETRY_WINDOWS": "5m, 2h", "FORESTALL_TIME_LATENESS_MAX_BY_TOPIC": "orders=1m,crm=0s"}
    )
    assert settings.telemetry.windows == (timedelta(minutes=5), timedelta(hours=2))
    assert settings.time.lateness("orders") == timedelta(minutes=1)
    assert settings.time.lateness("crm") == timedelta(0)
    assert settings.time.lateness("telemetry") == settings.time.lateness_max


def test_relative_folders_start_where_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    file = write(tmp_path / "etc", '[contracts]\nfolders = ["mine", "/srv/theirs"]\n')
    monkeypatch.chdir(tmp_path)
    settings = load(file, {"FORESTALL_POLICY_BUNDLE": "rules"})
    assert settings.contracts.folders == (tmp_path / "etc" / "mine", Path("/srv/theirs"))
    assert settings.policy.bundle == tmp_path / "rules"


def test_no_two_settings_share_a_variable() -> None:
    assert len({variable(name) for name in LEAVES}) == len(LEAVES)


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_each_setting_refuses_a_value_of_another_type(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"^test: {re.escape(name)} = 1\.5 cannot be read\. Remedy: Give it "):
        build(Settings, [Layer("test", {LEAVES[name].key: 1.5}, Path())])


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("[tiem]\n", "unknown key tiem", "Did you mean time?"),
        ("[runtime]\nepoch_intervall = 1\n", "unknown key runtime.epoch_intervall", "runtime.epoch_interval?"),
        ("[state]\nqqqq = 1\n", "unknown key state.qqqq", "Known there: dedupe_ttl."),
        ("[runtime.key_groups]\njournal = 4\n", "unknown key runtime.key_groups.journal", "key_groups.journey?"),
        ('[time]\npane = "1m"\n', "unknown key time.pane", "Did you mean telemetry.pane?"),
        ("time = 5\n", "time = 5", "a section [time]"),
        ('[runtime]\nsink_parts = "4"\n', "runtime.sink_parts = '4'", "a whole number"),
        ("[runtime]\nsink_parts = true\n", "runtime.sink_parts = True", "a whole number"),
        ("[runtime]\nsink_parts = 4.0\n", "runtime.sink_parts = 4.0", "a whole number"),
        ("[runtime]\nsink_parts = 0\n", "runtime.sink_parts = 0", "at least 1"),
        ("[runtime]\nbatch_records = 1000001\n", "runtime.batch_records = 1000001", "at most 1000000"),
        ("[time]\nlateness_max = 5\n", "time.lateness_max = 5", 'a duration such as "5s"'),
        ('[time]\nlateness_max = "5 s"\n', "time.lateness_max = '5 s'", "whole number and a unit"),
        ('[time]\njump_max = "1s"\n', "time.jump_max = '1s'", "at least 1m"),
        (
            '[time.lateness_max_by_topic]\norders = "soon"\n',
            "time.lateness_max_by_topic = {'orders': 'soon'}",
            "whole number and a unit",
        ),
        ("[time]\nlateness_max_by_topic = 5\n", "time.lateness_max_by_topic = 5", "a table, each value a duration"),
        ('[telemetry]\nwindows = "5m"\n', "telemetry.windows = '5m'", "a list, each item a duration"),
        ('[telemetry]\nwindows = ["5m", "0s"]\n', "telemetry.windows", "at least 1s"),
        ('[policy]\nbundle = ""\n', "policy.bundle = ''", "the path of a file or folder"),
    ],
)
def test_fault_in_a_file_names_file_key_value_and_remedy(tmp_path: Path, text: str, message: str, remedy: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load(file)
    assert caught.value.message.startswith(f"{file}: {message}")
    assert remedy in caught.value.remedy


def test_fault_in_the_environment_names_the_setting() -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, {"FORESTALL_RUNTIME_SINK_PARTS": "four"})
    assert caught.value.message == "environment: runtime.sink_parts = 'four' cannot be read."


def test_empty_text_stands_for_none_where_a_setting_may_be_absent() -> None:
    assert load(None, {"FORESTALL_KAFKA_BOOTSTRAP_SERVERS": ""}).kafka.bootstrap_servers is None
    assert load(None, {"FORESTALL_KAFKA_BOOTSTRAP_SERVERS": "a:1"}).kafka.bootstrap_servers == "a:1"


@pytest.mark.parametrize("text", ["yes", "True", "1"])
def test_only_true_and_false_are_truth_values(text: str) -> None:
    assert load(None, {"FORESTALL_KAFKA_READ_COMMITTED": "false"}).kafka.read_committed is False
    with pytest.raises(SettingsError, match=r"kafka\.read_committed = .* Give it true or false\."):
        load(None, {"FORESTALL_KAFKA_READ_COMMITTED": text})


def test_unknown_variable_is_refused_with_the_nearest_known() -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, {"FORESTALL_TIME_LATENES_MAX": "5s"})
    assert caught.value.message == "environment: unknown variable FORESTALL_TIME_LATENES_MAX."
    assert caught.value.remedy == "Did you mean FORESTALL_TIME_LATENESS_MAX?"


def test_unknown_variable_that_resembles_none_is_to_be_unset() -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, {"FORESTALL_X": "1"})
    assert caught.value.remedy == "Unset it."


def test_variables_of_the_test_suite_are_let_be() -> None:
    assert load(None, {"FORESTALL_DATA": "/data", "FORESTALL_REQUIRE": "all"}) == load()


def test_environment_is_a_copy_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORESTALL_RUNTIME_SINK_PARTS", "8")
    assert load(None, environment()).runtime.sink_parts == 8


@pytest.mark.parametrize("content", [b"[time\n", b"\xff\xfe"])
def test_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "job.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"job\.toml: not TOML: "):
        load(file)


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.toml: No such file"):
        load(tmp_path / "absent.toml")
    with pytest.raises(SettingsError, match=r"Is a directory"):
        load(tmp_path)


def test_window_that_is_no_multiple_of_a_pane_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"telemetry\.windows: 0:01:30 is no multiple of telemetry\.pane = 0:01:00"):
        load(None, {"FORESTALL_TELEMETRY_WINDOWS": "90s"})


def test_setting_without_a_value_in_any_layer_is_named() -> None:
    with pytest.raises(SettingsError, match=r"runtime\.key_groups\.telemetry has no value"):
        build(Settings, [])


def changed(name: str) -> Settings:
    """The defaults with another value for one setting."""
    samples = {
        "overload.held_bytes_max": "2000000",
        "overload.steps": "3,4",
        "policy.enforce": "true",
        "policy.mode": "act",
        "registry.timeout": "2s",
        "remediation.flags_stale_after": "2s",
        "runtime.epoch_interval": "2s",
        "runtime.emit_interval": "2s",
        "telemetry.pane": "10s",
        "topics.transaction_timeout": "30s",
    }
    kind = LEAVES[name].type
    usual = {int: "3", bool: "false"}.get(kind, "topic=2h" if typing.get_origin(kind) is Mapping else "2h")
    return load(None, {variable(name): samples.get(name, usual)})


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_digests_follow_what_each_setting_affects(name: str) -> None:
    before, after = load(), changed(name)
    assert before != after
    assert (before.digest() != after.digest()) == (LEAVES[name].spec.affects == "results")
    assert (before.layout_digest() != after.layout_digest()) == (LEAVES[name].spec.affects == "layout")


def test_digest_does_not_depend_on_how_a_value_was_written(tmp_path: Path) -> None:
    file = write(tmp_path, '[time]\nlateness_max = "5000ms"\n[time.lateness_max_by_topic]\nb = "2s"\na = "60s"\n')
    by_environment = load(None, {"FORESTALL_TIME_LATENESS_MAX_BY_TOPIC": "a=1m,b=2s"})
    assert load(file).digest() == by_environment.digest() != load().digest()


def test_settings_are_frozen_and_cross_processes() -> None:
    settings = load()
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.runtime.sink_parts = 8  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_steps_of_sampling_rise_and_are_read_from_the_environment() -> None:
    assert load().overload.lag_max == 0
    assert load(None, {"FORESTALL_OVERLOAD_STEPS": "4,8"}).overload.steps == (4, 8)
    for steps in ("8,4", "4,4", ""):
        with pytest.raises(SettingsError, match=r"overload\.steps"):
            load(None, {"FORESTALL_OVERLOAD_STEPS": steps})
    with pytest.raises(SettingsError, match=r"overload\.steps"):
        load(None, {"FORESTALL_OVERLOAD_STEPS": "2,many"})
