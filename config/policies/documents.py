"""The files of a policy bundle as they are written: what stands in `bundle.yaml`, and in the decision tables it lists.

Unknown fields are refused: a setting that is silently void is worse than a bundle that does not load.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

import msgspec

from config.policies.approvals import ApprovalsDocument
from config.policies.autonomy import AutonomyDocument
from config.policies.guardrails import GuardrailsDocument

Outcome = Literal["observe", "recommend", "approve", "act"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""From the least to the most that is done without a person."""

Mode = Literal["off", "shadow", "recommend", "supervised", "autonomous"]
"""How far a bundle lets a rule go: not at all; decided and recorded without effect; shown to a person; done with a
person's consent; as the rule says."""

FactType = Literal["string", "number", "bool", "instant"]
Value = str | float | int | bool | None


class FactDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fact that conditions may use."""

    type: FactType
    description: str
    nullable: bool = False
    feature: str = ""
    """The evidence feature of the finding that gives it; "" for a fact that the decision step itself provides."""
    hours_until: str = ""
    """The evidence feature, an instant, until which the hours are counted from the decision on; negative when past."""

    @property
    def reads(self) -> str:
        """The evidence feature that it is taken from; "" for none."""
        return self.feature or self.hours_until


class RemedyDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that can be done."""

    system: str
    """The target system: `crm`, `billing`, …"""
    description: str
    valid_for: str
    """How long the intent stays worth carrying out: `4h`."""
    side_effect: str = ""
    """The class of what it does; an agent's manifest grants its findings such classes."""
    owner: str = ""
    """Who answers for it; "" for the owner of the bundle."""
    contacts_customer: bool = False
    moves_money: bool = False
    money_max: float | None = None
    """The most that it moves, in the shop's currency; null for what is at risk in its case, however much."""
    reversible: bool = True


class RuleDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of a decision table."""

    id: str
    description: str
    when: str
    outcome: Outcome
    reason: str
    """For a person; `{fact}` is replaced by the fact's value, which is never evaluated."""
    remedy: str = ""
    owner: str = ""
    """Who answers for it; "" for the owner of the table."""
    parameters: dict[str, Value] = {}
    """Text may hold `{fact}`; a value that is nothing but `{fact}` is the fact's value itself."""


class ThresholdDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number that conditions, reasons and parameters call by name."""

    value: float
    description: str
    owner: str = ""
    """Who may change it; "" for the owner of the bundle."""
    evidence: str = ""
    """What it was chosen by: a back-test, a contract, a law."""


class FlagDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A switch that conditions ask for by name."""

    value: bool
    description: str
    expires: datetime
    """From then on, in event time, it is off: a switch without an end is never removed."""
    owner: str = ""
    """Who may change it; "" for the owner of the bundle."""


class ModeDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far what it matches may go."""

    mode: Mode
    reason: str
    """Why, for whoever asks."""
    agent: str = "*"
    """Whose findings; a pattern such as `fraud` or `*`, and so the next two."""
    kind: str = "*"
    """Kinds of finding."""
    rule: str = "*"
    """`table/rule`."""
    when: str = ""
    """The segment: a condition on the facts; "" for all."""
    owner: str = ""
    """Who may change it; "" for the owner of the bundle."""


class TableDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A decision table: its rules are tried in order."""

    table: str
    owner: str
    rules: list[RuleDocument]
    escalation: str = ""
    """Who is asked when nobody else knows; "" for that of the bundle."""
    kinds: list[str] = msgspec.field(default_factory=lambda: ["*"])
    """Kinds of finding it speaks of; `order.*` covers all that begin with `order.`."""


class DefaultDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is decided when no rule fires."""

    outcome: Literal["observe", "recommend", "approve"]
    reason: str
    remedy: str = ""


class BundleDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`bundle.yaml`."""

    name: str
    owner: str
    escalation: str
    """Who is asked when a decision cannot be made."""
    version: str
    effective_from: datetime
    facts: dict[str, FactDocument]
    remedies: dict[str, RemedyDocument]
    tables: list[str]
    """File names, in the order in which the tables are tried."""
    default: DefaultDocument
    thresholds: dict[str, ThresholdDocument] = {}
    flags: dict[str, FlagDocument] = {}
    modes: list[ModeDocument] = []
    approvals: ApprovalsDocument = ApprovalsDocument()
    autonomy: AutonomyDocument = AutonomyDocument()
    guardrails: GuardrailsDocument = GuardrailsDocument()
