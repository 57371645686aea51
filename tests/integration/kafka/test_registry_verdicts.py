"""Whether a new version may follow an old one: our verdict on contracts beside a registry's on the same as schemas.

Where they differ, the difference is written down with its reason, and must be there.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka.schema_registry import ConfigCompatibilityLevel, Schema, ServerConfig

from config.contracts import Contract
from config.contracts.compatibility import check_compatibility
from config.contracts.model import ABSENT, Bounds, Field, Mode
from tests.support.registry import Registry
from tests.support.schemas import avro_schema, json_schema

KEY = Field(name="id", type="string", required=True)
Change = tuple[Contract, Contract]

LENIENT = (
    "an open JSON Schema lets old writers write anything under the new name, so the registry's policy is strict; a "
    "contract tells writers what they may write, so ours is lenient"
)
TEXT = "a timestamp is a string in JSON Schema, and nothing says that another string is none"
NUMBER = "a timestamp is a number in Avro, which is not read as a string"
NO_BOUNDS = "Avro types have no bounds"
NO_CLOSING = "an Avro reader skips fields that it does not know"
ALWAYS_WRITTEN = "an Avro writer writes a field with a default too, so a reader without default finds it"
NO_ENUM_AS_STRING = "Avro does not read an enumeration as a string"

CHANGES: dict[str, Change] = {}


def contract(*fields: Field, closed: bool = False) -> Contract:
    body = Field(name="t", type="object", required=True, fields=(KEY, *fields), closed=closed)
    return Contract(
        type="t", version="1.0.0", status="active", owner="o", escalation=("e",), description="", key="id",
        flow="business", body=body, digest="", file="t.yaml",
    )  # fmt: skip


def field(**parts: Any) -> Field:
    return Field(**{"name": "x", "type": "string", "required": True, **parts})


def bounded(type_name: str = "number", **bounds: Any) -> Field:
    return field(type=type_name, bounds=Bounds(**bounds))


PRESENCE = {
    "required": field(),
    "defaulted": field(default="none"),
    "optional": field(required=False, default=ABSENT),
}
for model in ("open", "closed"):
    without = contract(closed=model == "closed")
    for kind, x in PRESENCE.items():
        having = contract(x, closed=model == "closed")
        CHANGES |= {f"add {kind}, {model}": (without, having), f"remove {kind}, {model}": (having, without)}
for name, narrow, wide in (
    ("integer to number", field(type="integer"), field(type="number")),
    ("timestamp to string", field(type="timestamp"), field()),
    ("required to optional", field(), field(required=False)),
    ("required to defaulted", field(), field(default="d")),
    ("values", field(allowed=("a",)), field(allowed=("a", "b"))),
    ("values to any", field(allowed=("a",)), field()),
    ("minimum", bounded(minimum=1), bounded(minimum=0)),
    ("minimum to none", bounded(minimum=0), bounded()),
    ("exclusive to inclusive", bounded(exclusive_minimum=0), bounded(minimum=0)),
    ("maximum", bounded(maximum=1), bounded(maximum=2)),
    ("length", bounded("string", length_max=3), bounded("string", length_max=5)),
    ("pattern", bounded("string", pattern="^a"), bounded("string")),
):
    old, new = contract(narrow), contract(wide)
    CHANGES |= {f"widen {name}": (old, new), f"narrow {name}": (new, old)}
CHANGES["close"] = (contract(field()), contract(field(), closed=True))
CHANGES["open"] = (contract(field(), closed=True), contract(field()))
CHANGES["another type"] = (contract(field()), contract(field(type="integer")))

JSON_DIFFERS = {
    ("add defaulted, open", "BACKWARD"): LENIENT,
    ("add optional, open", "BACKWARD"): LENIENT,
    ("remove defaulted, open", "FORWARD"): LENIENT,
    ("remove optional, open", "FORWARD"): LENIENT,
    ("widen timestamp to string", "FORWARD"): TEXT,
    ("narrow timestamp to string", "BACKWARD"): TEXT,
}
_BOUNDS = ("minimum", "minimum to none", "exclusive to inclusive", "maximum", "length", "pattern")
AVRO_DIFFERS = {
    **{(f"add {kind}, closed", "FORWARD"): NO_CLOSING for kind in PRESENCE},
    **{(f"remove {kind}, closed", "BACKWARD"): NO_CLOSING for kind in PRESENCE},
    ("close", "BACKWARD"): NO_CLOSING,
    ("open", "FORWARD"): NO_CLOSING,
    **{(f"widen {name}", "FORWARD"): NO_BOUNDS for name in _BOUNDS},
    **{(f"narrow {name}", "BACKWARD"): NO_BOUNDS for name in _BOUNDS},
    ("widen timestamp to string", "BACKWARD"): NUMBER,
    ("narrow timestamp to string", "FORWARD"): NUMBER,
    ("widen required to defaulted", "FORWARD"): ALWAYS_WRITTEN,
    ("narrow required to defaulted", "BACKWARD"): ALWAYS_WRITTEN,
    ("widen values to any", "BACKWARD"): NO_ENUM_AS_STRING,
    ("narrow values to any", "FORWARD"): NO_ENUM_AS_STRING,
}


def verdict(registry: Registry, kind: str, write: Callable[[Contract], str], change: Change, mode: Mode) -> bool:
    """Return whether the registry lets the new version follow the old one."""
    subject = f"s-{uuid.uuid4().hex[:12]}"
    with registry.client() as client:
        client.register_schema(subject, Schema(write(change[0]), kind))
        client.set_config(subject, ServerConfig(compatibility=ConfigCompatibilityLevel(mode)))
        found: bool = client.test_compatibility(subject, Schema(write(change[1]), kind))
    return found


@pytest.mark.parametrize(
    ("kind", "write", "differs"), [("JSON", json_schema, JSON_DIFFERS), ("AVRO", avro_schema, AVRO_DIFFERS)]
)
@pytest.mark.parametrize("mode", ["BACKWARD", "FORWARD"])
@pytest.mark.parametrize("change", CHANGES)
def test_verdicts_are_the_registrys_except_where_it_is_explained(
    registry: Registry,
    kind: str,
    write: Callable[[Contract], str],
    differs: dict[tuple[str, str], str],
    mode: Mode,
    change: str,
) -> None:
    older, newer = CHANGES[change]
    ours = not check_compatibility([older], newer, mode)
    theirs = verdict(registry, kind, write, (older, newer), mode)
    assert (theirs != ours) == ((change, mode) in differs), differs.get((change, mode), "they differ")


def test_every_explained_difference_is_of_a_change_that_is_looked_at() -> None:
    assert {change for change, _ in JSON_DIFFERS.keys() | AVRO_DIFFERS.keys()} <= CHANGES.keys()
