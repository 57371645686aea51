"""Taking back all that a version of a policy did in a span of time: found and previewed here, done by the flow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from config.actions import Action
from config.clock import to_text
from config.errors import UsageError
from config.playbooks.model import Playbook
from config.policies.bundle import Bundle
from dataflows.remedy_rows import opened
from dataflows.remedy_setup import EVENT, clock_of
from operators.rollback import Fated, fates
from operators.saga_state import Saga
from sinks.ledger import Ledger
from sinks.ledger_queries import bundles, decided_by, latest

Row = dict[str, Any]
SHOWN = 12
"""Characters of a hash that name it."""


class Undoing(NamedTuple):
    """An action, and what becomes of it."""

    action: Action
    saga: Saga
    fates: list[Fated]

    @property
    def is_wanted(self) -> bool:
        """Whether there is anything to take back or to stop."""
        return any(one.fate in ("take back", "ask", "stop") for one in self.fates)

    def amount(self, step: str) -> float:
        """Return the amount that a step was done with; 0 for a step without."""
        amounts = (effect.parameters.get("amount") for effect in self.saga.effects if effect.step == step)
        return sum(amount for amount in amounts if isinstance(amount, int | float))


class Plan(NamedTuple):
    """What is taken back."""

    bundle: str
    since: int
    until: int
    actions: list[Undoing]

    @property
    def counts(self) -> dict[str, int]:
        """The number of effects, and of actions without any, by fate."""
        return dict(sorted(Counter(one.fate for each in self.actions for one in each.fates).items()))

    @property
    def residual(self) -> list[Row]:
        """What harm is left, by what was done: `effects` that stay as they are, of how many `customers`, what the
        parameter `amount` of them adds up to, and `why` they stay."""
        left: dict[tuple[str, str, str], list[tuple[Undoing, str]]] = {}
        for each in self.actions:
            for one in each.fates:
                if one.fate == "stands":
                    key = (each.action.remedy, f"{one.target} {one.operation}", one.why)
                    left.setdefault(key, []).append((each, one.step))
        return [
            {
                "remedy": remedy,
                "effect": effect,
                "effects": len(standing),
                "customers": len({each.action.customer for each, _ in standing}),
                "amount": round(sum(each.amount(step) for each, step in standing), 2),
                "why": why,
            }
            for (remedy, effect, why), standing in sorted(left.items())
        ]

    def order(self, ledger: Ledger, now: int, reason: str) -> int:
        """Have the flow take back what can be; return how many actions were not wished so before.

        Args:
            ledger: The ledger.
            now: Microseconds.
            reason: What people say of why.
        """
        span = f"from {to_text(self.since)} to {to_text(self.until)}"
        why = f"Rolled back with all that policy {self.bundle[:SHOWN]} decided {span}{': ' + reason if reason else ''}."
        wanted = [each.action.action_id for each in self.actions if each.is_wanted]
        return ledger.wish_undone(wanted, why, now)


def plan(ledger: Ledger, bundle: str, since: int, until: int, playbooks: Mapping[str, Playbook], wall_now: int) -> Plan:
    """Return what taking back would do now.

    Args:
        ledger: Where it is written down.
        bundle: Hash of the policy.
        since: Actions decided from then on, microseconds,
        until: and before then.
        playbooks: By remedy.
        wall_now: The time of the wall; the ledger of a trial goes by event time.
    """
    now = latest(ledger) if clock_of(ledger) == EVENT else wall_now
    found = []
    for row in decided_by(ledger, bundle, since, until):
        action, saga = opened(row)
        found.append(Undoing(action, saga, fates(action, saga, playbooks.get(action.remedy), now)))
    return Plan(bundle, since, until, found)


def bundle_named(ledger: Ledger, revision: str, versions: Callable[[], Iterable[Bundle]]) -> str:
    """Return the hash of the policy that `revision` names: its hash, the beginning of that, or its version.

    Args:
        ledger: Whose actions are looked at.
        revision: What a person wrote.
        versions: Loads the versions of the policy; not called for a whole hash.

    Raises:
        UsageError: no action was decided by such a policy, or more than one is meant.
    """
    there = bundles(ledger)
    if any(row["bundle"] == revision for row in there):
        return revision
    # Both are looked at: a version may be the beginning of the hash of another.
    known = list(versions())
    named = {one.hash for one in known if revision in (one.version, f"{one.name} {one.version}")}
    found = [
        row["bundle"] for row in there if row["bundle"] in named or (revision and row["bundle"].startswith(revision))
    ]
    if len(found) == 1:
        return str(found[0])
    if not there:
        raise UsageError(
            "There is no action in the ledger.", remedy="Name another --ledger: nothing was carried out by this one."
        )
    names = {one.hash: f"{one.name} {one.version}, " for one in known}
    listed = [
        f"{str(row['bundle'])[:SHOWN]} ({names.get(row['bundle'], '')}{row['actions']:,} actions)" for row in there
    ]
    what = "More than one policy is" if found else "No action of the ledger was decided by a policy that is"
    raise UsageError(
        f"{what} called {revision!r}.",
        remedy=f"The ledger knows {', '.join(listed)}: give one of these with --policy, as `--policy "
        f"{str(there[0]['bundle'])[:SHOWN]}`. A version is looked for in the policy of the settings (policy.bundle), "
        "which --config names.",
    )
