"""The outage agent: a service that is degraded or failing, told from its windows.

At the end of each pane every detector of the manifest judges its feature. Flags add up by weight and strength; a
service whose panes are bad often enough within a short while, or of which a detector that adds up several panes is
sure, has an *episode*, which is one finding however long it lasts, and ends after enough good panes in a row with a
finding that resolves it. While an episode is open, or a pane looks bad, no detector of the service learns: the incident
would otherwise become the norm (unless it lasts; see the detectors).

What a service finds of itself are drafts: whom to blame, the fleet stage says (`operators/fleet.py`), which therefore
gets the evidence of every service's signs too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from config.agents.load import Manifest
from config.clock import MINUTE, to_datetime, to_text
from config.findings import DATA_QUALITY, Evidence, Finding, Query, Severity, finding_id
from operators.agents.watch import Judged, Series, Watch, judge, watch_of
from operators.window import Closed

AGENT = "outage"
DEGRADED = "service.degraded"
FAILING = "service.failing"
CONFIDENCE_MAX = 0.99
SEEN_BY_CUSTOMERS = "sli.measured"
OWN_WEIGHT = "own_weight"
"""Evidence feature of a draft: the weight of the signs that are not merely seen by customers."""
STRENGTH_MAX = 2.0
"""A sign twice as strong as its detector asks for counts double; a stronger one no more than that."""


class EpisodeRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When an episode opens and ends: the rule `episode` of the manifest."""

    bad_weight: float
    """A pane is bad when its flags weigh at least this."""
    open_panes: int
    """So many bad panes open an episode …"""
    within_panes: int
    """… when they lie within so many panes."""
    close_panes: int
    """So many good panes in a row end it."""
    silence_minutes: int
    """An episode ends unconfirmed when nothing was measured for so long."""
    calm_p: float
    """A pane is not good while what opened the episode is off by a chance less than this."""


class Episode(msgspec.Struct, array_like=True):
    """An incident under way."""

    entity: str
    since: int
    """Start of its first bad pane, µs."""
    kinds: list[str]
    """Kinds of finding it has led to."""
    good: int = 0
    """Good panes in a row."""
    settled: bool = False
    """Whether it lasted so long that a detector took it for the new normal."""
    by: list[str] = []
    """Detectors that were sure of it."""


class OutageState(msgspec.Struct, array_like=True):
    """All that is kept of one service."""

    detectors: dict[str, list[Any]] = {}
    """Encoded detectors by name."""
    bad_at: list[int] = []
    """Ends of the latest bad panes, µs."""
    episode: Episode | None = None


class Judgement(NamedTuple):
    """What a service's panes say."""

    findings: list[Finding]
    signs: dict[str, float]
    """Evidence by sign."""


