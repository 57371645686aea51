"""What a playbook is: typed steps against target systems, each with what undoes it, and how to see that it helped.

The `*Document` structs are the YAML as it is written (unknown fields are refused); `Playbook` and its parts are what
is made of them, with expressions compiled. Spans are microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from config.actions import INSTANT_END, TEXT_MAX, Action, Value, ValueType
from config.clock import from_text, to_text
from config.errors import ExpressionError
from config.expressions import Bound, Expression

Otherwise = Literal["compensate", "escalate"]

NUMBER_MAX = 1e18

PROVIDED: Mapping[str, ValueType] = {
    "action_id": "string",
    "case_id": "string",
    "decision_id": "string",
    "remedy": "string",
    "entity": "string",
    "entity_kind": "string",
    "entity_id": "string",
    "customer": "string",
    "agent": "string",
    "kind": "string",
    "at": "instant",
    "valid_until": "instant",
    "now": "instant",
}
"""What every expression may use: what the action says, and the time at which it is looked at."""


class NamedType(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that an action brings: a parameter, or a fact that was decided on."""

    type: ValueType
    description: str = ""
    nullable: bool = False


class ParameterDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A parameter of a request to a target."""

    type: ValueType
    value: str
    """A CEL expression."""
    nullable: bool = False


class RetryDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often something is tried, and how long to wait in between."""

    attempts: int = 4
    first: str = "1s"
    most: str = "1m"
    jitter: float = 0.3


class InverseDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What undoes a step."""

    operation: str
    within: str
    """So long after the effect it can still be undone: `24h`."""
    parameters: dict[str, ParameterDocument] = {}
    precondition: str = "true"


class StepDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request to one target."""

    id: str
    target: str
    operation: str
    entity: str
    """A CEL expression: whom or what it is done to, `customer` or `entity`."""
    parameters: dict[str, ParameterDocument] = {}
    precondition: str = "true"
    """Where it does not hold the step is refused, and with it the action."""
    timeout: str = "5s"
    retry: RetryDocument = RetryDocument()
    inverse: InverseDocument | None = None
    irreversible: str = ""
    """Why nothing undoes it; only without an inverse."""
    rung: int = 1
    """Steps of rung 2 are taken where those of rung 1 were ineffective, and so on."""


class VerifyDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to see whether it helped."""

    target: str
    entity: str
    """A CEL expression: whose state is read, before and after."""
    reads: dict[str, ValueType]
    """What of the state `holds` looks at."""
    after: str
    """How long to wait until the effect shows."""
    holds: str
    """A CEL expression over `before` and `after`: it helped."""
    patience: str = "1h"
    """So long after that the state is asked for, when it cannot be read."""
    unchanged: list[str] = []
    """What of the state must be as it was: a change of it is collateral."""
    otherwise: Otherwise = "escalate"
    """What to do where the last rung was ineffective."""


class PlaybookDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of this folder."""

    playbook: str
    owner: str
    escalation: str
    """Who is asked when it cannot be carried out."""
    version: str
    description: str
    steps: list[StepDocument]
    verify: VerifyDocument
    inputs: dict[str, NamedType] = {}
    """Parameters of the action."""
    facts: dict[str, NamedType] = {}
    """Facts of the action that expressions use."""
    approval: Literal["by-policy", "always"] = "by-policy"
    """`always`: whatever a policy says, it is not carried out without a person's consent."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a request, ready to be evaluated."""

    type: ValueType
    value: Expression
    nullable: bool

    def of(self, bound: Bound) -> Value:
        """Return its value; an instant as RFC 3339 text.

        Raises:
            ExpressionError: it cannot be evaluated, or is of another type or beyond bounds.
        """
        value = checked(self.value.value(bound), self.type, nullable=self.nullable)
        return to_text(value) if self.type == "instant" and isinstance(value, int) else value


