from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from confluent_kafka.schema_registry import Schema as Registered
from confluent_kafka.schema_registry import SchemaReference

from config.errors import RegistryError
from config.registry import Registry as Settings
from config.settings import load
from dataflows.registry import RegistryClient
from dataflows.schema_folder import SchemaFolder
from dataflows.schemas import SchemaFetcher
from operators.wire import Schema, Schemas
from tests.conftest import absent
from tests.support.cloudevents import raw_batch
from tests.support.kafka import Unavailable
from tests.support.registry import Registry

INNER = '{"type":"record","name":"Money","namespace":"shop","fields":[{"name":"cents","type":"long"}]}'
JSON_SCHEMA = (
    '{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"a":{"type":"string"}}}'
)
OUTER = '{"type":"record","name":"Bill","namespace":"shop","fields":[{"name":"due","type":"shop.Money"}]}'


def settings(url: str, **changes: str) -> Settings:
    variables = {"url": url, "timeout": "2s"} | changes
    return load(None, {f"FORESTALL_REGISTRY_{name.upper()}": value for name, value in variables.items()}).registry


@pytest.fixture
def client(registry: Registry) -> Iterator[RegistryClient]:
    made = RegistryClient(settings(registry.url))
    yield made
    made.close()


def test_schemas_are_told_with_type_and_text(registry: Registry, client: RegistryClient) -> None:
    client.check()
    avro, json = registry.register(INNER), registry.register(JSON_SCHEMA, "JSON")
    found = client.schema(str(avro))
    assert (found.id, found.type, orjson.loads(found.text), found.references) == (
        str(avro),
        "AVRO",
        orjson.loads(INNER),
        (),
    )
    assert client.schema(str(json)).type == "JSON"


def test_schemas_that_others_refer_to_come_along(registry: Registry, client: RegistryClient) -> None:
    subject = f"money-{time.time_ns()}"
    registry.register(INNER, subject=subject)
    with registry.client() as other:
        reference = SchemaReference("shop.Money", subject, 1)
        outer = other.register_schema(f"bill-{time.time_ns()}", Registered(OUTER, "AVRO", [reference]))
    found = client.schema(str(outer))
    assert [orjson.loads(text)["name"] for text in found.references] == ["Money"]
    value = b"\0" + outer.to_bytes(4, "big") + b"\x0e"
    assert Schemas([found]).unframed(value) == b'{"due":{"cents":7}}'


def test_unknown_schema_is_an_answer_and_not_an_error(client: RegistryClient) -> None:
    assert client.schema("987654") == Schema("987654")


@pytest.mark.parametrize("path", ["", "/nothing"])
def test_address_that_is_no_registry_is_an_error_and_not_an_answer(registry: Registry, path: str) -> None:
    client = RegistryClient(settings(registry.url.partition("/apis")[0] + path))
    with pytest.raises(RegistryError, match="HTTP status 404") as caught:
        client.schema("1")
    client.close()
    assert caught.value.retry


def test_registry_that_is_away_is_an_error_at_the_start(registry: Registry) -> None:
    client = RegistryClient(settings("http://127.0.0.1:1"))
    with pytest.raises(RegistryError, match=r"http://127\.0\.0\.1:1: .*Connection refused"):
        client.check()
    client.close()


@pytest.mark.registry
@pytest.mark.slow
def test_records_wait_while_the_registry_is_away_and_are_read_when_it_is_back(tmp_path: Path) -> None:
    try:
        own = Registry(tmp_path)
    except Unavailable as error:
        absent(str(error))
        raise
    schemas, notes = Schemas(), list[str]()
    client = RegistryClient(settings(own.url))
    fetcher = SchemaFetcher(schemas, SchemaFolder(tmp_path / "schemas"), client, timedelta(seconds=10), notes.append)
    batch = raw_batch([b"\0\0\0\0\1\x0e"])
    try:
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            assert not fetcher.ready(batch)
            time.sleep(0.05)
        own.start()
        assert own.register('"long"') == 1
        deadline = time.monotonic() + 30
        while not fetcher.ready(batch):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        fetcher.close()
        own.kill()
    assert schemas.unframed(b"\0\0\0\0\1\x0e") == b"7"
    assert "Connection refused" in notes[0]
