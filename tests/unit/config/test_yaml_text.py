from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec
import pytest
import yaml

from config.errors import SettingsError
from config.yaml_text import BYTES_MAX, NESTING_MAX, read_file, read_yaml


def test_a_text_becomes_built_in_values() -> None:
    assert read_yaml("a: [1, 2.5, yes, null, text]") == {"a": [1, 2.5, True, None, "text"]}


@pytest.mark.parametrize("text", ["[" * NESTING_MAX + "]" * NESTING_MAX, "a: " + "{b: " * 60 + "1" + "}" * 60])
def test_nesting_up_to_the_limit_is_read(text: str) -> None:
    assert read_yaml(text)


@pytest.mark.parametrize("depth", [NESTING_MAX + 1, 500, 200_000])
def test_deeper_nesting_is_refused_before_it_can_end_the_process(depth: int) -> None:
    with pytest.raises(yaml.YAMLError):
        read_yaml("[" * depth + "]" * depth)


def test_what_is_no_yaml_says_where() -> None:
    with pytest.raises(yaml.MarkedYAMLError) as error:
        read_yaml("a: 1\nb: [")
    assert error.value.problem_mark is not None
    assert error.value.problem_mark.line >= 1


def test_what_contains_itself_is_refused() -> None:
    with pytest.raises(yaml.MarkedYAMLError, match=r"\*x contains itself"):
        read_yaml("a: &x {b: [*x]}")
    assert read_yaml("a: &x [1]\nb: *x") == {"a": [1], "b": [1]}


class Document(msgspec.Struct, forbid_unknown_fields=True):
    owner: str
    since: datetime | None = None


def read(file: Path) -> Document:
    return read_file(file, Document, "a list", "See the other lists.")


@pytest.mark.parametrize(
    ("content", "message", "remedy"),
    [
        (b"a: b: c", "f.yaml:1: not YAML: mapping values are not allowed in this context, column 5.", "that line"),
        (b"owner: [", "f.yaml:2: not YAML: ", "that line"),
        (b"since: 2026-13-01T00:00:00Z", "f.yaml: not YAML: month must be in 1..12.", "Correct"),
        (b"\x00", "f.yaml: not YAML: control characters", "Correct"),
        (b"", "f.yaml: is empty.", "See the other lists."),
        (b"# nothing yet", "f.yaml: is empty.", "See the other lists."),
        (b"owner: \xff", "f.yaml: is no text: byte 7 is not UTF-8.", "UTF-8"),
        (b"#" * (BYTES_MAX + 1), "f.yaml: is 8,000,001 bytes.", "at most 8,000,000"),
        (
            b"ownr: me",
            "f.yaml: Object contains unknown field `ownr`.",
            "Did you mean 'owner'? Known: owner, since.",
        ),
    ],
)
def test_a_fault_names_the_file_once_and_where_in_it(tmp_path: Path, content: bytes, message: str, remedy: str) -> None:
    file = tmp_path / "f.yaml"
    file.write_bytes(content)
    with pytest.raises(SettingsError) as raised:
        read(file)
    assert message in raised.value.message
    assert remedy in raised.value.remedy
    assert raised.value.message.count("f.yaml") == 1
    assert "unicode string" not in raised.value.message


def test_a_file_that_is_not_there_is_named_once(tmp_path: Path) -> None:
    for place, why in ((tmp_path / "none.yaml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(SettingsError) as raised:
            read(place)
        assert raised.value.message == f"{place}: cannot be read: {why}."
        assert raised.value.remedy == "Give the path of a list."
