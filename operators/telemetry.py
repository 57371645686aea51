"""The telemetry stage: panes of measures per service, lane or product become signals and findings.

Key: the entity's bare key (`checkout`, `SP-RJ`). In: partials (`operators/window.py`), nothing else. Out: fleet
signals to all journeys; what services find of themselves, and the evidence of their signs, to the fleet stage; the
customers that failed requests touched to the cause stage.
Panes close in event time by a timer at their end, which comes only when no partial for them can follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from config.errors import RecoveryError, SettingsError
from config.events import BROADCAST, Event
from config.findings import Finding
from config.identity import derived_id
from operators.agents.outage import OutageAgent, OutageState
from operators.agents.stock import STOCK
from operators.logic import Context
from operators.pane import Pane, Partial, smallest
from operators.streams import Stream
from operators.window import Closed, type_of

FLEET = "fleet"
"""The stage, and its key: a job watches one fleet."""
PANE = "pane:"
"""Timer at the end of a pane; its end, µs, follows."""
SILENT = "silent"
STOCK_TYPE = "inventory.level"
"""Event type whose levels the cause stage is told."""
FORGET = "forget"
SIGNAL_FEATURES = ("count", "mean", "deviation", "low", "p50", "p90", "p95", "high", "latest", "failure_rate")


class Series(msgspec.Struct, array_like=True):
    """The panes of one metric of one event type."""

    type: str
    metric: str
    open: dict[int, Pane] = {}
    """By start, µs."""
    closed: dict[int, Pane] = {}
    """Those that a window still needs, by start, µs."""


class TelemetryState(msgspec.Struct, array_like=True):
    """All that is kept of one key."""

    series: dict[str, Series] = {}
    """By event type and metric."""
    outage: OutageState = msgspec.field(default_factory=OutageState)


class TelemetryLogic:
    """Closes panes, tells signals, asks the outage agent.

    Args:
        streams: What is known of each event type that has measures.
        agent: Judges services.
        entity_ttl: Microseconds without a measure after which a key is forgotten; exceeds every window.

    Raises:
        SettingsError: the agent reads a type without measures, or a window that is not among those of the type.
    """

    name = "telemetry"
    state_type = TelemetryState
    state_version = 1
    dedupe_ttl = 0

    def __init__(self, streams: Mapping[str, Stream], agent: OutageAgent, entity_ttl: int) -> None:
        self._streams = streams
        self._agent = agent
        self._entity_ttl = entity_ttl
        for (type_name, _), over in agent.reads.items():
            if type_name not in streams or over not in (0, *streams[type_name].windows):
                raise SettingsError(
                    f"outage.yaml: detectors: {type_name} has no window of {over} µs.",
                    remedy="Let `reads` name a telemetry type and one of telemetry.windows, or leave out `over`.",
                )

    def new_state(self, key: str) -> TelemetryState:
        """Return the state of a key never seen."""
        return TelemetryState()

    def on_partial(self, key: str, state: TelemetryState, partial: Partial, context: Context) -> None:
        """Merge a partial into its pane; the first one of a pane sets the timer that closes it."""
        type_name = type_of(partial.contract)
        name = f"{type_name} {partial.metric}"
        series = state.series.get(name)
        if series is None:
            series = state.series[name] = Series(type_name, partial.metric)
        pane = series.open.get(partial.start)
        if pane is None:
            series.open[partial.start] = Pane.of(partial)
            end = partial.start + self._streams[type_name].pane
            context.set_timer(f"{PANE}{end}", end)
        else:
            pane.add(partial)

    def on_event(self, key: str, state: TelemetryState, event: Event, context: Context) -> None:
        """Refuse: sources send partials only.

        Raises:
            TypeError: always; the stages are wired wrongly.
        """
        raise TypeError(f"stage {self.name} takes partials, not {event.type}")

    def on_timer(self, key: str, state: TelemetryState, timer: str, context: Context) -> None:
        """Close the panes that end now, note a silence, or forget the key."""
        if timer == FORGET:
            self._tell_silence(state, context)
            self._forget(state, context)
        elif timer == SILENT:
            self._tell_silence(state, context)
        else:
            self._close(key, state, int(timer.removeprefix(PANE)), context)

    def migrate(self, version: int, state: Any) -> TelemetryState:
        """Refuse: there is no older version.

        Raises:
            RecoveryError: always.
        """
        raise RecoveryError(
            f"stage {self.name}: recovered state is of version {version}, which was never released.",
            remedy="Start with a new store and recovery folder.",
        )

    def _close(self, key: str, state: TelemetryState, end: int, context: Context) -> None:
        """Close all panes of `key` that end at `end`, in the order of their series' names."""
        closed: dict[str, dict[tuple[str, str], Closed]] = {}
        for name in sorted(state.series):
            series = state.series[name]
            stream = self._streams[series.type]
            start = end - stream.pane
            pane = series.open.pop(start, None)
            if pane is None:
                continue
            series.closed[start] = pane
            of_entity = closed.setdefault(f"{stream.entity}:{key}", {})
            of_entity[series.type, series.metric] = Closed(stream, series.metric, start, series.closed)
        for entity, found in closed.items():
            self._tell_touched(entity, found, context)
            for each in found.values():
                if each.stream.signals:
                    self._tell_signal(entity, each, context)
                if each.stream.type == STOCK_TYPE:
                    self._tell_stock(entity, each, context)
            judgement = self._agent.on_panes(key, entity, state.outage, found, context.now)
            if judgement.signs:
                data = {"service": key, "signs": judgement.signs}
                context.emit(
                    FLEET, Event(context.now, derived_id("vitals", entity, context.now), FLEET, "vitals", data)
                )
            self._tell_findings(judgement.findings, context)
        self._forget_panes(state, end)
        if state.outage.episode is not None:
            context.set_timer(SILENT, context.now + self._agent.silence)
        context.set_timer(FORGET, context.now + self._entity_ttl)

    def _forget(self, state: TelemetryState, context: Context) -> None:
        """Forget the key, but for panes that came ahead of their time.

        How far ahead partials come depends on the size of the source's batches: the key must be left as if they came
        only now.
        """
        ahead = {name: series for name, series in state.series.items() if series.open}
        if not ahead:
            context.forget()
            return
        state.series = {name: Series(series.type, series.metric, series.open) for name, series in ahead.items()}
        state.outage = self._agent.new_state()
        context.cancel_timer(SILENT)

    def _forget_panes(self, state: TelemetryState, end: int) -> None:
        """Forget the panes that no window after `end` needs, and series of which nothing is left."""
        for name, series in list(state.series.items()):
            stream = self._streams[series.type]
            longest = self._agent.reads.get((series.type, series.metric), 0)
            if stream.signals:
                longest = max(longest, stream.windows[-1])
            since, closed = end + stream.pane - longest, series.closed
            while closed and (oldest := next(iter(closed))) < since:
                del closed[oldest]  # panes close in their order
            if not series.open and not series.closed:
                del state.series[name]

    def _tell_touched(self, entity: str, closed: Mapping[tuple[str, str], Closed], context: Context) -> None:
        """Tell the cause stage whom failed requests touched; the panes then need not remember them any longer."""
        touched: dict[str, int] = {}
        for each in closed.values():
            pane = each.over(0)
            if pane.touched:
                touched, pane.touched = smallest(touched | pane.touched), {}
        if touched:
            now = context.now
            since = min(each.start for each in closed.values())
            data = {"entity": entity, "at": since, "until": now, "customers": sorted(touched)}
            told = Event(now, derived_id("touched", entity, now), entity, "touched", data)
            context.emit("cause", told)
            context.emit(FLEET, replace(told, key=FLEET))

    def _tell_signal(self, entity: str, closed: Closed, context: Context) -> None:
        length, now = closed.stream.windows[-1], context.now
        window = closed.over(length)
        data = {
            "entity": entity,
            "name": closed.metric,
            "at": closed.end,
            "since": closed.end - length,
            "spans": dict(sorted(window.spans.items())),
            "contract": window.contract,
            "features": {name: closed.feature(name, length) for name in SIGNAL_FEATURES},
        }
        signal_id = derived_id("signal", entity, closed.metric, closed.end)
        context.emit("journey", Event(now, signal_id, BROADCAST, "signal", data))

    def _tell_stock(self, entity: str, closed: Closed, context: Context) -> None:
        """Tell the cause stage what a warehouse holds of a product: each is a metric, named by the record."""
        pane = closed.over(0)
        at, _, _, value = pane.latest
        data = {
            "warehouse": closed.metric,
            "on_hand": value / closed.unit,
            "at": at,
            "since": closed.start,
            "until": closed.end,
            "spans": dict(sorted(pane.spans.items())),
            "contract": pane.contract,
        }
        stock_id = derived_id("stock", entity, closed.metric, closed.end)
        context.emit("cause", Event(context.now, stock_id, entity, STOCK, data))

    def _tell_silence(self, state: TelemetryState, context: Context) -> None:
        """End the episode of a service that has fallen silent."""
        self._tell_findings(self._agent.on_silence(state.outage, context.now), context)

    def _tell_findings(self, findings: list[Finding], context: Context) -> None:
        for finding in findings:
            context.emit(FLEET, finding.event(FLEET))
