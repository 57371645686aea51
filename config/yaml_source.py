"""YAML files that people write, read strictly: what is wrong with them has its line."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import yaml

from config.errors import InputError
from config.shapes import PATH, STEP, hint
from config.yaml_text import read_text, read_yaml, syntax_fault

D = TypeVar("D", bound=msgspec.Struct)
Step = str | int


class Source(Generic[D]):
    """A file read as a document of type `D`.

    Args:
        file: The YAML file.
        kind: What it must be.
        error: What to raise.
        guides: The page that explains the fields of a section; under "" that of all others.

    Raises:
        InputError: of the kind `error`: it is missing, no YAML, or a field is unknown, missing or of another type; the
            message names file and line, the remedy what could stand there.
    """

    def __init__(self, file: Path, kind: type[D], error: type[InputError], guides: Mapping[str, str]) -> None:
        self.file = file
        text = read_text(file, error, "Check the path and its permissions.")
        try:
            content = read_yaml(text, _StrictLoader)
            self._root = yaml.compose(text, Loader=yaml.CSafeLoader)
        except (yaml.YAMLError, ValueError) as fault:
            raise error(syntax_fault(file, fault), remedy="Correct the syntax at that line.") from None
        if content is None:
            raise error(f"{file}: is empty.", remedy=f"See {guides['']} for what stands in it.")
        try:
            self.document = msgspec.convert(content, kind)
        except msgspec.ValidationError as fault:
            path = self._path_of(str(fault), content, kind)
            guide = guides.get(str(path[0]) if path else "", guides[""])
            remedy = f"{hint(str(fault), kind)} See {guide} for what each means."
            raise error(f"{self.at(*path)}: {fault}.", remedy=remedy.strip()) from None

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
        found = PATH.search(message)
        path: list[Step] = []
        for step in STEP.finditer(found["path"] if found else ""):
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
