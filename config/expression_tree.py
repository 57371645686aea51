"""The structure of a condition, as a tree: what is compared, calculated and called with what.

CEL's engine refuses what is no condition, and evaluates the rest, but shows no structure; so what compiled is read
again. The grammar is that of the language: https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*)
      | (?P<bytes>(?:[bB][rR]?|[rR][bB])(?:'{3}.*?'{3}|\"{3}.*?\"{3}|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"))
      | (?P<string>[rR]?(?:'{3}.*?'{3}|\"{3}.*?\"{3}|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"))
      | (?P<double>(?:\d+\.\d+|\.\d+)(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)
      | (?P<uint>(?:0[xX][0-9a-fA-F]+|\d+)[uU])
      | (?P<int>0[xX][0-9a-fA-F]+|\d+)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<sign>&&|\|\||[=!<>]=|.)""",
    re.VERBOSE | re.DOTALL,
)
_WORDS = {"true": "bool", "false": "bool", "null": "null"}
_BINARY = (("||",), ("&&",), ("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"), ("*", "/", "%"))
"""From what binds loosest to what binds tightest; all of them from left to right."""


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a condition."""

    kind: str
    """`literal`, `name`, `binary`, `unary`, `choice` (`a ? b : c`), `list`, `map`, `field` (`a.b`), `index`, `call`,
    `method` (the first part is what it is called on)."""
    word: str
    """The type of a literal; a name; an operator."""
    parts: tuple[Node, ...]
    source: str
    """As it is written."""


class Unreadable(Exception):
    """It has a form that is not known here."""


def parse(source: str) -> Node:
    """Return the structure of a condition that compiles.

    Raises:
        Unreadable: it has a form that is not known here, such as an optional field.
    """
    reader = _Reader(source)
    node = reader.choice()
    if reader.next is not None:
        raise Unreadable(source)
    return node


class _Reader:
    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = [match for match in _TOKEN.finditer(source) if match["skip"] is None]
        self._at = 0

    @property
    def next(self) -> str | None:
        """The token to come."""
        return self._tokens[self._at].group() if self._at < len(self._tokens) else None

    def choice(self) -> Node:
        begin = self._at
        first = self._binary(0)
        if not self._take("?"):
            return first
        second = self._binary(0)
        self._want(":")
        return self._node("choice", "?", (first, second, self.choice()), begin)

    def _binary(self, level: int) -> Node:
        if level == len(_BINARY):
            return self._unary()
        begin = self._at
        node = self._binary(level + 1)
        while (sign := self.next) in _BINARY[level]:
            self._at += 1
            node = self._node("binary", sign or "", (node, self._binary(level + 1)), begin)
        return node

    def _unary(self) -> Node:
        begin = self._at
        for sign in ("!", "-"):
            if self._take(sign):
                return self._node("unary", sign, (self._unary(),), begin)
        return self._member()

    def _member(self) -> Node:
        begin = self._at
        node = self._primary()
        while True:
            if self._take("."):
                name = self._name()
                if self._take("("):
                    node = self._node("method", name, (node, *self._items(")", self.choice)), begin)
                else:
                    node = self._node("field", name, (node,), begin)
            elif self._take("["):
                key = self.choice()
                self._want("]")
                node = self._node("index", "[", (node, key), begin)
            else:
                return node

    def _primary(self) -> Node:
        begin = self._at
        if self._take("("):
            inner = self.choice()
            self._want(")")
            return inner
        if self._take("["):
            return self._node("list", "[", tuple(self._items("]", self.choice)), begin)
        if self._take("{"):
            return self._node("map", "{", tuple(self._items("}", self._entry)), begin)
        if self.next is None:
            raise Unreadable(self._source)
        token = self._tokens[self._at]
        kind = token.lastgroup or ""
        if kind == "name" and token.group() not in _WORDS:
            name = self._name()
            if self._take("("):
                return self._node("call", name, tuple(self._items(")", self.choice)), begin)
            return self._node("name", name, (), begin)
        self._at += 1
        kind = _WORDS.get(token.group(), kind)
        if kind == "sign":
            raise Unreadable(self._source)
        return self._node("literal", kind, (), begin)

    def _entry(self) -> Node:
        begin = self._at
        key = self.choice()
        self._want(":")
        return self._node("entry", ":", (key, self.choice()), begin)

    def _items(self, end: str, item: Callable[[], Node]) -> list[Node]:
        found: list[Node] = []
        while not self._take(end):
            if found:
                self._want(",")
                if self._take(end):
                    break
            found.append(item())
        return found

    def _name(self) -> str:
        token = self._tokens[self._at] if self.next is not None else None
        if token is None or not token["name"]:
            raise Unreadable(self._source)
        self._at += 1
        return token.group()

    def _take(self, sign: str) -> bool:
        if self.next != sign:
            return False
        self._at += 1
        return True

    def _want(self, sign: str) -> None:
        if not self._take(sign):
            raise Unreadable(self._source)

    def _node(self, kind: str, word: str, parts: tuple[Node, ...], begin: int) -> Node:
        first, last = self._tokens[begin], self._tokens[self._at - 1]
        return Node(kind, word, parts, self._source[first.start() : last.end()])
