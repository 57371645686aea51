"""Agent manifests: `config/agents/<agent>.yaml`, read and checked.

A manifest is the public face of an agent: who owns it, what it reads, what it can find, what it may ask for, and the
detectors and rules it runs with their parameters. Code of an agent takes its numbers from here, never from itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from config.errors import SettingsError
from config.yaml_text import read_file

T = TypeVar("T")
FOLDER = Path(__file__).parent
Lifecycle = Literal["shadow", "active", "draining", "retired"]


class Reads(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The series a detector looks at."""

    type: str
    """Event type: `service.measured`."""
    metric: str
    """Metric of that type: `cpu_percent`."""
    feature: str
    """What of the window: `mean`, `p95`, `failure_rate`, … (`operators.pane.feature`)."""
    over: str = ""
    """Length of the sliding window (`5m`); empty for the single pane."""
    records_min: int = 1
    """Records that the window must hold: a rate of three requests says little."""


class DetectorEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A detector or rule of the agent, and its parameters."""

    name: str
    method: str
    """How it judges: `gaussian`, `threshold`, `rule`, …"""
    reads: Reads | None = None
    """None for a rule, which reads what its code says."""
    finds: str = ""
    """The kind of finding that it points to; empty where the code of the agent says."""
    weight: float = 1.0
    """How much it counts among the agent's detectors."""
    says: str = ""
    """What it watches, for a person: `response time (p95, ms)`."""
    sign: str = ""
    """Which sign of a service it is, for those who compare services; empty for none."""
    parameters: dict[str, Any] = {}
    """By name; names carry their unit (`slack_hours`). The code that runs the method knows their types."""


class ModelCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person should know before trusting the agent."""

    purpose: str
    method: str
    limits: str
    evaluation: str


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What evidence stands on, and how far it can be relied on."""

    family: str = ""
    """The records it stands on, in a word (`order-records`): evidence of one family says nothing twice. Empty: the
    agent's name."""
    reliability: float = 1.0
    """How likely the source is in order when it speaks, 0 to 1; a finding's confidence is worth so much of itself."""


class AgentSource(Source, frozen=True, forbid_unknown_fields=True):
    """The source of an agent's findings, and of those kinds that stand on something else."""

    kinds: dict[str, Source] = {}
    """By kind of finding."""


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many false discoveries a day an agent may expect people to bear; see `operators/budget.py`."""

    share: float
    """Expected share of false ones among the cases of a day, at most."""
    spare: float = 1.0
    """So many false cases, expected per day and key group, are borne whatever their share: no quiet day is silent."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An agent as its file describes it."""

    agent: str
    owner: str
    escalation: str
    """Who is asked when nobody else knows: a team or a rota, not a person."""
    version: str
    lifecycle: Lifecycle
    inputs: list[str]
    """Event types it reads."""
    findings: list[str]
    """Kinds of finding it may emit."""
    side_effects: list[str]
    """Classes of action its findings may lead to; empty when it only observes."""
    detectors: list[DetectorEntry]
    model_card: ModelCard
    source: AgentSource = AgentSource()
    budget: Budget | None = None
    """None bears whatever the agent finds."""

    def detector(self, name: str) -> DetectorEntry:
        """Return the detector or rule called `name`.

        Raises:
            SettingsError: the manifest has none of that name.
        """
        for entry in self.detectors:
            if entry.name == name:
                return entry
        raise SettingsError(
            f"{self.agent}.yaml: detectors: {name!r} is missing.",
            remedy=f"Add a detector named {name!r} with its parameters.",
        )

    def parameters(self, name: str, shape: type[T]) -> T:
        """Return the parameters of detector `name` as a `shape` (a msgspec struct or a dataclass).

        Raises:
            SettingsError: no such detector, or a parameter is missing, unknown or of another type.
        """
        entry = self.detector(name)
        try:
            return msgspec.convert(entry.parameters, shape)
        except (msgspec.ValidationError, ValueError) as error:
            raise SettingsError(
                f"{self.agent}.yaml: detectors: {name}: parameters: {error}.",
                remedy="Correct the parameter; its meaning stands in the docstring of the detector's parameters.",
            ) from error


def load_manifest(path: Path) -> Manifest:
    """Read and check one manifest.

    Raises:
        SettingsError: the file is missing, is not YAML, or a field is missing, unknown, empty or of another type;
            the message names file and field.
    """
    manifest = read_file(path, Manifest, "a manifest", "Correct that field; see the other manifests.")
    _check(path, manifest)
    return manifest


def load_manifests(folder: Path = FOLDER) -> dict[str, Manifest]:
    """Read every manifest of `folder`; manifests by agent name, in order of name.

    Raises:
        SettingsError: as `load_manifest`.
    """
    manifests = [load_manifest(path) for path in sorted(folder.glob("*.yaml"))]
    return {manifest.agent: manifest for manifest in manifests}


def _check(path: Path, manifest: Manifest) -> None:
    """Refuse what the types allow but a manifest must not be."""
    wrong: list[tuple[str, str]] = []
    if manifest.agent != path.stem:
        wrong.append(("agent", f"is {manifest.agent!r} but the file is named {path.name!r}"))
    texts = {name: getattr(manifest, name) for name in ("owner", "escalation", "version")}
    texts |= {f"model_card.{name}": text for name, text in msgspec.structs.asdict(manifest.model_card).items()}
    wrong += [(name, "is empty") for name, text in texts.items() if not text.strip()]
    for field in ("inputs", "findings"):
        values = getattr(manifest, field)
        if not values:
            wrong.append((field, "is empty"))
        if len(set(values)) != len(values):
            wrong.append((field, "holds a value twice"))
    seen: set[str] = set()
    for entry in manifest.detectors:
        if entry.name in seen:
            wrong.append(("detectors", f"holds {entry.name!r} twice"))
        seen.add(entry.name)
        if entry.finds and entry.finds not in manifest.findings:
            wrong.append((f"detectors: {entry.name}: finds", f"is {entry.finds!r}, which is not among the findings"))
        if entry.reads is not None and entry.reads.type not in manifest.inputs:
            wrong.append((f"detectors: {entry.name}: reads.type", f"is {entry.reads.type!r}, which is not an input"))
    sources = {"source": manifest.source} | {f"source.kinds: {k}": s for k, s in manifest.source.kinds.items()}
    for name, source in sources.items():
        if not 0.0 < source.reliability <= 1.0:
            wrong.append((f"{name}.reliability", f"is {source.reliability}, not within 0 to 1"))
    budget = manifest.budget
    if budget is not None and not (0.0 <= budget.share <= 1.0 and budget.spare >= 0.0):
        wrong.append(
            ("budget", f"is a share of {budget.share} and {budget.spare} to spare; within 0 to 1, and not negative")
        )
    for kind in manifest.source.kinds:
        if kind not in manifest.findings:
            wrong.append(("source.kinds", f"names {kind!r}, which is not among the findings"))
    if wrong:
        field, trouble = wrong[0]
        raise SettingsError(f"{path}: {field} {trouble}.", remedy=f"Correct `{field}` in the manifest.")
