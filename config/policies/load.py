"""Loads a policy bundle: a folder with `bundle.yaml` and the decision tables it lists. Strict: what is not
understood is an error, since a rule that is silently void is worse than a job that does not start.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import orjson
import yaml

from config.clock import DAY
from config.duration import parse_duration
from config.errors import ExpressionError, PolicyError
from config.expressions import Bound, Expression, compile_expression, split_conjuncts
from config.policies.bundle import (
    DEFAULT_RULE,
    PLACEHOLDER,
    PROVIDED,
    Bundle,
    BundleDocument,
    FactDocument,
    Remedy,
    RemedyDocument,
    Rule,
    RuleDocument,
    TableDocument,
    Value,
)
from config.yaml_text import read_yaml

D = TypeVar("D", BundleDocument, TableDocument)

DEFAULT_FOLDER = Path(__file__).parent / "default"

_SAMPLES: dict[str, Value] = {"string": "", "number": 1.0, "bool": True, "instant": DAY}


def load_default() -> Bundle:
    """Return the bundle that comes with Forestall."""
    return load_bundle(DEFAULT_FOLDER)


def load_bundle(folder: Path) -> Bundle:
    """Load and check the bundle in `folder`.

    Raises:
        PolicyError: a file is missing or not YAML, a field is unknown, missing or empty, a name is not declared,
            or a condition cannot be read; the message names file, line and rule.
    """
    main = folder / "bundle.yaml"
    document, _ = _read(main, BundleDocument)
    _require(main, {"owner": document.owner, "escalation": document.escalation, "version": document.version})
    _require(main, {f"facts.{name}.description": fact.description for name, fact in document.facts.items()})
    for name, fact in document.facts.items():
        _check_fact(f"{main}: fact {name!r}", name, fact)
    if document.effective_from.tzinfo is None:
        raise PolicyError(f"{main}: effective_from has no offset from UTC", remedy="Write it as 2026-01-31T00:00:00Z.")
    unlisted = sorted(path.name for path in folder.glob("*.yaml") if path.name not in {*document.tables, main.name})
    if unlisted:
        raise PolicyError(
            f"{main}: tables do not list {unlisted[0]}", remedy=f"Add {unlisted[0]} to tables, or remove the file."
        )
    tables = [_table(folder / name, document) for name in document.tables]
    default = document.default
    _known(f"{main}: default", "remedy", [default.remedy] if default.remedy else [], document.remedies)
    _known(f"{main}: default reason", "fact", PLACEHOLDER.findall(default.reason), document.facts)
    always = compile_expression("true")
    return Bundle(
        name=document.name,
        owner=document.owner,
        escalation=document.escalation,
        version=document.version,
        effective_from=document.effective_from,
        hash=_hash(document, [table for table, _ in tables]),
        facts=document.facts,
        remedies={name: _remedy(main, name, remedy) for name, remedy in document.remedies.items()},
        tables=tuple((tuple(table.kinds), rules) for table, rules in tables),
        default=Rule(DEFAULT_RULE, always, (always,), default.outcome, default.remedy, default.reason, {}),
    )


def _check_fact(where: str, name: str, fact: FactDocument) -> None:
    if fact.feature:
        if name in PROVIDED:
            raise PolicyError(f"{where} is provided, and takes a feature too", remedy="Give it another name.")
        if not fact.nullable:
            raise PolicyError(f"{where}: a feature may be absent", remedy="Declare it nullable: true.")
        return
    _known(where, "fact", [name], PROVIDED)
    provided = PROVIDED[name]
    if (fact.type, fact.nullable) != provided:
        wanted = f"type: {provided[0]}, nullable: {str(provided[1]).lower()}"
        raise PolicyError(f"{where} is not what it is declared as", remedy=f"Declare it {wanted}.")


def _hash(document: BundleDocument, tables: list[TableDocument]) -> str:
    # How the tables are spread over files is layout: their content stands in for their names.
    content = msgspec.to_builtins(document) | {"tables": msgspec.to_builtins(tables)}
    return blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


def _remedy(file: Path, name: str, document: RemedyDocument) -> Remedy:
    try:
        valid_for = parse_duration(document.valid_for)
    except ValueError as error:
        raise PolicyError(f"{file}: remedy {name!r}: valid_for: {error}", remedy="Write a span such as 4h.") from None
    return Remedy(
        name,
        document.system,
        valid_for,
        document.contacts_customer,
        document.moves_money,
        document.reversible,
        document.side_effect,
    )


def _table(file: Path, bundle: BundleDocument) -> tuple[TableDocument, tuple[Rule, ...]]:
    document, lines = _read(file, TableDocument)
    _require(file, {"owner": document.owner})
    rules: list[Rule] = []
    for rule, line in zip(document.rules, lines, strict=True):
        where = f"{file}:{line}: rule {rule.id!r}"
        if any(f"{document.table}/{rule.id}" == other.id for other in rules):
            raise PolicyError(f"{where}: this id is taken", remedy="Give each rule of a table its own id.")
        rules.append(_rule(where, document.table, rule, bundle))
    return document, tuple(rules)


def _rule(where: str, table: str, rule: RuleDocument, bundle: BundleDocument) -> Rule:
    if rule.outcome in ("act", "approve") and not rule.remedy:
        raise PolicyError(f"{where}: outcome {rule.outcome!r} without a remedy", remedy="Say what shall be done.")
    if rule.remedy:
        _known(where, "remedy", [rule.remedy], bundle.remedies)
    texts = [rule.reason, *(value for value in rule.parameters.values() if isinstance(value, str))]
    for text in texts:
        _known(where, "fact", PLACEHOLDER.findall(text), bundle.facts)
    when = _condition(where, rule.when, bundle.facts)
    conjuncts = tuple(_condition(where, part, bundle.facts) for part in split_conjuncts(rule.when))
    for name in sorted(when.names):
        if bundle.facts[name].nullable:
            _check_null(where, name, conjuncts, bundle.facts)
    return Rule(f"{table}/{rule.id}", when, conjuncts, rule.outcome, rule.remedy, rule.reason, rule.parameters)


def _condition(where: str, source: str, facts: Mapping[str, FactDocument]) -> Expression:
    try:
        expression = compile_expression(source)
    except ExpressionError as error:
        raise PolicyError(f"{where}: broken expression: {error.message}", remedy=error.remedy or "Fix it.") from None
    _known(where, "fact", sorted(expression.names), facts)
    try:
        # A trial on one value of each type finds a number compared with text before an event does.
        expression.holds(Bound({name: _SAMPLES[facts[name].type] for name in expression.names}))
    except ExpressionError as error:
        raise PolicyError(
            f"{where}: expression does not fit the types of its facts: {error.message}",
            remedy="Compare numbers with numbers and text with text; the types are declared in bundle.yaml.",
        ) from None
    return expression


def _check_null(where: str, name: str, conjuncts: Iterable[Expression], facts: Mapping[str, FactDocument]) -> None:
    """Check that a rule does not fail, and so escalate, whenever the fact `name` is null."""
    broken = False
    for part in conjuncts:
        if name in part.names:
            samples = {other: _SAMPLES[facts[other].type] for other in part.names}
            try:
                if not part.holds(Bound(samples | {name: None})):
                    return  # A false conjunct decides, whatever the others are.
            except ExpressionError:
                broken = True
    if broken:
        raise PolicyError(f"{where}: fact {name!r} may be null", remedy=f"Write {name} != null && before it is used.")


def _known(where: str, what: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.5)
            hint = (
                f"Did you mean {near[0]!r}?"
                if near
                else f"Known: {', '.join(known)}; others are declared in bundle.yaml."
            )
            raise PolicyError(f"{where}: unknown {what} {name!r}", remedy=hint)


def _require(file: Path, fields: Mapping[str, str]) -> None:
    for name, value in fields.items():
        if not value.strip():
            raise PolicyError(f"{file}: {name} is empty", remedy=f"Fill in {name}.")


def _read(file: Path, kind: type[D]) -> tuple[D, list[int]]:
    """Return the document, and the line of each rule."""
    try:
        content = read_yaml(file.read_text("utf-8"), _StrictLoader)
        node = yaml.compose(file.read_text("utf-8"), Loader=yaml.CSafeLoader)
    except OSError as error:
        raise PolicyError(f"{file}: cannot be read: {error.strerror}", remedy="Add it, or leave it out.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PolicyError(f"{file}: not YAML: {' '.join(str(error).split())}", remedy="Fix the file.") from None
    try:
        return msgspec.convert(content, kind), _rule_lines(node)
    except msgspec.ValidationError as error:
        raise PolicyError(f"{file}: {error}", remedy="See docs/decisions.md for the fields of a bundle.") from None


def _rule_lines(node: yaml.Node | None) -> list[int]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "rules" and isinstance(value, yaml.SequenceNode):
                return [item.start_mark.line + 1 for item in value.value]
    return []


class _StrictLoader(yaml.CSafeLoader):
    """YAML in which a repeated key is an error: the second would silently replace the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)