@dataclass(frozen=True, slots=True)
class Retry:
    """How often something is tried: waits double from `first` to `most`, varied by a share of `jitter`."""

    attempts: int
    first: int
    most: int
    jitter: float


@dataclass(frozen=True, slots=True)
class Inverse:
    """What undoes a step."""

    operation: str
    within: int
    parameters: Mapping[str, Parameter]
    precondition: Expression


@dataclass(frozen=True, slots=True)
class Step:
    """One request to one target."""

    id: str
    target: str
    operation: str
    entity: Expression
    parameters: Mapping[str, Parameter]
    precondition: Expression
    timeout: int
    retry: Retry
    inverse: Inverse | None
    irreversible: str
    rung: int


@dataclass(frozen=True, slots=True)
class Verify:
    """How to see whether it helped."""

    target: str
    entity: Expression
    reads: Mapping[str, ValueType]
    after: int
    patience: int
    holds: Expression
    unchanged: tuple[str, ...]
    otherwise: Otherwise


@dataclass(frozen=True)
class Playbook:
    """A loaded, checked playbook."""

    name: str
    owner: str
    escalation: str
    version: str
    description: str
    inputs: Mapping[str, NamedType]
    facts: Mapping[str, NamedType]
    steps: tuple[Step, ...]
    verify: Verify
    always_approved: bool
    digest: str
    """BLAKE2b-128 over the canonical content: comments and layout do not count."""

    @property
    def targets(self) -> frozenset[str]:
        """The systems it asks anything of."""
        return frozenset(step.target for step in self.steps) | {self.verify.target}

    @property
    def is_reversible(self) -> bool:
        """Whether every step has something that undoes it."""
        return all(step.inverse is not None for step in self.steps)

    def step(self, step_id: str) -> Step | None:
        """Return the step of that id; None where this version has none."""
        return next((step for step in self.steps if step.id == step_id), None)

    def values(self, action: Action) -> dict[str, Any]:
        """Return what expressions may use of an action, all but `now`.

        Raises:
            ExpressionError: a parameter or fact is missing, or of another type than is declared.
        """
        kind, _, entity_id = action.about.partition(":")
        values: dict[str, Any] = {
            "action_id": action.action_id,
            "case_id": action.case_id,
            "decision_id": action.decision_id,
            "remedy": action.remedy,
            "entity": action.about,
            "entity_kind": kind if entity_id else "",
            "entity_id": entity_id or kind,
            "customer": action.customer,
            "agent": action.agent,
            "kind": action.kind,
            "at": action.at,
            "valid_until": action.valid_until,
        }
        for what, declared, given in (
            ("parameter", self.inputs, action.parameters),
            ("fact", self.facts, action.facts),
        ):
            for name, named in declared.items():
                try:
                    values[name] = checked(given.get(name), named.type, nullable=named.nullable)
                except ExpressionError as error:
                    raise ExpressionError(f"{what} {name!r} {error.message}") from None
        return values


def checked(value: Any, value_type: ValueType, *, nullable: bool = False) -> Value:
    """Return `value` as the type says: numbers as floats, instants as microseconds.

    Raises:
        ExpressionError: it is of another type, or beyond bounds; the message tells its type and not its value.
    """
    if value is None and nullable:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value_type == "number" and number and -NUMBER_MAX <= value <= NUMBER_MAX:
        return float(value)
    if value_type == "bool" and isinstance(value, bool):
        return value
    if value_type == "string" and isinstance(value, str) and len(value) <= TEXT_MAX:
        return value
    if value_type == "instant":
        if isinstance(value, str) and len(value) <= TEXT_MAX:
            try:
                return from_text(value)
            except (ValueError, OverflowError):
                raise ExpressionError("is text that is no instant") from None
        if isinstance(value, int) and number and -INSTANT_END < value < INSTANT_END:
            return value
    raise ExpressionError(f"is no {value_type} within bounds, but {type(value).__name__}")
