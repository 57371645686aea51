"""The domain pack that `docs/agents.md` starts from is one: it loads, fits together, and its own tests pass."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from config.agents.load import load_manifest
from config.contracts import BUILT_IN, load_contracts

PACK = Path(__file__).parents[2] / "docs" / "templates" / "domain-pack"
MODULES = ("aftercare", "test_aftercare")


@pytest.fixture
def pack(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    monkeypatch.syspath_prepend(str(PACK))
    yield {name: importlib.import_module(name) for name in MODULES}
    for name in MODULES:
        sys.modules.pop(name, None)


def test_pack_holds_what_its_readme_says() -> None:
    files = {path.name for path in PACK.iterdir() if path.is_file()}

    assert files == {"README.md", "refund.declined.yaml", "aftercare.yaml", "aftercare.py", "test_aftercare.py"}
    assert all(name in (PACK / "README.md").read_text() for name in files - {"README.md"})


def test_contract_joins_those_that_come_along(tmp_path: Path) -> None:
    (tmp_path / "refund.declined.yaml").write_bytes((PACK / "refund.declined.yaml").read_bytes())

    assert load_contracts(BUILT_IN, tmp_path).of("refund.declined").key == "customer_id"


def test_manifest_gives_the_agents_defaults_and_reads_known_types(pack: dict[str, ModuleType]) -> None:
    agent, manifest = pack["aftercare"], load_manifest(PACK / "aftercare.yaml")

    assert manifest.parameters("refund_missing", agent.AftercareParameters) == agent.AftercareParameters()
    assert agent.AftercareAgent.of(manifest).name == manifest.agent
    assert manifest.findings == [agent.REFUND_MISSING]
    assert set(manifest.inputs) <= set(load_contracts(BUILT_IN).types)


def test_its_own_tests_pass(pack: dict[str, ModuleType]) -> None:
    own = [test for name, test in inspect.getmembers(pack["test_aftercare"]) if name.startswith("test_")]

    for test in own:
        test()
    assert len(own) == 3
