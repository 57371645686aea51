"""Builds a tree of frozen dataclasses from layers of plain tables: defaults, then a file, then the environment.

Strict: an unknown key, a wrong type or a value out of bounds is a `SettingsError` that names the layer, the key, the
value and what to do. Each field's type says how its value is read; its annotation says what bounds it has. A field
that may be None is given as "".
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar

from config.duration import format_duration, parse_duration
from config.errors import SettingsError

T = TypeVar("T")
Key = tuple[str, ...]
"""Where a value is: `("runtime", "epoch_interval")`."""


@dataclass(frozen=True)
class Layer:
    """One source of values; a later layer overrides an earlier one key by key, and replaces tables keyed by users."""

    origin: str
    """What messages call it: a file's name, `environment`."""
    values: Mapping[Key, object]
    """Values as TOML gives them, by key."""
    base: Path
    """Relative paths among the values start here."""


@dataclass(frozen=True)
class Leaf:
    """One setting: its key, type and bounds."""

    key: Key
    type: Any
    spec: Any
    """The annotation: an object with the bounds `least` and `most`, each of which may be None."""

    @property
    def name(self) -> str:
        """The key as messages and files write it."""
        return ".".join(self.key)


@cache
def _hints(schema: type, extras: bool) -> Mapping[str, Any]:
    """Return the annotations of a dataclass; to evaluate them each time would be most of what a start spends here."""
    return typing.get_type_hints(schema, include_extras=extras)


def leaves(schema: type, prefix: Key = ()) -> Iterator[Leaf]:
    """Yield every setting of a dataclass and of the dataclasses within it, in the order of declaration."""
    for name, hint in _hints(schema, extras=True).items():
        if dataclasses.is_dataclass(hint):
            yield from leaves(typing.cast(type, hint), (*prefix, name))
        else:
            kind, spec = typing.get_args(hint)
            yield Leaf((*prefix, name), kind, spec)


def flatten(schema: type, origin: str, table: Mapping[str, object]) -> dict[Key, object]:
    """Return the values of a nested `table` by key.

    Raises:
        SettingsError: `table` holds a key that `schema` does not know, or a value where a section should be.
    """
    known = {leaf.key for leaf in leaves(schema)}
    sections = {key[:length] for key in known for length in range(1, len(key))}
    flat: dict[Key, object] = {}

    def walk(part: Mapping[str, object], prefix: Key) -> None:
        for name, value in part.items():
            key = (*prefix, name)
            if key in known:
                flat[key] = value
            elif key not in sections:
                raise _unknown(origin, key, known | sections)
            elif isinstance(value, Mapping):
                walk(value, key)
            else:
                raise _wrong(origin, ".".join(key), value, f"write a section [{'.'.join(key)}]")

    walk(table, ())
    return flat


def build(schema: type[T], layers: Sequence[Layer]) -> T:
    """Return `schema` filled from `layers`.

    Raises:
        SettingsError: a value has the wrong type or is out of bounds, or no layer gives one.
    """
    values: dict[Key, object] = {}
    for layer in layers:
        for leaf in leaves(schema):
            if leaf.key in layer.values:
                values[leaf.key] = _read(leaf, layer, layer.values[leaf.key])
    return _fill(schema, (), values)


def _fill(schema: type[T], prefix: Key, values: Mapping[Key, object]) -> T:
    arguments: dict[str, object] = {}
    for name, hint in _hints(typing.cast(type, schema), extras=False).items():
        key = (*prefix, name)
        if dataclasses.is_dataclass(hint):
            arguments[name] = _fill(typing.cast(type, hint), key, values)
        elif key in values:
            arguments[name] = values[key]
        else:
            raise SettingsError(f"{'.'.join(key)} has no value.", remedy="Give it one in config/defaults.toml.")
    return schema(**arguments)


def _read(leaf: Leaf, layer: Layer, value: object) -> object:
    try:
        read = _convert(leaf.type, value, layer.base)
        _check_bounds(leaf, read)
    except ValueError as error:
        raise _wrong(layer.origin, leaf.name, value, str(error)) from None
    return read


def _convert(kind: Any, value: object, base: Path) -> object:
    origin = typing.get_origin(kind)
    if origin is UnionType:
        return None if value == "" else _convert(typing.get_args(kind)[0], value, base)
    if origin is Literal and value in typing.get_args(kind):
        return value
    if origin is tuple and isinstance(value, list):
        return tuple(_convert(typing.get_args(kind)[0], item, base) for item in value)
    if origin not in (None, Literal) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return {name: _convert(typing.get_args(kind)[1], item, base) for name, item in sorted(value.items())}
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind is bool and isinstance(value, bool):
        return value
    if kind is str and isinstance(value, str) and value:
        return value
    if kind is timedelta and isinstance(value, str):
        return parse_duration(value)
    if kind is Path and isinstance(value, str) and value:
        return base / value
    raise ValueError(f"give it {_expected(kind)}")


def _expected(kind: Any) -> str:
    origin = typing.get_origin(kind)
    if origin is UnionType:
        return _expected(typing.get_args(kind)[0]) + ', or ""'
    if origin is Literal:
        return "one of " + ", ".join(typing.get_args(kind))
    if origin is tuple:
        return "a list, each item " + _expected(typing.get_args(kind)[0])
    if origin is not None:
        return "a table, each value " + _expected(typing.get_args(kind)[1])
    named = {
        bool: "true or false",
        int: "a whole number",
        str: "a name",
        timedelta: 'a duration such as "5s"',
        Path: "the path of a file or folder",
    }
    return named[kind]


def _check_bounds(leaf: Leaf, read: object) -> None:
    least, most = leaf.spec.least, leaf.spec.most
    items = read.values() if isinstance(read, dict) else read if isinstance(read, tuple) else (read,)
    for item in items:
        if least is not None and item < least:
            raise ValueError(f"give it at least {_shown(least)}")
        if most is not None and item > most:
            raise ValueError(f"give it at most {_shown(most)}")


def _shown(bound: object) -> str:
    return format_duration(bound) if isinstance(bound, timedelta) else str(bound)


def _unknown(origin: str, key: Key, known: set[Key]) -> SettingsError:
    siblings = sorted(
        {other[len(key) - 1] for other in known if len(other) >= len(key) and other[: len(key) - 1] == key[:-1]}
    )
    near = [".".join((*key[:-1], name)) for name in get_close_matches(key[-1], siblings, n=1, cutoff=0.7)]
    near = near or sorted(".".join(other) for other in known if other[-1] == key[-1])
    remedy = f"Did you mean {near[0]}?" if near else f"Known there: {', '.join(siblings)}."
    return SettingsError(f"{origin}: unknown key {'.'.join(key)}.", remedy=remedy)


def _wrong(origin: str, name: str, value: object, remedy: str) -> SettingsError:
    return SettingsError(f"{origin}: {name} = {value!r} cannot be read.", remedy=f"{remedy[0].upper()}{remedy[1:]}.")
