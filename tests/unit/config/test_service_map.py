from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import SettingsError
from config.services.load import ServiceMap, load_service_map


def test_a_map_knows_callers_and_callees_by_name() -> None:
    calls = ServiceMap({"shop": ["cart", "bank", "shop"], "cart": ["store"]})
    assert calls.callees("shop") == ("bank", "cart")
    assert calls.callers("cart") == ("shop",)
    assert (calls.callees("unknown"), calls.callers("unknown")) == ((), ())


def test_a_service_depends_on_what_it_calls_through_others_too() -> None:
    calls = ServiceMap({"shop": ["cart"], "cart": ["store"], "store": ["cart"]})
    assert calls.depends("shop", "store")
    assert not calls.depends("store", "shop")
    assert not calls.depends("unknown", "shop")


def test_the_built_in_map_is_sound() -> None:
    assert load_service_map().callers("checkoutservice") == ("frontend",)


@pytest.mark.parametrize("text", ["calls: [a]", "call: {}", "calls: {a: b}", "{", ""])
def test_a_file_that_is_no_map_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"map\.yaml"):
        load_service_map(path)
    with pytest.raises(SettingsError, match="missing"):
        load_service_map(tmp_path / "missing.yaml")
