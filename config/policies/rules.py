"""Makes rules of what a decision table says: names are known, conditions compile and fit the types of their facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from config.clock import DAY
from config.errors import ExpressionError, PolicyError
from config.expression_types import Type, check_types
from config.expressions import Bound, Expression, compile_expression, named_values, split_conjuncts
from config.policies.bundle import PLACEHOLDER, VALUES, Remedy, Rule
from config.policies.conditions import atoms, take_apart
from config.policies.documents import FactDocument, RuleDocument, TableDocument, Value
from config.shapes import nearest

SAMPLES: dict[str, Value] = {"string": "", "number": 1.0, "bool": True, "instant": DAY}
"""One value of each type of fact."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a rule may call by name."""

    facts: Mapping[str, FactDocument]
    """Flags too."""
    thresholds: Mapping[str, float]
    remedies: Mapping[str, Remedy]

    def rule(self, where: str, table: TableDocument, document: RuleDocument, escalation: str) -> Rule:
        """Return the rule that `document` describes.

        Args:
            where: File, line and rule, for messages.
            table: Its table.
            document: The rule as written.
            escalation: Of the bundle.

        Raises:
            PolicyError: a name is unknown, a condition cannot be read, does not fit the types of its facts or fails on
                null, or the outcome wants a remedy.
        """
        if document.outcome in ("act", "approve") and not document.remedy:
            raise PolicyError(
                f"{where}: outcome {document.outcome!r} without a remedy", remedy="Say what shall be done."
            )
        if document.remedy:
            known(where, "remedy", [document.remedy], self.remedies)
        when, conjuncts = self.condition(where, document.when)
        return Rule(
            f"{table.table}/{document.id}",
            when,
            conjuncts,
            document.outcome,
            document.remedy,
            self.text(where, document.reason),
            {name: self.value(where, value) for name, value in document.parameters.items()},
            document.owner or table.owner,
            table.escalation or escalation,
        )

    def condition(self, where: str, source: str) -> tuple[Expression, tuple[Expression, ...]]:
        """Return a condition and its top-level conjuncts, compiled, with the values of thresholds in place of names.

        Raises:
            PolicyError: it cannot be read, names an unknown fact, does not fit the types of its facts, asks for a value
                that a fact never has, or fails on null.
        """
        when = self._compiled(where, source)
        conjuncts = tuple(self._compiled(where, part) for part in split_conjuncts(source))
        self._check_values(where, when.source)
        for name in sorted(when.names):
            if self.facts[name].nullable:
                self._check_null(where, name, conjuncts)
        return when, conjuncts

    def _compiled(self, where: str, source: str) -> Expression:
        try:
            expression = compile_expression(named_values(source, self.thresholds))
        except ExpressionError as error:
            raise PolicyError(
                f"{where}: broken expression: {error.message}", remedy=error.remedy or "Fix it."
            ) from None
        known(where, "fact", sorted(expression.names), [*self.facts, *self.thresholds])
        types: dict[str, Type] = dict.fromkeys(self.thresholds, "number")
        types |= {name: fact.type for name, fact in self.facts.items()}
        try:
            check_types(source, types, nouns=dict.fromkeys(self.thresholds, "threshold"))
            # A trial on one value of each type finds what types do not tell, as a number that text does not hold.
            expression.holds(Bound({name: SAMPLES[self.facts[name].type] for name in expression.names}))
        except ExpressionError as error:
            raise PolicyError(
                f"{where}: expression does not fit the types of its facts: {error.message}",
                remedy=f"{error.remedy} The types of facts are declared in bundle.yaml.".strip(),
            ) from None
        return expression

    def _check_values(self, where: str, source: str) -> None:
        for atom in atoms(take_apart(source)):
            for name in atom.expression.names & VALUES.keys():
                texts = [constant for constant in atom.constants or () if isinstance(constant, str)]
                unknown = next((text for text in texts if text not in VALUES[name]), None)
                if unknown is not None:
                    raise PolicyError(f"{where}: {name} is never {unknown!r}", remedy=nearest(unknown, VALUES[name]))

    def text(self, where: str, template: str) -> str:
        """Return a text in which `{threshold}` is the threshold's value, and only `{fact}` is left to be filled in.

        Raises:
            PolicyError: it names an unknown fact.
        """
        known(where, "fact", PLACEHOLDER.findall(template), [*self.facts, *self.thresholds])
        return PLACEHOLDER.sub(
            lambda match: f"{self.thresholds[match[1]]:g}" if match[1] in self.thresholds else match[0], template
        )

    def value(self, where: str, value: Value) -> Value:
        """Return a parameter: a lone `{threshold}` is the number itself.

        Raises:
            PolicyError: it names an unknown fact.
        """
        if not isinstance(value, str):
            return value
        alone = PLACEHOLDER.fullmatch(value)
        return self.thresholds[alone[1]] if alone and alone[1] in self.thresholds else self.text(where, value)

    def _check_null(self, where: str, name: str, conjuncts: Iterable[Expression]) -> None:
        """Check that a rule does not fail, and so escalate, whenever the fact `name` is null."""
        broken = False
        for part in conjuncts:
            if name in part.names:
                samples = {other: SAMPLES[self.facts[other].type] for other in part.names}
                try:
                    if not part.holds(Bound(samples | {name: None})):
                        return  # A false conjunct decides, whatever the others are.
                except ExpressionError:
                    broken = True
        if broken:
            raise PolicyError(
                f"{where}: fact {name!r} may be null", remedy=f"Write {name} != null && before it is used."
            )


def known(where: str, what: str, names: Iterable[str], among: Iterable[str]) -> None:
    """Check that all `names` are among those that there are.

    Raises:
        PolicyError: one is not; the remedy gives the nearest one that is.
    """
    among = list(among)
    for name in names:
        if name not in among:
            hint = nearest(name, among) if among else "None is declared."
            raise PolicyError(f"{where}: unknown {what} {name!r}", remedy=f"{hint} Others are declared in bundle.yaml.")
