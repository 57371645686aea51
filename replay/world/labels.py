"""What a simulated world knows to be true, in `labels.json` beside its recording. The job never reads it.

    {"format": "forestall-labels", "version": 1,
     "seed": 7, "events": 50000, "days": 21, "mix": "full",
     "issues":    [Issue, …]       what an agent ought to find, by onset
     "malformed": [Malformed, …]   records that must become dead letters
     "decoys":    [Decoy, …],      what is out of the ordinary and harmless
     "echoes":    [Echo, …]}       what else may be found of the same troubles, neither asked for nor false

Instants are RFC 3339 text in the file and microseconds in the program.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from config.clock import from_text, to_text
from config.errors import RecordingError

LABELS = "labels.json"
FORMAT = "forestall-labels"
VERSION = 1


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """One latent trouble."""

    issue_id: str
    kind: str
    """The kind of finding expected first: `order.ship_by_missed`, `order.promise_at_risk`, `service.degraded`, …"""
    entity: str
    """`order:…`, `service:…` or `lane:…`."""
    agent: str
    """Who ought to find it."""
    customers: list[str]
    """Whom it hurts."""
    onset: int
    """When the trouble began."""
    ends_at: int
    """When it was over, or the end of the recording: a finding later than this is not about it."""
    harm_at: int | None
    """When the first customer is hurt for good or complains of it; None where nobody does within the recording."""
    harm: str = ""
    """What the harm is, in the end state: `charged twice, not refunded`."""
    complaints: int = 0
    """How many complain: reviews of two stars or less, tickets, contacts."""
    cause: str = ""
    """The fleet entity behind it (`lane:…`, `seller:…`), if any."""
    aka: list[str] = []
    """Other entities that it may rightly be found on: the seller of a bad batch."""
    also: list[str] = []
    """Entities that show it too; a finding on them is neither asked for nor false."""


class Malformed(msgspec.Struct, frozen=True, kw_only=True):
    """A record that no contract accepts."""

    topic: str
    partition: int
    offset: int
    fault: str


class Decoy(msgspec.Struct, frozen=True, kw_only=True):
    """Something that only looks like trouble."""

    what: str
    entity: str
    since: int
    until: int


class Echo(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that is right, though nobody asks for it: the complaints about a lane whose slowness is the issue."""

    kind: str
    entity: str
    since: int
    until: int


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """All labels of one recording."""

    seed: int
    events: int
    days: int
    mix: str
    issues: list[Issue]
    malformed: list[Malformed]
    decoys: list[Decoy]
    echoes: list[Echo] = []
    scenario: str = "plain"
    format: str = FORMAT
    version: int = VERSION

    def by_kind(self) -> dict[str, int]:
        """Return how many issues there are of each kind."""
        counts: dict[str, int] = {}
        for issue in self.issues:
            counts[issue.kind] = counts.get(issue.kind, 0) + 1
        return dict(sorted(counts.items()))

    def write(self, path: Path) -> None:
        """Write the file; the same labels make the same bytes."""
        document = msgspec.to_builtins(self)
        _each_instant(document, lambda at: None if at is None else to_text(at))
        path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")

    @staticmethod
    def read(path: Path) -> Labels:
        """Read the file.

        Raises:
            RecordingError: It is missing, or holds no labels of a version that is known here.
        """
        try:
            document: Any = msgspec.json.decode(path.read_bytes())
            if (document.get("format"), document.get("version")) != (FORMAT, VERSION):
                raise ValueError(f"it is no {FORMAT} of version {VERSION}")
            _each_instant(document, lambda text: None if text is None else from_text(text))
            return msgspec.convert(document, Labels)
        except OSError as error:
            raise RecordingError(
                f"{path}: cannot be read: {error.strerror}.", remedy="Give the path of a recording's labels.json."
            ) from error
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise RecordingError(
                f"{path} holds no labels: {error}.", remedy="Make the recording again with `forestall simulate`."
            ) from error


def _each_instant(document: Any, change: Any) -> None:
    """Change all instants of a document of labels, in place. `Any`: it is JSON of unknown origin."""
    span = ("since", "until")
    for rows, names in (("issues", ("onset", "ends_at", "harm_at")), ("decoys", span), ("echoes", span)):
        for row in document.get(rows, []):
            row.update({name: change(row[name]) for name in names})
