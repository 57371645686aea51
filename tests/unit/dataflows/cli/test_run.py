from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import EnvironmentFault
from dataflows.cli import run
from tests.support.commands import forestall, store_url

ACTIONS = 'topics.actions = "forestall.actions"\n'
WARNING = "name one by topics.withheld"


@pytest.mark.parametrize(
    ("settings", "warned"),
    [(ACTIONS, True), (ACTIONS + 'topics.withheld = "forestall.withheld"\n', False), ("", False)],
)
def test_whoever_sends_actions_but_not_what_was_withheld_is_warned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str, warned: bool
) -> None:
    def no_brokers(*_: object) -> None:
        raise EnvironmentFault("No brokers.")

    monkeypatch.setattr(run, "live", no_brokers)
    (tmp_path / "job.toml").write_text(settings)
    told = forestall("run", "detection", "--config", tmp_path / "job.toml", "--store", store_url(tmp_path / "s.db"))
    assert told.code == 3
    assert (WARNING in told.err) == warned