class OutageAgent:
    """Judges a service each time its panes close.

    One agent serves one key group: its detectors take on the state of the service at hand, so no threads may share it.

    Args:
        manifest: `config/agents/outage.yaml`.

    Raises:
        SettingsError: a detector of the manifest has an unknown method, window or parameter.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.rule = manifest.parameters("episode", EpisodeRule)
        self._watches: dict[Series, list[Watch]] = {}
        for entry in manifest.detectors:
            if entry.reads is not None:
                watch = watch_of(manifest, entry, entry.reads)
                self._watches.setdefault((entry.reads.type, entry.reads.metric), []).append(watch)
        self._names = {watch.entry.name for watches in self._watches.values() for watch in watches}
        self.reads = {series: max(watch.over for watch in watches) for series, watches in self._watches.items()}
        """What it reads: the longest window, µs, by type and metric."""

    def new_state(self) -> OutageState:
        """Return the state of a service never seen."""
        return OutageState()

    def on_panes(
        self, key: str, entity: str, state: OutageState, closed: Mapping[Series, Closed], now: int
    ) -> Judgement:
        """Judge the panes of one service that close at `now`, and return what was found, and its signs."""
        judged = judge(self._watches, state.detectors, closed)
        if not judged:
            return Judgement([], {})
        signs = {each.watch.entry.sign: round(each.evidence, 3) for each in judged if each.watch.entry.sign}
        return Judgement(self._findings(key, entity, state, judged, now), signs)

    def _findings(self, key: str, entity: str, state: OutageState, judged: list[Judged], now: int) -> list[Finding]:
        flagged = [each for each in judged if each.score.flagged and each.watch.entry.weight]
        sure = [each.watch.entry.name for each in flagged if each.watch.sustained]
        weight = sum(each.watch.entry.weight * min(each.score.strength, STRENGTH_MAX) for each in flagged)
        bad = weight >= self.rule.bad_weight
        self._learn(state, judged, bad)
        pane = min(now - each.closed.start for each in judged)
        state.bad_at = [at for at in state.bad_at if at > now - self.rule.within_panes * pane] + [now] * bad
        if state.episode is None:
            if not bad or (len(state.bad_at) < self.rule.open_panes and not sure):
                return []
            state.episode = Episode(entity, state.bad_at[0] - pane, [])
        episode = state.episode
        episode.by += [name for name in sure if name not in episode.by]
        quality = min(each.closed.over(each.watch.over).quality for each in flagged or judged)
        if bad:
            episode.good = 0
            return self._found(key, episode, flagged, weight, quality, now)
        if any(each.watch.entry.name in episode.by and each.score.p_value < self.rule.calm_p for each in judged):
            episode.good = 0
            return []
        episode.good += 1
        if episode.good < self.rule.close_panes:
            return []
        state.episode, state.bad_at = None, []
        reason, confidence = _end(episode)
        return _over(episode, now, reason + _sampled(quality), trusted(confidence, quality))

    def _learn(self, state: OutageState, judged: list[Judged], bad: bool) -> None:
        episode = state.episode
        for each in judged:
            detector = each.watch.detector
            adapted = detector.learn_one(each.x, suspect=bad or episode is not None, at=each.closed.end)
            if episode is not None and each.score.flagged:
                episode.settled |= adapted
            state.detectors[each.watch.entry.name] = detector.encode()
        if len(state.detectors) > len(self._names):
            # Of detectors that an earlier version had.
            state.detectors = {name: of for name, of in state.detectors.items() if name in self._names}

    def on_silence(self, state: OutageState, now: int) -> list[Finding]:
        """End an episode of a service that measures nothing any more, and return the findings that say so."""
        if state.episode is None:
            return []
        episode, state.episode, state.bad_at = state.episode, None, []
        reason = (
            f"{_named(episode.entity)} has sent no measurements for {self.rule.silence_minutes} minutes; "
            f"the trouble that began at {_clock(episode.since)} is closed without confirmation."
        )
        return _over(episode, now, reason, 0.5)

    @property
    def silence(self) -> int:
        """Microseconds without a measure after which an episode ends."""
        return self.rule.silence_minutes * MINUTE

    def _found(
        self, key: str, episode: Episode, flagged: list[Judged], weight: float, quality: float, now: int
    ) -> list[Finding]:
        """Return a finding for each kind that the flags point to and the episode has not led to yet.

        Every bad service is at least degraded; a failing one says so at once or when it comes to that.
        """
        kinds = {each.watch.entry.finds for each in flagged}
        kind = FAILING if FAILING in kinds else DEGRADED
        if kind in episode.kinds or FAILING in episode.kinds:
            return []
        episode.kinds.append(kind)
        occurrence, entity = to_text(episode.since), episode.entity
        return [
            Finding(
                finding_id=finding_id(AGENT, kind, entity, occurrence),
                agent=AGENT,
                kind=kind,
                entity=entity,
                occurrence=occurrence,
                at=now,
                severity=_severity(kind, weight),
                # Not calibrated: each unit of weight halves the doubt.
                confidence=trusted(min(CONFIDENCE_MAX, 1 - 0.5 ** (weight + len(episode.kinds))), quality),
                harm_at=episode.since,
                evidence=_evidence(key, flagged, quality),
                reason=_reason(kind, episode, flagged) + _sampled(quality),
            )
        ]


def _severity(kind: str, weight: float) -> Severity:
    if kind == FAILING:
        return "critical"
    return "high" if weight >= 2 else "medium"


def trusted(confidence: float, quality: float) -> float:
    """Return `confidence` less what a sample takes from it: half of it where next to nothing was looked at.

    A detector knows how its series scatters, not how much more the same series scatters when it is sampled.
    """
    return confidence * (1 + quality) / 2


def _sampled(quality: float) -> str:
    """Return what a reason has to add about a sample; nothing where all records were looked at."""
    return f" Only {quality:.0%} of its records were looked at, for there were too many." if quality < 1 else ""


def _evidence(key: str, flagged: list[Judged], quality: float) -> Evidence:
    queries: list[Query] = []
    features: dict[str, float | int | str | None] = {}
    for each in flagged:
        window, name = each.closed.over(each.watch.over), each.watch.entry.name
        since = each.closed.end - (each.watch.over or each.closed.end - each.closed.start)
        query = Query(
            dict(sorted(window.spans.items())), key, each.closed.metric, since, each.closed.end, window.contract
        )
        if query not in queries:
            queries.append(query)
        features[name] = each.x
        features[f"{name}_expected"] = each.usual.expected
        features[f"{name}_limit"] = each.usual.limit
        features[f"{name}_score"] = each.score.value
    # How much of this is the service's own: what its customers see may come from services that it calls.
    own = [each for each in flagged if each.closed.stream.type != SEEN_BY_CUSTOMERS]
    features[OWN_WEIGHT] = sum(each.watch.entry.weight * min(each.score.strength, STRENGTH_MAX) for each in own)
    if quality < 1:
        features[DATA_QUALITY] = round(quality, 4)
    return Evidence(queries=queries, features=features)


def _reason(kind: str, episode: Episode, flagged: list[Judged]) -> str:
    """Return one sentence with the sign that says most: the weightiest, then the furthest off."""
    strongest = max(
        flagged, key=lambda each: (each.watch.entry.finds == kind, each.watch.entry.weight, each.score.value)
    )
    entry = strongest.watch.entry
    trouble = "is failing" if kind == FAILING else "works worse than usual"
    more = len(flagged) - 1
    others = f", and {more} more sign{'s' if more > 1 else ''}" if more else ""
    sign = f"{entry.says or entry.name} is {strongest.says}"
    return f"{_named(episode.entity)} {trouble} since {_clock(episode.since)}: {sign}{others}."


def _end(episode: Episode) -> tuple[str, float]:
    """Return the reason why an episode ends, and the confidence that the trouble is over."""
    name, since = _named(episode.entity), _clock(episode.since)
    if episode.settled:
        return f"{name} has not recovered since {since} but stays as it is, which now counts as its usual range.", 0.5
    return f"{name} is back within its usual range; the trouble that began at {since} is over.", 0.9


def _over(episode: Episode, now: int, reason: str, confidence: float) -> list[Finding]:
    """Return the findings that resolve what `episode` led to."""
    occurrence = f"{to_text(episode.since)} until {to_text(now)}"
    return [
        Finding(
            finding_id=finding_id(AGENT, kind, episode.entity, occurrence),
            agent=AGENT,
            kind=kind,
            entity=episode.entity,
            occurrence=occurrence,
            at=now,
            severity="low",
            confidence=confidence,
            resolves=True,
            reason=reason,
        )
        for kind in episode.kinds
    ]


def _named(entity: str) -> str:
    kind, _, name = entity.partition(":")
    return f"{kind.capitalize()} {name}"


def _clock(at: int) -> str:
    return f"{to_datetime(at):%Y-%m-%d %H:%M} UTC"
