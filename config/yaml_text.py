"""YAML texts, read by libyaml: twenty times faster than in Python, which a start of three processes would feel."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from config.errors import InputError, SettingsError
from config.shapes import hint

T = TypeVar("T")

NESTING_MAX = 64
"""libyaml's loader recurses in C without a limit: a text nested deeply enough would end the process."""
BYTES_MAX = 8_000_000
"""What is larger was not written by people; it would be read for minutes."""


def read_yaml(text: str | bytes, loader: type[yaml.CSafeLoader] = yaml.CSafeLoader) -> Any:
    """Return what a YAML text holds.

    Args:
        text: One document.
        loader: How to construct it.

    Raises:
        yaml.YAMLError: the text is no YAML, is nested too deeply, or contains itself.
        ValueError: something is written as a date, and is none.
    """
    around: list[str | None] = []
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        problem = ""
        if isinstance(event, yaml.CollectionStartEvent):
            around.append(event.anchor)
            problem = f"nested more than {NESTING_MAX} levels deep" if len(around) > NESTING_MAX else ""
        elif isinstance(event, yaml.CollectionEndEvent):
            around.pop()
        elif isinstance(event, yaml.AliasEvent) and event.anchor in around:
            problem = f"*{event.anchor} contains itself"
        if problem:
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)  # type: ignore[arg-type]
    return yaml.load(text, loader)


def read_text(file: Path, kind: type[InputError], remedy: str) -> str:
    """Return the text of a file of YAML.

    Args:
        file: Its path.
        kind: The error to raise.
        remedy: What to do where there is no such file.

    Raises:
        InputError: of the `kind`: the file cannot be read, is no text, or is too large.
    """
    try:
        if (size := file.stat().st_size) > BYTES_MAX:
            raise kind(f"{file}: is {size:,} bytes.", remedy=f"Write at most {BYTES_MAX:,}.")
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise kind(f"{file}: cannot be read: {error.strerror}.", remedy=remedy) from error
    except UnicodeDecodeError as error:
        raise kind(
            f"{file}: is no text: byte {error.start} is not UTF-8.", remedy="Write it as YAML, in UTF-8."
        ) from error


def syntax_fault(file: Path | str, error: yaml.YAMLError | RecursionError | ValueError) -> str:
    """Return what is wrong with a text that is no YAML: file, line and column, in one line."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    place = "" if mark is None else f"{mark.line + 1}: "
    column = "" if mark is None else f", column {mark.column + 1}"
    # Where an open bracket is missed is told by the next line, where it stands by the context.
    begun = getattr(error, "context_mark", None)
    around = "" if begun is None else f", {getattr(error, 'context', '')} from line {begun.line + 1} on"
    problem = problem or getattr(error, "reason", None) or " ".join(str(error).split())
    return f"{file}:{place or ' '}not YAML: {problem}{column}{around}."


def read_file(path: Path, shape: type[T], what: str, remedy: str) -> T:
    """Return what a YAML file holds, as a `shape` (a msgspec struct).

    Args:
        path: The file.
        shape: What it must be.
        what: What such a file is called, for a message: "a manifest".
        remedy: What to do where a field is missing, unknown or of another type.

    Raises:
        SettingsError: the file is missing, is not YAML, or is of another shape; the message names file and field.
    """
    text = read_text(path, SettingsError, f"Give the path of {what}.")
    try:
        content = read_yaml(text)
        if content is None:
            raise SettingsError(f"{path}: is empty.", remedy=remedy)
        return msgspec.convert(content, shape)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {error}.", remedy=f"{hint(str(error), shape)} {remedy}".strip()) from error
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(syntax_fault(path, error), remedy="Correct the syntax at that line.") from error
