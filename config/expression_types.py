"""Whether a condition fits the types of its facts, told before it is evaluated on any.

CEL's engine finds at run time that a number is less than no text; but `kind == 3` is false for it, whatever `kind` is,
and `false && x` is false where `x` is an error. So what can never hold, or fails only sometimes, is found here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import NoReturn

from config.clock import from_text
from config.errors import ExpressionError
from config.expression_tree import Node, Unreadable, parse

Type = str | Mapping[str, "Type"]
"""Of a fact: `string`, `number` (a double), `bool`, `instant` (an int); of a part of a condition also `int`, `uint`,
`bytes`, `null`, `list`, `map`, and `any` for what is not known. A mapping is a record's, by field."""

_CEL = {"number": "double", "instant": "int"}
"""What a fact's type is to CEL."""
_NUMBERS = frozenset({"int", "uint", "double"})
_ORDERED = _NUMBERS | {"string", "bool", "bytes"}
_SUMMED = _NUMBERS | {"string", "bytes", "list"}
_SHOWN = {
    "string": "a string",
    "double": "a number",
    "int": "a number",
    "uint": "a number",
    "number": "a number",
    "bool": "a bool",
    "instant": "an instant",
    "bytes": "bytes",
    "null": "null",
    "list": "a list",
    "map": "a mapping",
    "record": "a record",
}
_ALLOWED: Mapping[str, Collection[str]] = {"number": _NUMBERS, "instant": _NUMBERS | {"string"}}
"""What may be written where a type of facts is wanted: an instant also as RFC 3339 text."""
_ORDERS = frozenset({"<", "<=", ">", ">="})
_METHODS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "contains": (("string", "string"), "bool"),
    "startsWith": (("string", "string"), "bool"),
    "endsWith": (("string", "string"), "bool"),
    "matches": (("string", "string"), "bool"),
}
"""What they are called on and with, and what they yield."""
_CONVERSIONS: Mapping[str, frozenset[str]] = {
    "int": _NUMBERS | {"string"},
    "double": _NUMBERS | {"string"},
    "string": _NUMBERS | {"string", "bytes"},
}
_SIZED = frozenset({"string", "bytes", "list", "map", "record"})
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
EMPTY: Mapping[str, str] = MappingProxyType({})
_MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})


class TypeFault(ExpressionError):
    """Parts of a condition do not go together."""


def check_types(
    source: str,
    types: Mapping[str, Type],
    wanted: str = "bool",
    nouns: Mapping[str, str] = EMPTY,
    *,
    nullable: bool = False,
) -> None:
    """Check that all parts of an expression that compiles go together, and that it yields what is `wanted`.

    Args:
        source: The expression.
        types: The type of each name. What may be null is of its type where it is not.
        wanted: The type of the whole, as of a fact.
        nouns: What messages call the names that are no facts: `threshold`.
        nullable: Whether the whole may be null.

    Raises:
        TypeFault: they do not; the message names the parts and their types, the remedy what could stand there.
    """
    try:
        tree = parse(source)
    except Unreadable:
        return
    what = "a condition" if wanted == "bool" else "the whole"
    _Checker(types, {**dict.fromkeys(types, "fact"), **nouns}).want(tree, wanted, what, nullable=nullable)


def _cel(found: Type) -> str:
    """Return what a type is to CEL."""
    return _CEL.get(found, found) if isinstance(found, str) else "record"


def _instant(text: str) -> int | None:
    try:
        return from_text(text)
    except ValueError:
        return None


