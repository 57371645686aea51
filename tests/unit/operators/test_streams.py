from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from config.clock import DAY, HOUR, MINUTE
from config.contracts.load import BUILT_IN, load_contracts
from config.contracts.model import Measure
from config.errors import ContractError, SettingsError
from config.settings import load
from operators.streams import build_streams, panes_of

CONTRACTS = load_contracts(BUILT_IN)
SETTINGS = load().telemetry


def test_every_telemetry_contract_has_a_stream_and_no_other() -> None:
    streams = build_streams(SETTINGS, CONTRACTS)
    assert sorted(streams) == sorted(contract.type for contract in CONTRACTS if contract.flow == "telemetry")


def test_entities_panes_and_units_follow_contract_and_settings() -> None:
    streams = build_streams(SETTINGS, CONTRACTS)
    lanes, stock, requests = (streams[f] for f in ("fulfilment.measured", "inventory.level", "request.completed"))
    assert (lanes.entity, lanes.pane, lanes.windows, lanes.signals) == ("lane", DAY, (28 * DAY,), True)
    assert (stock.entity, stock.pane, stock.unit("on_hand"), stock.signals) == ("product", HOUR, 1000, True)
    assert (requests.entity, requests.windows, requests.signals) == ("service", (5 * MINUTE, HOUR), False)
    assert (requests.unit("duration_ms"), lanes.unit("transit_hours")) == (1000, 10**6)
    assert panes_of(streams)["request.completed"] == MINUTE


def test_a_window_that_is_no_multiple_of_the_types_pane_is_refused() -> None:
    settings = replace(SETTINGS, pane_by_type={"sli.measured": timedelta(minutes=2)})
    with pytest.raises(SettingsError, match=r"0:05:00 of sli\.measured is no multiple of its pane 0:02:00"):
        build_streams(settings, CONTRACTS)


def test_metrics_named_by_records_must_share_one_scale() -> None:
    measures = (Measure(map="metrics", digits=6), Measure(map="more", digits=3))
    with pytest.raises(ContractError, match="scales"):
        build_streams(SETTINGS, [replace(CONTRACTS.of("sli.measured"), measures=measures)])


def test_fleet_signals_may_not_be_sampled() -> None:
    sampled = replace(CONTRACTS.of("inventory.level"), sampled_max=10)
    with pytest.raises(ContractError, match=r"shedding: panes of inventory\.level are fleet signals"):
        build_streams(SETTINGS, [sampled])
    shorter = replace(SETTINGS, pane_by_type={"inventory.level": timedelta(minutes=1)}, window_by_type={})
    assert not build_streams(shorter, [sampled])["inventory.level"].signals
