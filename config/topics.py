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
    "dead_letter": "dead_letters",
}
"""Kinds of outputs that can go to a topic, with the setting that names it."""

NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
"""What Kafka takes for the name of a topic; of a transactional id we ask the same."""


@dataclass(frozen=True, kw_only=True)
class Topics:
    """The topics that outputs go to, as CloudEvents, each output once; "" for a kind that is kept in the store only."""

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
    dead_letters: Annotated[str | None, Spec("place")]
    """Records that could not be used."""
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
        named = {field: getattr(self, field) for field in (*KINDS.values(), "progress", "transactional_id_prefix")}
        mistakes = [
            f"topics.{field} = {name!r} has characters that Kafka takes for no name"
            for field, name in named.items()
            if name is not None and (not NAME.fullmatch(name) or name in (".", ".."))
        ]
        chosen = {kind: topic for kind, field in KINDS.items() if (topic := named[field]) is not None}
        if self.progress_topic in chosen.values():
            mistakes.append(f"topics.progress = {self.progress_topic!r} is a topic of outputs too")
        if mistakes:
            raise SettingsError(
                "; ".join(mistakes) + ".", remedy="Correct [topics]: letters, digits, full stops, - and _ make a name."
            )
        return chosen

    @property
    def progress_topic(self) -> str:
        """The topic in which the job keeps how far it is."""
        return self.progress or f"{self.transactional_id_prefix}.progress"
