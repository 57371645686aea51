"""What the telemetry stage knows of each event type: panes, windows, units, kind of entity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from config.clock import micros
from config.contracts.model import Contract
from config.errors import ContractError, SettingsError
from config.settings import Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One event type's measures."""

    type: str
    entity: str
    """Kind of what the key names: `service`, `lane`, `product`."""
    pane: int
    """Length of a pane, µs."""
    windows: tuple[int, ...]
    """Lengths of the sliding windows, µs, rising: multiples of the pane."""
    signals: bool
    """Whether its longest window is told to all journeys."""
    units: Mapping[str, int]
    """By metric that the contract names: the integer that stands for 1."""
    unit_else: int
    """The same for metrics that the records name."""

    def unit(self, metric: str) -> int:
        """Return the integer that stands for 1 of `metric`."""
        return self.units.get(metric, self.unit_else)


def build_streams(settings: Telemetry, contracts: Iterable[Contract]) -> dict[str, Stream]:
    """Return the streams of all telemetry contracts, by event type.

    Raises:
        SettingsError: a window of a type is no multiple of its pane.
        ContractError: a contract gives metrics that its records name different scales, or lets fleet signals be
            sampled.
    """
    return {each.type: _stream(settings, each) for each in contracts if each.flow == "telemetry"}


def panes_of(streams: Mapping[str, Stream]) -> dict[str, int]:
    """Return the length of a pane, µs, by event type: what `operators.window.combine` asks for."""
    return {name: stream.pane for name, stream in streams.items()}


def _stream(settings: Telemetry, contract: Contract) -> Stream:
    pane = settings.pane_by_type.get(contract.type, settings.pane)
    windows = settings.windows
    if contract.type in settings.window_by_type:
        windows = (settings.window_by_type[contract.type],)
    for window in windows:
        if window % pane:
            raise SettingsError(
                f"telemetry: the window {window} of {contract.type} is no multiple of its pane {pane}.",
                remedy="Set telemetry.pane_by_type and telemetry.window_by_type of that type to match.",
            )
    signals = pane >= settings.signal_interval
    if signals and contract.sampled_max > 1:
        raise ContractError(
            f"{contract.file}: shedding: panes of {contract.type} are fleet signals, which stand on every record.",
            remedy="Declare {class: never}, or give the type shorter panes (telemetry.pane_by_type).",
        )
    open_units = {10**measure.digits for measure in contract.measures if measure.map or measure.name_field}
    if len(open_units) > 1:
        raise ContractError(
            f"{contract.file}: measures: metrics that the records name have scales {sorted(open_units)}.",
            remedy="Give all `map` and `nameField` measures of the contract one scale.",
        )
    return Stream(
        type=contract.type,
        entity=contract.key.removesuffix("_id"),
        pane=micros(pane),
        windows=tuple(sorted(micros(window) for window in windows)),
        signals=signals,
        units={measure.metric or measure.field: 10**measure.digits for measure in contract.measures if measure.field},
        unit_else=open_units.pop() if open_units else 10**6,
    )
