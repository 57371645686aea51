"""Reads built-in values as structs, safely from many threads.

msgspec learns what a struct looks like when it is first asked to read one, a field at a time, and lets other threads
use what it has learned so far: two workers that begin at once read through a null pointer (a segmentation fault). So
what threads read is learned before there are any, when modules are imported: by decoders, or by these.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class Converter(Generic[T]):
    """Reads built-in values as a `kind`. Make it where a module is imported, not where it is used.

    Args:
        kind: A struct.
    """

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        msgspec.msgpack.Decoder(kind)

    def __call__(self, value: Any) -> T:
        """Return what `value` says.

        Raises:
            msgspec.ValidationError: it is none of the kind.
        """
        return msgspec.convert(value, self._kind)
