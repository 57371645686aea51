"""Reads the YAML files of a bundle strictly, and tells where in them something stands."""

from __future__ import annotations

import re
from collections.abc import Hashable
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import yaml

from config.clock import to_micros
from config.errors import PolicyError
from config.yaml_text import read_yaml

D = TypeVar("D", bound=msgspec.Struct)
Step = str | int

_PATH = re.compile(r" - at (?:`key` in )?`\$(?P<path>[^`]*)`")
_STEP = re.compile(r"\.(?P<name>\w+)|\[(?P<index>\d+)\]|(?P<any>\[\.\.\.\])")


class Source(Generic[D]):
    """A file of a bundle, read as a document of type `D`.

    Args:
        file: The YAML file.
        kind: What it must be.

    Raises:
        PolicyError: it is missing, no YAML, or a field is unknown, missing or of another type; the message names file
            and line.
    """

    def __init__(self, file: Path, kind: type[D]) -> None:
        self.file = file
        try:
            text = file.read_text("utf-8")
            content = read_yaml(text, _StrictLoader)
            self._root = yaml.compose(text, Loader=yaml.CSafeLoader)
        except OSError as error:
            raise PolicyError(f"{file}: cannot be read: {error.strerror}", remedy="Add it, or leave it out.") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise PolicyError(f"{file}: not YAML: {' '.join(str(error).split())}", remedy="Fix the file.") from None
        try:
            self.document = msgspec.convert(content, kind)
        except msgspec.ValidationError as error:
            where = self.at(*self._path_of(str(error), content, kind))
            raise PolicyError(f"{where}: {error}", remedy="See docs/decisions.md for the fields of a bundle.") from None

    def at(self, *path: Step) -> str:
        """Return `file:line` of what stands at `path`, or of the nearest thing around it that is there."""
        node, line = self._root, 1
        for step in path:
            found = _child(node, step)
            if found is None:
                break
            node, line = found
        return f"{self.file}:{line}"

    def _path_of(self, message: str, content: Any, kind: type[D]) -> list[Step]:
        """Return the path that an error message of msgspec names; it names no keys of mappings, which are found."""
        found = _PATH.search(message)
        path: list[Step] = []
        for step in _STEP.finditer(found["path"] if found else ""):
            if step["any"]:
                key = _faulty_key(content, path, kind, message)
                if key is None:
                    break
                path.append(key)
            else:
                path.append(int(step["index"]) if step["index"] else step["name"])
        return path


def _faulty_key(content: Any, path: list[Step], kind: type[D], message: str) -> str | None:
    """Return the key of the mapping at `path` that is at fault: alone there, it has the same fault."""
    holder = content
    for step in path[:-1]:
        holder = holder[step]
    whole = holder[path[-1]]
    for key, value in whole.items():
        holder[path[-1]] = {key: value}
        try:
            msgspec.convert(content, kind)
        except msgspec.ValidationError as error:
            if str(error) == message:
                return str(key)
        finally:
            holder[path[-1]] = whole
    return None


def _child(node: yaml.Node | None, step: Step) -> tuple[yaml.Node, int] | None:
    """Return what stands under a key or at a position, and its line."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return value, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step].start_mark.line + 1
    return None


class _StrictLoader(yaml.CSafeLoader):
    """YAML in which a repeated key is an error: the second would silently replace the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


def instant(where: str, name: str, given: datetime) -> int:
    """Return an instant as microseconds.

    Raises:
        PolicyError: it has no offset from UTC.
    """
    if given.tzinfo is None:
        raise PolicyError(f"{where}: {name} has no offset from UTC", remedy="Write it as 2026-01-31T00:00:00Z.")
    return to_micros(given)
