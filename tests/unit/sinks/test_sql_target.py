"""A target that takes commands from a table: each once, whatever happens, and it can be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from config.clock import SECOND
from config.effects import Call, Verb
from config.targets import Target, load_targets
from sinks.engine import open_database, parse_url
from sinks.sql_target import SqlTarget, commands_table
from tests.support.target import NOW


def target(folder: Path, url: str) -> Target:
    file = folder / "targets.yaml"
    file.write_text(yaml.safe_dump({"owner": "tests", "targets": {"erp": {"kind": "sql", "url": url}}}))
    return load_targets(file).by_name["erp"]


def call(verb: Verb, key: str = "k1", **more: Any) -> Call:
    at = NOW * SECOND
    values: dict[str, Any] = {"operation": "expedite", "entity": "order:1", "parameters": {"b": 1, "a": "x"}}
    values |= {"key": key, "at": at, "timeout": SECOND, "expires": at + SECOND}
    return Call("a1", 2, verb, "erp", **values | more)


@pytest.fixture
def erp(tmp_path: Path, empty_url: str) -> Any:
    made = SqlTarget(target(tmp_path, empty_url), lambda: float(NOW))
    yield made
    made.close()


def rows(url: str) -> list[tuple[Any, ...]]:
    table = commands_table("forestall_commands")
    engine = open_database(parse_url(url)).reader
    with engine.connect() as connection:
        found = connection.execute(sa.select(table).order_by(table.c.key)).all()
    engine.dispose()
    return [tuple(row) for row in found]


def test_a_command_is_there_once_and_can_be_asked_about(erp: SqlTarget, empty_url: str) -> None:
    assert erp.carry_out(call("do")).result == "done"
    assert erp.carry_out(call("do")).result == "done"
    assert erp.carry_out(call("query")).result == "done"
    assert erp.carry_out(call("query", "k9")).result == "absent"
    assert rows(empty_url) == [("k1", "expedite", "order:1", '{"a":"x","b":1}', None, NOW * SECOND)]


def test_taking_back_is_a_command_too(erp: SqlTarget, empty_url: str) -> None:
    erp.carry_out(call("do"))
    undo = call("undo", "u1", operation="cancel_expedite", undoes="k1")
    assert [erp.carry_out(undo).result for _ in range(2)] == ["done", "done"]
    assert erp.carry_out(call("query", "k1")).result == "undone"
    assert erp.carry_out(call("query", "u1")).result == "done"
    assert len(rows(empty_url)) == 2


def test_what_waited_for_too_long_is_not_written(erp: SqlTarget) -> None:
    reply = erp.carry_out(call("do", expires=NOW * SECOND))
    assert reply.result == "expired"
    assert erp.carry_out(call("query")).result == "absent"
    assert erp.carry_out(call("measure")).result == "unreadable"


def test_a_database_that_fails_is_told_from_one_that_refuses(tmp_path: Path) -> None:
    erp = SqlTarget(target(tmp_path, f"sqlite:///{tmp_path}/none/erp.db"), lambda: float(NOW))
    assert [erp.carry_out(call(verb)).result for verb in ("do", "query")] == ["not-sent", "unavailable"]
    erp.close()


def test_its_traits_are_those_of_a_table(tmp_path: Path) -> None:
    traits = target(tmp_path, "sqlite:///x.db").traits
    assert (traits.keyed, traits.queryable, traits.measurable, traits.settle) == (True, True, False, 60 * SECOND)
