"""What a shard of the remediation flow has in hand: its actions, and what one turn has moved of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from config.actions import Action
from config.effects import Call
from dataflows.remedy_rows import effect_rows
from operators.saga_state import Outcome, Saga
from sinks.ledger_rows import EffectRow


@dataclass(slots=True)
class Running:
    """An action and its saga."""

    action: Action
    saga: Saga
    case_key: str
    call: Call | None = None
    written: list[EffectRow] = field(default_factory=list)
    """Its effects as they stand in the ledger."""

    def effects(self) -> Iterable[EffectRow]:
        """Return those of its effects that are not in the ledger as they are now."""
        rows = effect_rows(self.saga)
        changed = [row for row in rows if row not in self.written]
        self.written = rows
        return changed


@dataclass(slots=True)
class Turn:
    """What a turn has moved and not written yet."""

    moved: dict[str, Running] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    heeded: list[str] = field(default_factory=list)
