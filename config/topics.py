"""The topics that outputs go to, beside the store."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from config.errors import SettingsError
from config.spec import Spec

KINDS = {
    "finding": "findings",
    "case": "cases",
    "decision": "decisions",
    "action": "actions",
    "approval": "requests",
    "autonomy": "autonomy",
    "guardrail": "withheld",
    "dead_letter": "dead_letters",
}
"""Kinds of outputs that can go to a topic, with the setting that names it."""
_OTHERS = ("outcomes", "progress", "transactional_id_prefix")
"""Settings that name something else on the brokers."""

NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
"""What Kafka takes for the name of a topic; of a transactional id we ask the same."""


@dataclass(frozen=True, kw_only=True)
class Topics:
    """The topics that outputs go to, as CloudEvents, each output once; "" for a kind that is kept where it is."""

    findings: Annotated[str | None, Spec("place")]
    """What agents saw."""
    cases: Annotated[str | None, Spec("place")]
    """How cases opened, changed and were resolved."""
    decisions: Annotated[str | None, Spec("place")]
    """What to do, and why."""
    actions: Annotated[str | None, Spec("place")]
    """What is intended to be done."""
    requests: Annotated[str | None, Spec("place")]
    """What people are asked, who is told of it, and what became of their answers."""
    autonomy: Annotated[str | None, Spec("place")]
    """How far remedies may go by themselves: what was earned and lost, by which evidence and outcomes."""
    withheld: Annotated[str | None, Spec("place")]
    """Actions that were decided and are not done: limits of all, or of a cause, are spent. The remediation flow reads
    them beside those that are to be done, and tells their cases."""
    dead_letters: Annotated[str | None, Spec("place")]
    """Records that could not be used."""
    outcomes: Annotated[str | None, Spec("place")]
    """What came of actions, as the remediation flow tells it; a control topic of the detection job."""
    progress: Annotated[str | None, Spec("place")]
    """A compacted topic in which the job keeps how far it is; "" for `<transactional_id_prefix>.progress`."""
    transactional_id_prefix: Annotated[str, Spec("place")]
    """Name of this job among all that write to these brokers, fixed for the life of its store."""
    transaction_timeout: Annotated[timedelta, Spec("pace", timedelta(seconds=1), timedelta(minutes=15))]
    """After so long the brokers abort what a worker that hangs has begun, which readers wait for meanwhile."""

    def by_kind(self) -> Mapping[str, str]:
        """Return the topic of each kind of outputs that has one.

        Raises:
            SettingsError: a name cannot be one; names all that cannot.
        """
        named = {field: getattr(self, field) for field in (*KINDS.values(), *_OTHERS)}
        mistakes = [
            f"topics.{field} = {name!r} has characters that Kafka takes for no name"
            for field, name in named.items()
            if name is not None and (not NAME.fullmatch(name) or name in (".", ".."))
        ]
        chosen = {kind: topic for kind, field in KINDS.items() if (topic := named[field]) is not None}
        if self.progress_topic in (*chosen.values(), self.outcomes):
            mistakes.append(f"topics.progress = {self.progress_topic!r} is a topic of outputs too")
        if self.outcomes is not None and self.outcomes in chosen.values():
            mistakes.append(f"topics.outcomes = {self.outcomes!r} is a topic that detection writes")
        if mistakes:
            raise SettingsError(
                "; ".join(mistakes) + ".", remedy="Correct [topics]: letters, digits, full stops, - and _ make a name."
            )
        return chosen

    @property
    def progress_topic(self) -> str:
        """The topic in which the job keeps how far it is."""
        return self.progress or f"{self.transactional_id_prefix}.progress"

    @property
    def outcomes_prefix(self) -> str:
        """What transactional ids of the remediation flow begin with."""
        return f"{self.transactional_id_prefix}.remediation"

    @property
    def outcomes_progress(self) -> str:
        """The compacted topic in which the remediation flow keeps how far its outcomes are."""
        return f"{self.outcomes_prefix}.progress"
