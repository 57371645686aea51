from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import yaml
from click.testing import CliRunner, Result

from config.clock import from_text
from config.key_files import read_private_key
from config.keys import load_keys, sign
from dataflows.cli.main import main


def run(*arguments: Any, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["keys", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def test_a_key_that_was_made_signs_once_its_entry_is_in_the_key_file(tmp_path: Path) -> None:
    made = run("make", tmp_path / "k", "--person", "maria", "--roles", "desk, duty", "--valid-from", "2026-01-01")
    file = tmp_path / "keys.yaml"
    file.write_text(yaml.safe_dump({"owner": "security", "keys": yaml.safe_load(made.stdout)}))
    key = load_keys(file).signer(
        "maria", "duty", b"yes", sign(read_private_key(tmp_path / "k"), b"yes"), from_text("2026-01-01T00:00:00Z")
    )
    listed = orjson.loads(run("list", file, "--json").stdout)
    assert listed["keys"] == [
        {
            "person": "maria",
            "key": key.id,
            "roles": ["desk", "duty"],
            "valid_from": "2026-01-01T00:00:00Z",
            "revoked_at": None,
        }
    ]
    assert key.id in (shown := run("list", file).output)
    assert "desk, duty" in shown


def test_a_name_that_no_key_file_takes_is_refused_before_a_key_is_made(tmp_path: Path) -> None:
    for person, roles in (("agent:billing", "desk"), ("maria", ""), ("maria", "The desk")):
        assert "is no name" in run("make", tmp_path / "k", "--person", person, "--roles", roles, code=2).output
    assert not (tmp_path / "k").exists()
