from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from config.errors import CheckFailed, RecordingError, UsageError
from dataflows.cli.console import ForestallGroup


def run(error: BaseException) -> tuple[int, str]:
    """Return the exit code and what stands on standard error when a command ends with `error`."""

    @click.group(cls=ForestallGroup)
    def group() -> None:
        """A group."""

    @group.command()
    def fail() -> None:
        raise error

    result = CliRunner().invoke(group, ["fail"])
    assert result.stdout == ""
    return result.exit_code, result.stderr


@pytest.mark.parametrize(("kind", "code"), [(CheckFailed, 1), (UsageError, 2), (RecordingError, 3)])
def test_an_error_of_ours_is_a_message_its_remedy_and_its_code(kind: type[RecordingError], code: int) -> None:
    assert run(kind("a [b] is gone", remedy="find it")) == (code, "error: a [b] is gone\nremedy: find it\n")
    assert run(kind("it is gone")) == (code, "error: it is gone\n")


def test_an_error_of_the_system_names_the_file() -> None:
    code, said = run(PermissionError(13, "Permission denied", "/the/file"))
    assert (code, said.splitlines()[0]) == (3, "error: /the/file: Permission denied")


def test_an_error_nobody_expected_is_told_by_its_place_and_not_by_its_words() -> None:
    code, said = run(KeyError("Ms Smith"))
    assert code == 3
    assert said.startswith("error: unexpected KeyError in fail, ")
    assert "test_console.py:" in said
    assert "Smith" not in said
    assert "Traceback" not in said


def test_clicks_own_errors_stay_as_they_are() -> None:
    assert run(click.UsageError("no such thing"))[0] == 2
    assert run(click.Abort()) == (1, "Aborted!\n")
