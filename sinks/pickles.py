"""Looking at a pickle without loading it: loading one that somebody else wrote runs what they wish."""

from __future__ import annotations

import pickle
import pickletools
from typing import Any

_PLAIN = frozenset(
    (
        "PROTO",
        "FRAME",
        "STOP",
        "MARK",
        "MEMOIZE",
        "BINGET",
        "LONG_BINGET",
        "BINPUT",
        "LONG_BINPUT",
        "NONE",
        "NEWTRUE",
        "NEWFALSE",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "LONG4",
        "BINFLOAT",
        "SHORT_BINBYTES",
        "BINBYTES",
        "BINBYTES8",
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "BINUNICODE8",
        "EMPTY_TUPLE",
        "TUPLE",
        "TUPLE1",
        "TUPLE2",
        "TUPLE3",
        "EMPTY_LIST",
        "APPEND",
        "APPENDS",
        "EMPTY_DICT",
        "SETITEM",
        "SETITEMS",
    )
)
"""Opcodes that make None, bool, int, float, str, bytes, tuple, list and dict, and nothing else."""


def plain(pickled: bytes) -> Any:
    """Return what `pickled` holds: plain values.

    Raises:
        ValueError: it holds more, or is no pickle; nothing of it was loaded.
    """
    if found := refusal(pickled):
        raise ValueError(found)
    try:
        return pickle.loads(pickled)
    except Exception as error:  # plain opcodes in an order that makes no sense
        raise ValueError("no pickle") from error


def refusal(pickled: bytes) -> str | None:
    """Return why `pickled` must not be loaded: its first opcode that makes more than plain values; None if it may."""
    try:
        for opcode, _, _ in pickletools.genops(pickled):
            if opcode.name not in _PLAIN:
                return opcode.name
    except ValueError:
        return "no pickle"
    return None