class _Checker:
    def __init__(self, names: Mapping[str, Type], nouns: Mapping[str, str]) -> None:
        self._names, self._nouns = names, nouns

    def type_of(self, node: Node) -> Type:
        """Return the type of a part, its own parts checked."""
        match node.kind:
            case "literal":
                return node.word
            case "name":
                return self._names.get(node.word, "any")
            case "unary":
                return self._unary(node)
            case "binary":
                return self._binary(node)
            case "choice":
                self.want(node.parts[0], "bool", f"the condition of {node.source!r}")
                return self._either(node, *node.parts[1:])
            case "list" | "map" | "entry":
                for part in node.parts:
                    self.type_of(part)
                return node.kind
            case "field":
                return self._field(node)
            case "index":
                return self._index(node)
            case _:
                return self._called(node)

    def want(self, node: Node, wanted: str, what: str, *, nullable: bool = False) -> None:
        """Check that a part is of a type, as facts are."""
        found = _cel(self.type_of(node))
        if node.kind == "choice":
            for part in node.parts[1:]:
                self.want(part, wanted, what, nullable=nullable)
        elif found not in (*_ALLOWED.get(wanted, (wanted,)), "any") and not (nullable and found == "null"):
            example = {"string": " == 'a'", "double": " > 0.5", "int": " > 0"}.get(found, " == …")
            hint = f"Compare it: {node.source}{example}." if wanted == "bool" else f"Write what is {_SHOWN[wanted]}."
            self._fail(f"{self._said(node)}, and {what} has to be {_SHOWN[wanted]}", hint)

    def _either(self, node: Node, left: Node, right: Node) -> Type:
        one, other = self.type_of(left), self.type_of(right)
        if "null" in (one, other) or _cel(one) == _cel(other):
            return other if one == "null" else one
        if {_cel(one), _cel(other)} <= _NUMBERS or "any" in (one, other):
            return "any"
        return self._fail(
            f"{self._said(left)}, but {self._said(right)}, and {node.source!r} yields the one or the other",
            "Let both be of one type.",
        )

    def _unary(self, node: Node) -> Type:
        (part,) = node.parts
        if node.word == "!":
            self.want(part, "bool", f"what {node.source!r} negates")
            return "bool"
        found = _cel(self.type_of(part))
        if found not in ("int", "double", "any"):
            self._fail(
                f"{self._said(part)}, of which {node.source!r} takes the negative", "Only of numbers there is one."
            )
        return found

    def _binary(self, node: Node) -> Type:
        sign, (left, right) = node.word, node.parts
        if sign in ("&&", "||"):
            for part in node.parts:
                self.want(part, "bool", f"each side of {sign}")
            return "bool"
        if sign == "in":
            self._membership(node, left, right)
            return "bool"
        one, other = (_cel(self.type_of(part)) for part in node.parts)
        if sign in ("==", "!="):
            self._equal(node, left, right)
            return "bool"
        if sign in _ORDERS:
            fit = one in _ORDERED and other in _ORDERED and (one == other or {one, other} <= _NUMBERS)
            if not fit and "any" not in (one, other):
                self._clash(node, left, right)
            return "bool"
        return self._calculated(node, one, other)

    def _calculated(self, node: Node, one: str, other: str) -> Type:
        left, right = node.parts
        if "any" in (one, other):
            return "any"
        able = _SUMMED if node.word == "+" else {"int", "uint"} if node.word == "%" else _NUMBERS
        if one == other and one in able:
            return one
        if one == other or not {one, other} <= _NUMBERS:
            return self._clash(node, left, right)
        whole = left if one != "double" else right
        hint = f"Write {whole.source}.0." if whole.kind == "literal" else f"Write double({whole.source})."
        return self._fail(f"{node.source!r} mixes whole numbers with others, which CEL cannot calculate with", hint)

    def _membership(self, node: Node, left: Node, right: Node) -> None:
        self.type_of(left)
        found = _cel(self.type_of(right))
        if right.kind == "list":
            for item in right.parts:
                self._equal(node, left, item)
        elif found not in ("list", "map", "record", "any"):
            self._fail(f"{self._said(right)}, in which {node.source!r} looks", "Write a list behind `in`: ['a', 'b'].")

    def _equal(self, node: Node, left: Node, right: Node) -> None:
        one, other = (_cel(self.type_of(part)) for part in (left, right))
        if one != other and not {one, other} <= _NUMBERS and not {one, other} & {"any", "null"}:
            self._clash(node, left, right)

    def _field(self, node: Node) -> Type:
        found = self.type_of(node.parts[0])
        if isinstance(found, Mapping):
            if node.word not in found:
                known = ", ".join(found) or "none"
                self._fail(f"{node.parts[0].source!r} has no field {node.word!r}", f"It has {known}.")
            return found[node.word]
        if found not in ("any", "map"):
            self._fail(f"{self._said(node.parts[0])}, and has no field {node.word!r}", "Name a fact.")
        return "any"

    def _index(self, node: Node) -> Type:
        holder, key = node.parts
        self.type_of(key)
        if _cel(self.type_of(holder)) not in ("list", "map", "record", "any"):
            self._fail(f"{self._said(holder)}, of which {node.source!r} takes a part", "Name a fact.")
        return "any"

    def _called(self, node: Node) -> Type:
        if node.kind == "method" and node.word in _MACROS:
            return self._macro(node)
        found = [_cel(self.type_of(part)) for part in node.parts]
        if node.word == "has":
            return "bool"
        if node.word == "size":
            self._arguments(node, found, [_SIZED])
            return "int"
        if node.word in _CONVERSIONS and node.kind == "call":
            self._arguments(node, found, [_CONVERSIONS[node.word]])
            return node.word
        if node.word in _METHODS and node.kind == "method":
            wanted, yields = _METHODS[node.word]
            self._arguments(node, found, [{each} for each in wanted])
            return yields
        if node.word in _METHODS:
            first, *rest = node.parts or (node,)
            called = f"{first.source}.{node.word}({', '.join(part.source for part in rest)})"
            self._fail(f"{node.source!r} calls {node.word} without saying on what", f"Write {called}.")
        return "any"

    def _arguments(self, node: Node, found: Sequence[str], wanted: Sequence[frozenset[str] | set[str]]) -> None:
        if len(found) != len(wanted):
            self._fail(f"{node.source!r} calls {node.word} with too many or too few values", "See the CEL language.")
        for part, kind, allowed in zip(node.parts, found, wanted, strict=True):
            if kind not in allowed and kind != "any":
                names = sorted({_SHOWN[each] for each in allowed})
                self._fail(f"{self._said(part)}, and {node.word} takes {' or '.join(names)}", "Give it such a value.")

    def _macro(self, node: Node) -> Type:
        holder, variable, *rest = node.parts
        found = _cel(self.type_of(holder))
        if found not in ("list", "map", "record", "any"):
            self._fail(f"{self._said(holder)}, of which {node.source!r} takes each", "Write a list before it.")
        kinds = {_cel(self.type_of(item)) for item in holder.parts} if holder.kind == "list" else {"any"}
        each = kinds.pop() if len(kinds) == 1 else "any"
        nouns = {name: noun for name, noun in self._nouns.items() if name != variable.word}
        inner = _Checker({**self._names, variable.word: each}, nouns)
        for part in rest[:-1]:
            inner.want(part, "bool", f"what {node.word} asks of each")
        if node.word == "map":
            inner.type_of(rest[-1])
            return "list"
        inner.want(rest[-1], "bool", f"what {node.word} asks of each")
        return "list" if node.word == "filter" else "bool"

    def _clash(self, node: Node, left: Node, right: Node) -> NoReturn:
        fact, value = (right, left) if right.word in self._nouns and left.word not in self._nouns else (left, right)
        so = {"==": "is never true", "in": "looks in vain", "!=": "is always true"}.get(node.word, "is an error")
        self._fail(
            f"{self._said(fact)}, but {self._said(value)}, so {node.source!r} {so}", self._way_out(node, fact, value)
        )

    def _way_out(self, node: Node, fact: Node, value: Node) -> str:
        one, other = self._shown(fact), self._shown(value)
        if one == other:
            return f"CEL has no {node.word} for {one}."
        bare = value.source[1:-1]
        if one == "a string" and other in ("a number", "a bool") and value.kind == "literal":
            return f"Write '{value.source}', or compare what is {other}."
        if other == "a string" and value.kind == "literal":
            if (one == "a number" and _NUMBER.fullmatch(bare)) or (one == "a bool" and bare in ("true", "false")):
                return f"Write {bare} without quotes."
            if one == "an instant" and (instant := _instant(bare)) is not None:
                return f"Instants are microseconds since 1970: write {instant}."
        return f"Compare {fact.source} with {one}, or {value.source} with {other}."

    def _shown(self, node: Node) -> str:
        found = self.type_of(node)
        return _SHOWN.get(found if isinstance(found, str) else "record", "anything")

    def _said(self, node: Node) -> str:
        """Return what a part is, as a person reads it: `fact 'kind' is text`."""
        what = node.source
        if node.kind == "name" and node.word in self._nouns:
            what = f"{self._nouns[node.word]} {node.word!r}"
        return f"{what} is {self._shown(node)}"

    @staticmethod
    def _fail(trouble: str, hint: str) -> NoReturn:
        raise TypeFault(trouble, remedy=hint)
