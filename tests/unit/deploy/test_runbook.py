"""The commands that operations are told to give are there, and take what they are given."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click import Context, Group

from dataflows.cli.main import LazyGroup
from sinks.ledger import Ledger
from tests.support.commands import ROOT, forestall, store_url
from tests.support.remedies import many, store_with

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
FOUND = re.findall(r"^    (forestall .+)$|`(forestall [^`]+)`", PAGE, re.M)
NAMED_ONLY = re.compile(r"…|^forestall [a-z-]+( [a-z-]+)?$")
"""Commands that are spoken of, and not to be given so."""
COMMANDS = sorted({text for found in FOUND for text in found if text and not NAMED_ONLY.search(text)})
OTHERS = re.compile(r"\b(?!STORE|LEDGER)[A-Z]{2,}\b")
"""What stands for a case, an action, a file."""
READING = [each for each in COMMANDS if "$" in each and not OTHERS.search(each)]


@pytest.mark.parametrize("text", COMMANDS)
def test_a_command_of_the_runbook_parses(text: str) -> None:
    words = shlex.split(text.replace("$STORE", "sqlite:///s.db").replace("$LEDGER", "sqlite:///s.db"))[1:]
    command = LazyGroup(name="forestall").get_command(Context(LazyGroup(name="forestall")), words.pop(0))
    if isinstance(command, Group):
        command = command.commands[words.pop(0)]
    assert command is not None
    there = {"OLD": ".", "NEW": "."}  # must exist
    assert command.make_context("forestall", [there.get(word, word) for word in words]).params


def test_there_are_such_commands() -> None:
    assert len(COMMANDS) >= 12
    assert len(READING) >= 7


@pytest.mark.parametrize("text", READING)
def test_a_command_that_looks_only_answers(text: str, tmp_path: Path) -> None:
    url = store_with(store_url(tmp_path / "store.db"), many(1))
    Ledger.open(url, create=True).close()
    words = shlex.split(text.replace("$STORE", url).replace("$LEDGER", url))[1:]
    ended = forestall(*words)
    assert ended.code == 0, ended.err
    assert ended.out
