from __future__ import annotations

from config.settings import load
from dataflows.domain import load_logics


def test_key_groups_do_not_share_detectors() -> None:
    make = load_logics(load()).telemetry
    first, second = make(), make()
    assert first._agent is not second._agent  # type: ignore[attr-defined]
