"""Loads playbooks: a folder with one YAML file per remedy. Strict, and by trial: every expression is evaluated on
values of the declared types when it is loaded, so that a wrong name or type is found before an action meets it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import msgspec
import orjson

from config.actions import Value, ValueType
from config.clock import DAY, micros
from config.duration import parse_duration
from config.errors import ExpressionError, PlaybookError
from config.expression_types import Type, check_types
from config.expressions import Bound, Expression, compile_expression
from config.playbooks.model import (
    PROVIDED,
    Inverse,
    InverseDocument,
    NamedType,
    Parameter,
    ParameterDocument,
    Playbook,
    PlaybookDocument,
    Retry,
    RetryDocument,
    Step,
    StepDocument,
    Verify,
    VerifyDocument,
    checked,
)
from config.shapes import nearest
from config.yaml_source import Source

FOLDER = Path(__file__).parent
ATTEMPTS_MAX = 20
RUNGS_MAX = 5

Samples = Mapping[str, tuple[Any, ...]]

_SAMPLES: Mapping[ValueType, tuple[Value, ...]] = {
    "string": ("a", ""),
    "number": (1.0, 0.0, -5.0, 1e6),
    "bool": (True, False),
    "instant": (400 * DAY, 0),
}
"""Values that expressions are tried on: both branches of most conditions are taken by one of them."""


def load_playbooks(folder: Path = FOLDER) -> dict[str, Playbook]:
    """Load every playbook of `folder`; by name, in order of name.

    Raises:
        PlaybookError: the folder is missing or has none, or one of them is at fault.
    """
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise PlaybookError(f"{folder}: there are no playbooks.", remedy="Name a folder with *.yaml files.")
    playbooks = [load_playbook(file) for file in files]
    return {playbook.name: playbook for playbook in playbooks}


def load_playbook(file: Path) -> Playbook:
    """Load and check one playbook.

    Raises:
        PlaybookError: it cannot be read, a field is missing, unknown, empty or of another type, or an expression
            does not fit; the message names file and field.
    """
    return _Loader(Source(file, PlaybookDocument, PlaybookError, {"": "docs/remediation.md"})).load()


class _Loader:
    """Makes a playbook of a document; names file, line and field in every message."""

    def __init__(self, source: Source[PlaybookDocument]) -> None:
        self._source, self._document = source, source.document
        document = source.document
        declared = {name: NamedType(type_) for name, type_ in PROVIDED.items()} | document.inputs | document.facts
        self._samples: Samples = {name: _samples(named) for name, named in declared.items()}
        self._types: dict[str, Type] = {name: named.type for name, named in declared.items()}
        self._nouns = dict.fromkeys(PROVIDED, "name") | dict.fromkeys(document.inputs, "parameter")

    def load(self) -> Playbook:
        document = self._document
        file = self._source.file
        if document.playbook != file.stem:
            self._fail("playbook", f"is {document.playbook!r}, but the file is named {file.name!r}")
        for name in ("owner", "escalation", "version", "description"):
            if not getattr(document, name).strip():
                self._fail(name, "is empty")
        taken = [*PROVIDED, *document.inputs, *document.facts]
        for name in taken:
            if taken.count(name) > 1:
                self._fail(name, "is declared twice, or is provided already")
        if not document.steps:
            self._fail("steps", "are missing")
        ids = [step.id for step in document.steps]
        for step_id in ids:
            if ids.count(step_id) > 1 or not step_id.strip():
                self._fail(f"steps: {step_id}", "is empty, or stands twice")
        rungs = [step.rung for step in document.steps]
        if (
            rungs != sorted(rungs)
            or sorted(set(rungs)) != list(range(1, len(set(rungs)) + 1))
            or max(rungs) > RUNGS_MAX
        ):
            self._fail("steps: rung", f"goes {rungs}; rungs begin at 1, rise by one and are at most {RUNGS_MAX}")
        steps, verify = tuple(self._step(step) for step in document.steps), self._verify(document.verify)
        for step in steps:
            if verify.otherwise == "compensate" and step.inverse is not None and step.inverse.within <= verify.after:
                self._fail(
                    f"steps: {step.id}: inverse: within",
                    "is over before `verify: after`, so what did not help could not be taken back",
                )
        return Playbook(
            name=document.playbook,
            owner=document.owner,
            escalation=document.escalation,
            version=document.version,
            description=document.description,
            inputs=document.inputs,
            facts=document.facts,
            steps=steps,
            verify=verify,
            always_approved=document.approval == "always",
            digest=_digest(document),
        )

    def _step(self, step: StepDocument) -> Step:
        where = f"steps: {step.id}"
        if (step.inverse is None) == (not step.irreversible.strip()):
            self._fail(where, "needs either an inverse, or irreversible: and why")
        return Step(
            id=step.id,
            target=self._name(where, "target", step.target),
            operation=self._name(where, "operation", step.operation),
            entity=self._expression(f"{where}: entity", step.entity, "string"),
            parameters=self._parameters(where, step.parameters),
            precondition=self._expression(f"{where}: precondition", step.precondition, "bool"),
            timeout=self._span(f"{where}: timeout", step.timeout, least=1),
            retry=self._retry(where, step.retry),
            inverse=None if step.inverse is None else self._inverse(f"{where}: inverse", step.inverse),
            irreversible=step.irreversible,
            rung=step.rung,
        )

    def _inverse(self, where: str, inverse: InverseDocument) -> Inverse:
        return Inverse(
            operation=self._name(where, "operation", inverse.operation),
            within=self._span(f"{where}: within", inverse.within, least=1),
            parameters=self._parameters(where, inverse.parameters),
            precondition=self._expression(f"{where}: precondition", inverse.precondition, "bool"),
        )

    def _retry(self, where: str, retry: RetryDocument) -> Retry:
        if not 1 <= retry.attempts <= ATTEMPTS_MAX:
            self._fail(f"{where}: retry: attempts", f"is {retry.attempts}, not 1 to {ATTEMPTS_MAX}")
        if not 0.0 <= retry.jitter < 1.0:
            self._fail(f"{where}: retry: jitter", f"is {retry.jitter}, not a share below 1")
        first, most = (self._span(f"{where}: retry: {n}", getattr(retry, n), least=1) for n in ("first", "most"))
        return Retry(retry.attempts, first, max(first, most), retry.jitter)

    def _verify(self, verify: VerifyDocument) -> Verify:
        states = {when: {n: _SAMPLES[t][0] for n, t in verify.reads.items()} for when in ("before", "after")}
        others = {when: {n: _SAMPLES[t][1] for n, t in verify.reads.items()} for when in ("before", "after")}
        for name in verify.unchanged:
            if name in verify.reads:
                self._fail(f"verify: unchanged: {name}", "is among what it reads: it is meant to change")
        samples = dict(self._samples)
        samples |= {when: (states[when], others[when]) for when in ("before", "after")}
        reads: dict[str, Type] = {**verify.reads}
        return Verify(
            target=self._name("verify", "target", verify.target),
            entity=self._expression("verify: entity", verify.entity, "string"),
            reads=verify.reads,
            after=self._span("verify: after", verify.after),
            patience=self._span("verify: patience", verify.patience),
            holds=self._expression("verify: holds", verify.holds, "bool", samples, {"before": reads, "after": reads}),
            unchanged=tuple(verify.unchanged),
            otherwise=verify.otherwise,
        )

    def _parameters(self, where: str, parameters: Mapping[str, ParameterDocument]) -> dict[str, Parameter]:
        made = {}
        for name, parameter in parameters.items():
            at = f"{where}: parameters: {name}"
            expression = self._expression(at, parameter.value, parameter.type, nullable=parameter.nullable)
            made[name] = Parameter(parameter.type, expression, parameter.nullable)
        return made

    def _expression(
        self,
        where: str,
        source: str,
        value_type: ValueType,
        samples: Samples | None = None,
        types: Mapping[str, Type] = MappingProxyType({}),
        *,
        nullable: bool = False,
    ) -> Expression:
        samples = self._samples if samples is None else samples
        try:
            expression = compile_expression(source)
        except ExpressionError as error:
            self._fail(where, f"cannot be read: {error.message}", error.remedy)
        for name in sorted(expression.names):
            if name not in samples:
                self._fail(where, f"uses {name!r}, which is neither declared nor provided", nearest(name, samples))
        try:
            check_types(source, {**self._types, **types}, value_type, self._nouns, nullable=nullable)
        except ExpressionError as error:
            said = f"{error.remedy} Types are declared under inputs, facts and reads."
            self._fail(where, f"does not yield a {value_type}: {error.message}", said)
        for values in _trials({name: samples[name] for name in sorted(expression.names)}):
            try:
                checked(expression.value(Bound(values)), value_type, nullable=nullable)
            except ExpressionError as error:
                null = next((name for name, value in values.items() if value is None), None)
                hint = f"Say what holds where {null!r} is null." if null else "Its names have the declared types."
                self._fail(where, f"does not yield a {value_type}: {error.message}", hint)
        return expression

    def _span(self, where: str, text: str, least: int = 0) -> int:
        try:
            span = micros(parse_duration(text))
        except ValueError as error:
            self._fail(where, f"is no span: {error}", "Write a span such as 30m.")
        if span < least:
            self._fail(where, "is no time at all")
        return span

    def _name(self, where: str, field: str, text: str) -> str:
        if not text.replace("_", "").replace("-", "").isalnum() or not text.isascii():
            self._fail(f"{where}: {field}", f"is {text!r}", "Use letters, digits, - and _.")
        return text

    def _fail(self, field: str, trouble: str, remedy: str = "") -> NoReturn:
        raise PlaybookError(f"{self._at(field)}: {field} {trouble}.", remedy=remedy or f"Correct `{field}`.")

    def _at(self, field: str) -> str:
        """Return `file:line` of a field as messages name it: `steps: message: retry: attempts`."""
        path: list[str | int] = list(field.split(": "))
        ids = [step.id for step in self._document.steps]
        if path[0] == "steps" and len(path) > 1 and path[1] in ids:
            path[1] = ids.index(str(path[1]))
        return self._source.at(*path)


def _samples(named: NamedType) -> tuple[Value, ...]:
    return (*_SAMPLES[named.type], *((None,) if named.nullable else ()))


def _trials(samples: Mapping[str, Iterable[Any]]) -> Iterator[dict[str, Any]]:
    """Yield the first sample of each name, then with one name at a time another, then all their last ones."""
    lists = {name: list(values) for name, values in samples.items()}
    first = {name: values[0] for name, values in lists.items()}
    yield first
    for name, values in lists.items():
        for value in values[1:]:
            yield first | {name: value}
    yield {name: values[-1] for name, values in lists.items()}


def _digest(document: PlaybookDocument) -> str:
    content = orjson.dumps(msgspec.to_builtins(document), option=orjson.OPT_SORT_KEYS)
    return blake2b(content, digest_size=16).hexdigest()
