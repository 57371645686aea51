"""YAML texts, read by libyaml: twenty times faster than in Python, which a start of three processes would feel."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from config.errors import SettingsError

T = TypeVar("T")

NESTING_MAX = 64
"""libyaml's loader recurses in C without a limit: a text nested deeply enough would end the process."""


def read_yaml(text: str | bytes, loader: type[yaml.CSafeLoader] = yaml.CSafeLoader) -> Any:
    """Return what a YAML text holds.

    Args:
        text: One document.
        loader: How to construct it.

    Raises:
        yaml.YAMLError: the text is no YAML, or is nested too deeply.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > NESTING_MAX:
                problem = f"nested more than {NESTING_MAX} levels deep"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)  # type: ignore[arg-type]
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return yaml.load(text, loader)


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
    try:
        return msgspec.convert(read_yaml(path.read_text(encoding="utf-8")), shape)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}.", remedy=f"Give the path of {what}.") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: is not YAML: {error}.", remedy="Correct the syntax at that line.") from error
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {error}.", remedy=remedy) from error
