"""The structure of a condition: which comparisons it is made of, and how `&&`, `||` and `!` join them.

CEL evaluates conditions; this only takes them apart, to tell which values of a fact they cannot tell from each other
(`config/policies/regions.py`). What it cannot take apart stays whole, as an atom that says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from config.expressions import Expression, compile_expression
from config.policies.documents import Value

_TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*)
      | (?P<text>[rRbB]{0,2}(?:'{3}.*?'{3}|\"{3}.*?\"{3}|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"))
      | (?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<sign>&&|\|\||[=!<>]=|.)""",
    re.VERBOSE | re.DOTALL,
)
_RELATIONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_EQUALITIES = frozenset({"==", "!="})
_WORDS: dict[str, Value] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Atom:
    """A part of a condition that is true or false by itself."""

    expression: Expression
    constants: tuple[Value, ...] | None
    """What its one fact is compared with; None for one that could not be taken apart: a calculation, a comparison of
    two facts, a function."""


@dataclass(frozen=True, slots=True)
class Negation:
    """`!part`."""

    part: Condition


@dataclass(frozen=True, slots=True)
class Every:
    """`a && b && …`."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """`a || b || …`."""

    parts: tuple[Condition, ...]


Condition = Atom | Negation | Every | Either


def take_apart(source: str) -> Condition:
    """Return the structure of a condition that compiles."""
    tokens = [match for match in _TOKEN.finditer(source) if match["skip"] is None]
    return _condition(source, tokens)


def atoms(condition: Condition) -> Iterator[Atom]:
    """Yield the atoms of a condition, from left to right."""
    match condition:
        case Atom():
            yield condition
        case Negation(part):
            yield from atoms(part)
        case Every(parts) | Either(parts):
            for part in parts:
                yield from atoms(part)


Tokens = Sequence[re.Match[str]]


def _condition(source: str, tokens: Tokens) -> Condition:
    top = list(_at_top(tokens))
    if "?" in top:
        return _atom(source, tokens)
    for sign, kind in (("||", Either), ("&&", Every)):
        if sign in top:
            return kind(tuple(_condition(source, part) for part in _split(tokens, sign)))
    if top[0] == "!" and not _RELATIONS & set(top):
        return Negation(_condition(source, tokens[1:]))
    if _is_wrapped(tokens):
        return _condition(source, tokens[1:-1])
    return _atom(source, tokens)


def _at_top(tokens: Tokens) -> Iterator[str]:
    """Yield the tokens that stand in no parentheses."""
    depth = 0
    for token in tokens:
        text = token.group()
        depth -= text in ")]}"
        if depth == 0:
            yield text
        depth += text in "([{"


def _split(tokens: Tokens, sign: str) -> Iterator[Tokens]:
    depth, begin = 0, 0
    for position, token in enumerate(tokens):
        text = token.group()
        depth += (text in "([{") - (text in ")]}")
        if depth == 0 and text == sign:
            yield tokens[begin:position]
            begin = position + 1
    yield tokens[begin:]


def _is_wrapped(tokens: Tokens) -> bool:
    """Return whether the first token is a parenthesis that the last one closes."""
    return tokens[0].group() == "(" and list(_at_top(tokens)) == ["(", ")"]


def _atom(source: str, tokens: Tokens) -> Atom:
    text = source[tokens[0].start() : tokens[-1].end()]
    return Atom(compile_expression(text), _constants(tokens))


def _constants(tokens: Tokens) -> tuple[Value, ...] | None:
    """Return what the one fact of an atom is compared with; None where it is anything but such a comparison."""
    texts = [token.group() for token in tokens]
    if len(texts) == 1:
        return (True,) if texts[0] not in _WORDS else ()
    if texts[1] == "in" and tokens[0]["name"] and texts[2] == "[" and texts[-1] == "]":
        return _literals(list(_split(tokens[3:-1], ",")))
    for fact, relation, literal in ((0, 1, tokens[2:]), (len(texts) - 1, len(texts) - 2, tokens[:-2])):
        named = tokens[fact]["name"] and texts[fact] not in _WORDS
        if named and texts[relation] in _RELATIONS - {"in"} and (found := _literals([literal])):
            ordered_text = isinstance(found[0], str) and texts[relation] not in _EQUALITIES
            return None if ordered_text else found
    return None


def _literals(items: Sequence[Tokens]) -> tuple[Value, ...] | None:
    values: list[Value] = []
    for item in items:
        while len(item) > 2 and _is_wrapped(item):
            item = item[1:-1]
        negative = len(item) == 2 and item[0].group() == "-" and item[1]["number"]
        token = item[-1] if len(item) == 1 or negative else None
        if token is None:
            return None
        text = token.group()
        if token["number"]:
            number = float(text) if re.search(r"[.eE]", text) else int(text)
            values.append(-number if negative else number)
        elif token["text"] and text[0] in "'\"" and "\\" not in text and text[:3] not in ("'''", '"""'):
            values.append(text[1:-1])
        elif text in _WORDS:
            values.append(_WORDS[text])
        else:
            return None
    return tuple(values)
