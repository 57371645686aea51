"""Files of targets: what loads, and how mistakes are said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from config.clock import SECOND
from config.errors import SettingsError
from config.targets import load_targets
from tests.support.remedies import SYSTEMS, targets_file


def test_targets_are_what_their_file_says(tmp_path: Path) -> None:
    targets = load_targets(targets_file(tmp_path, "https://shop.example/", settle="3s", breaker={"failures": 2}))
    assert (targets.owner, sorted(targets.by_name)) == ("tests", sorted(SYSTEMS))
    crm = targets.by_name["crm"]
    assert (crm.url, crm.secret, crm.traits.settle) == ("https://shop.example//crm", "of the tests", 3 * SECOND)
    assert (crm.breaker.failures_max, crm.breaker.open_first) == (2, 10 * SECOND)
    assert "of the tests" not in repr(crm)
    assert targets.traits("unknown").keyed


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"url": "ftp://x"}, "targets.crm.url = 'ftp://x'"),
        ({"url": "http://user:geheim@x"}, "targets.crm.url holds a name or a password"),
        ({"url": "http://x?a=b"}, "targets.crm.url"),
        ({"secret_file": ""}, "targets.crm.secret_file is not set"),
        ({"secret_file": "none"}, "targets.crm.secret_file names a file"),
        ({"ca_file": "none"}, "targets.crm.ca_file"),
        ({"networks": ["10.0.0.1/8"]}, "networks: '10.0.0.1/8'"),
        ({"settle": "soon"}, "targets.crm.settle"),
        ({"concurrency": 0}, "concurrency = 0"),
        ({"response_bytes": 1 << 40}, "response_bytes"),
        ({"breaker": {"probes": 0}}, "breaker.probes = 0"),
        ({"breaker": {"window": "x"}}, "breaker.window"),
        ({"kind": "topic"}, "topic is not set"),
        ({"kind": "sql", "url": "", "table": "a b"}, "url is not set"),
        ({"kind": "sql", "url": "sqlite:///x.db", "table": "a b"}, "table = 'a b'"),
        ({"kind": "pigeon"}, "kind"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    file = targets_file(tmp_path, "https://shop.example")
    document = yaml.safe_load(file.read_text())
    document["targets"]["crm"] |= changed
    file.write_text(yaml.safe_dump(document))
    with pytest.raises(SettingsError) as caught:
        load_targets(file)
    assert words in str(caught.value)
    assert "geheim" not in str(caught.value)
    assert "targets.yaml" in str(caught.value)


def test_a_file_without_owner_or_targets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "targets.yaml").write_text("owner: ' '\ntargets: {}\n")
    with pytest.raises(SettingsError, match="owner is empty; targets names none"):
        load_targets(tmp_path / "targets.yaml")
