from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from config.clock import MINUTE, micros
from config.contracts import BUILT_IN, load_contract, load_contracts, parse_contract
from config.contracts.model import PERSONAL
from config.errors import ContractError

TYPES = {
    "order.placed", "order.approved", "order.cancelled", "payment.captured", "payment.failed", "refund.requested",
    "refund.posted", "invoice.issued", "shipment.handed_over", "shipment.delivered", "review.answered",
    "ticket.opened", "ticket.closed", "contact.made", "usage.measured", "account.signed_in", "account.changed",
    "subscription.changed", "payout.requested",
    "request.completed", "service.measured", "sli.measured", "fulfilment.measured", "inventory.level",
    "action.outcome",
    "approval.answered",
    "flag.set",
}  # fmt: skip


def document(**changes: Any) -> dict[str, Any]:
    """A contract that is well; a change of `...` removes a part."""
    whole: dict[str, Any] = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "urn:test:door.opened",
        "version": "1.2.3",
        "status": "active",
        "team": {"name": "doors"},
        "support": [{"channel": "doors-oncall"}],
        "schema": [{"name": "door.opened", "properties": [prop("door_id", required=True)]}],
        "customProperties": custom(entityKey="door_id", flow="business"),
    }
    whole.update(changes)
    return {name: value for name, value in whole.items() if value is not ...}


def prop(name: str, logical_type: str = "string", **rest: Any) -> dict[str, Any]:
    return {"name": name, "logicalType": logical_type, **rest}


def custom(**values: Any) -> list[dict[str, Any]]:
    return [{"property": name, "value": value} for name, value in values.items()]


def with_properties(*properties: dict[str, Any], extras: dict[str, Any] | None = None, **shape: Any) -> dict[str, Any]:
    schema = [{"name": "door.opened", "properties": [prop("door_id", required=True), *properties], **shape}]
    given = {"entityKey": "door_id", "flow": "business", **(extras or {})}
    return document(schema=schema, customProperties=custom(**given))


def parse(content: dict[str, Any]) -> Any:
    return parse_contract(yaml.safe_dump(content).encode(), "door.yaml")


def test_built_in_contracts_cover_every_type_and_have_owner_and_escalation() -> None:
    contracts = load_contracts(BUILT_IN)
    assert set(contracts.types) == TYPES
    assert all(c.owner and c.escalation and c.description for c in contracts)
    assert {c.file for c in contracts} == {str(BUILT_IN / f"{name}.yaml") for name in TYPES}


def test_customer_ids_have_a_purpose_and_free_text_of_reviews_has_none() -> None:
    contracts = load_contracts(BUILT_IN)
    for contract in contracts:
        for field in contract.fields.values():
            assert field.name != "customer_id" or (field.classification in PERSONAL and field.purposes)
    assert contracts.of("review.answered").fields["comment"].dropped


def test_contract_says_what_its_document_says() -> None:
    contract = parse(
        with_properties(
            prop("score", "integer", logicalTypeOptions={"minimum": 1, "maximum": 5}, classification="public"),
            extras={"latenessMax": "5m", "freshness": "1d", "compatibility": "FULL"},
        )
    )
    assert (contract.ref, contract.major, contract.owner, contract.escalation) == (
        "door.opened@1.2.3", "1", "doors", ("doors-oncall",)
    )  # fmt: skip
    assert micros(contract.lateness_max) == 5 * MINUTE
    assert contract.freshness.days == 1
    score = contract.fields["score"]
    assert (score.type, score.required, score.bounds.minimum, score.bounds.maximum) == ("integer", False, 1, 5)


def test_digest_depends_on_content_not_on_layout_or_order_of_files(tmp_path: Path) -> None:
    plain = yaml.safe_dump(document()).encode()
    assert parse_contract(plain, "a").digest == parse_contract(b"# comment\n" + plain, "b").digest
    assert parse_contract(plain, "a").digest != parse(document(version="1.2.4")).digest
    second = with_properties() | {"schema": [{"name": "a.first", "properties": [prop("door_id", required=True)]}]}
    for order in ("xy", "yx"):
        folder = tmp_path / order
        folder.mkdir()
        (folder / f"{order[0]}.yaml").write_bytes(plain)
        (folder / f"{order[1]}.yaml").write_text(yaml.safe_dump(second))
    assert load_contracts(tmp_path / "xy").digest == load_contracts(tmp_path / "yx").digest
    assert load_contracts(tmp_path / "xy").types == ("a.first", "door.opened")


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("no owner", document(team=...), "missing required field `team`"),
    ("owner without name", document(team={"name": ""}), "$.team.name"),
    ("no escalation", document(support=...), "missing required field `support`"),
    ("empty escalation", document(support=[]), "$.support"),
    ("other kind", document(kind="Table"), "$.kind"),
    ("ODCS v2", document(apiVersion="v2.2.2"), "$.apiVersion"),
    ("version of two parts", document(version="1.2"), "$.version"),
    ("version a number", document(version=1.2), "$.version"),
    ("unknown status", document(status="fine"), "$.status"),
    ("unknown part", document(sevrers=[]), "unknown field `sevrers`"),
    ("unknown part of a field", with_properties(prop("x", requird=True)), "$.schema[0].properties[1]"),
    ("unknown type", with_properties(prop("x", "text")), "$.schema[0].properties[1].logicalType"),
    ("two objects", document(schema=[{"name": "a", "properties": []}] * 2), "$.schema"),
    ("name is no identifier", with_properties(prop("x-y")), "$.schema[0].properties[1].name"),
    ("name is a keyword", with_properties(prop("class")), "class is a reserved word"),
    ("no name", with_properties({"logicalType": "string"}), "$.schema[0].properties[1]"),
    ("one name twice", with_properties(prop("x"), prop("x")), "two properties have one name"),
    ("array without items", with_properties(prop("x", "array")), "`items` belongs to arrays"),
    ("items of a string", with_properties(prop("x", items={"logicalType": "string"})), "`items` belongs to arrays"),
    ("properties of a string", with_properties(prop("x", properties=[prop("y")])), "`properties` belongs to objects"),
    ("option of another type", with_properties(prop("x", logicalTypeOptions={"minimum": 1})), "no option minimum"),
    ("bad pattern", with_properties(prop("x", logicalTypeOptions={"pattern": "("})), "bad pattern"),
    ("default of another type", with_properties(prop("x", customProperties=custom(default=1))), "the default"),
    ("unknown custom property", with_properties(extras={"entitykey": "x"}), "unknown field `entitykey`"),
    ("custom property twice", document(customProperties=custom(flow="business") * 2), "flow is named twice"),
    ("no entity key", document(customProperties=custom(flow="business")), "`entityKey`"),
    ("entity key unknown", with_properties(extras={"entityKey": "nope"}), "no field nope"),
    ("entity key optional", with_properties(prop("x"), extras={"entityKey": "x"}), "x must be a required string"),
    ("entity key dropped", with_properties(prop("x", required=True, classification="personal"),
                                           extras={"entityKey": "x"}), "x must be a required string"),
    ("unknown class", with_properties(prop("x", classification="secret")), "classification"),
    ("closed, yet dropped", with_properties(prop("x", classification="personal"),
                                            customProperties=custom(additionalProperties=False)), "x is dropped"),
    ("telemetry without measures", with_properties(extras={"flow": "telemetry"}), "measures nothing"),
    ("measures of business", with_properties(prop("x", "number"), extras={"measures": [{"field": "x"}]}), "telemetry"),
    ("negative lateness", with_properties(extras={"latenessMax": "-5m"}), "latenessMax"),
    ("lateness in words", with_properties(extras={"latenessMax": "5 minutes"}), "latenessMax"),
    ("rule without name", with_properties(quality=[{"type": "custom", "engine": "polars-sql",
                                                    "implementation": "door_id <> 'x'"}]), "has a name"),
    ("rule no SQL", with_properties(quality=[{"name": "r", "type": "custom", "engine": "polars-sql",
                                              "implementation": "door_id <"}]), "not an expression"),
    ("rule on no field", with_properties(quality=[{"name": "r", "type": "custom", "engine": "polars-sql",
                                                   "implementation": "nope > 1"}]), "no field nope"),
    ("rule no condition", with_properties(quality=[{"name": "r", "type": "custom", "engine": "polars-sql",
                                                    "implementation": "door_id"}]), "no condition"),
    ("rule of mixed types", with_properties(prop("n", "number"), quality=[
        {"name": "r", "type": "custom", "engine": "polars-sql", "implementation": "n > door_id"}]), "cannot run"),
    ("two rules of one name", with_properties(quality=[
        {"name": "r", "type": "custom", "engine": "polars-sql", "implementation": "door_id <> 'x'"}] * 2), "one name"),
    ("enumeration of another type", with_properties(prop("x", quality=[
        {"metric": "invalidValues", "arguments": {"validValues": [1]}}])), "validValues"),
    ("rule that says nothing", with_properties(prop("x", quality=[{"metric": "invalidValues"}])), "says nothing"),
    ("custom rule on a field", with_properties(prop("x", quality=[
        {"name": "r", "type": "custom", "engine": "polars-sql", "implementation": "x > 1"}])), "a field's rule is"),
    ("some nulls allowed", with_properties(prop("x", quality=[{"metric": "nullValues", "mustBe": 5}])), "a field's"),
    ("values of an object", with_properties(prop("o", "object", quality=[
        {"metric": "invalidValues", "arguments": {"pattern": "x"}}])), "invalidValues is for scalars"),
    ("rule inside an object", with_properties(prop("o", "object", properties=[
        prop("x", quality=[{"metric": "nullValues"}])])), "only top-level fields"),
    ("rule on items", with_properties(prop("a", "array", items={
        "logicalType": "string", "quality": [{"metric": "nullValues"}]})), "only top-level fields"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "problem"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_document_at_fault_is_refused_naming_file_field_and_remedy(content: dict[str, Any], problem: str) -> None:
    with pytest.raises(ContractError) as caught:
        parse(content)
    assert caught.value.message.startswith("door.yaml: ")
    assert problem in caught.value.message
    assert caught.value.remedy


def measured(measure: dict[str, Any], **extras: Any) -> dict[str, Any]:
    return with_properties(
        prop("n", "number"),
        prop("word"),
        prop("m", "object", customProperties=custom(values={"logicalType": "number"})),
        prop("words", "object", customProperties=custom(values={"logicalType": "string"})),
        extras={"flow": "telemetry", "measures": [measure], **extras},
    )


@pytest.mark.parametrize(
    ("measure", "problem"),
    [
        ({"field": "nope"}, "no field nope"),
        ({"field": "word"}, "number or integer"),
        ({"map": "n"}, "must be a object"),
        ({"map": "words"}, "no map of numbers"),
        ({"map": "m", "field": "n"}, "a measure has"),
        ({}, "a measure has"),
        ({"field": "n", "metric": "a", "nameField": "door_id"}, "a measure has"),
        ({"field": "n", "nameField": "word"}, "required string"),
        ({"field": "n", "scale": 0.02}, "no power of ten"),
        ({"field": "n", "scale": 1e-12}, "no power of ten"),
        ({"field": "n", "scale": 0}, "scale"),
    ],
)
def test_measure_that_cannot_be_taken_is_refused(measure: dict[str, Any], problem: str) -> None:
    with pytest.raises(ContractError, match=problem):
        parse(measured(measure))


@pytest.mark.parametrize(
    ("extras", "problem"),
    [({"failedWhen": "nope > 1"}, "no field nope"), ({"customerField": "n"}, "n must be a string")],
)
def test_roles_of_telemetry_fields_are_checked(extras: dict[str, Any], problem: str) -> None:
    with pytest.raises(ContractError, match=problem):
        parse(measured({"field": "n"}, **extras))


@pytest.mark.parametrize(
    ("data", "problem"), [({"nope": "a"}, "no field nope"), ({}, "required field door_id is not mapped")]
)
def test_mapping_is_checked_against_the_fields(data: dict[str, Any], problem: str) -> None:
    with pytest.raises(ContractError, match=problem):
        parse(with_properties(extras={"mapping": [{"topics": ["doors"], "data": data}]}))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"a: [1", "not YAML"),
        (b"a: 1\na: 2", ":2: not YAML: a key is repeated"),
        (b"\xff\xfe\x00", "not YAML"),
        (b"[]", "Expected `object`"),
        (b"", "Expected `object`"),
        (b"- " * 100_000, "not YAML"),
        (b"{" * 100_000, "not YAML"),
        (b"#" * 2_000_000, "too many"),
    ],
)
def test_text_that_is_no_contract_is_refused(text: bytes, problem: str) -> None:
    with pytest.raises(ContractError, match=problem):
        parse_contract(text, "door.yaml")


def test_missing_file_and_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"nope\.yaml: cannot be read"):
        load_contract(tmp_path / "nope.yaml")
    with pytest.raises(ContractError, match="holds no contract"):
        load_contracts(tmp_path)


def test_two_documents_of_one_type_in_a_folder_are_refused(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(yaml.safe_dump(document()))
    with pytest.raises(ContractError, match=r"b\.yaml: type door\.opened has another contract in .*a\.yaml"):
        load_contracts(tmp_path)


def test_later_folder_replaces_types_of_an_earlier_one(tmp_path: Path) -> None:
    own = yaml.safe_load((BUILT_IN / "order.placed.yaml").read_text()) | {"version": "1.9.0"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(own))
    contracts = load_contracts(BUILT_IN, tmp_path)
    assert contracts.of("order.placed").version == "1.9.0"
    assert set(contracts.types) == TYPES


@pytest.mark.parametrize(
    ("status", "used"),
    [("active", True), ("deprecated", True), ("draft", False), ("proposed", False), ("retired", False)],
)
def test_only_contracts_in_force_are_used(tmp_path: Path, status: str, used: bool) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(document(status=status)))
    assert ("door.opened" in load_contracts(tmp_path)) == used


def test_rules_of_fields_become_conditions() -> None:
    rules = parse(
        with_properties(
            prop("a", quality=[{"metric": "nullValues", "severity": "warning"}]),
            prop("b", quality=[{"metric": "invalidValues", "arguments": {"validValues": ["it's", "x"]},
                                "severity": "warning"}]),
            prop("c", quality=[{"metric": "invalidValues", "arguments": {"pattern": "^x"}, "severity": "error"}]),
        )
    ).rules  # fmt: skip
    assert {rule.name: (rule.expression, rule.must) for rule in rules} == {
        "a.nullValues": ("a IS NOT NULL", False),
        "b.invalidValues": ("b IN ('it''s', 'x')", False),
        "c.invalidValues": ("REGEXP_LIKE(c, '^x')", True),
    }


def telemetry(**extras: Any) -> dict[str, Any]:
    measured = {"flow": "telemetry", "measures": [{"field": "opened_ms"}], **extras}
    return with_properties(prop("opened_ms", "number", required=True), extras=measured)


@pytest.mark.parametrize(
    ("shedding", "most"),
    [
        ({"class": "sampled", "floor": 0.1}, 10),
        ({"class": "sampled", "floor": 0.3}, 3),
        ({"class": "sampled", "floor": 1}, 1),
        ({"class": "never"}, 1),
    ],
)
def test_a_telemetry_contract_says_how_few_records_may_be_looked_at(shedding: dict[str, Any], most: int) -> None:
    assert parse(telemetry(shedding=shedding)).sampled_max == most
    assert parse(telemetry()).sampled_max == 1


def test_records_of_customers_are_never_sampled() -> None:
    for each in load_contracts(BUILT_IN):
        assert each.sampled_max == 1 or each.flow == "telemetry"
    with pytest.raises(ContractError, match="only telemetry may be sampled"):
        parse(with_properties(extras={"shedding": {"class": "sampled", "floor": 0.1}}))
    with pytest.raises(ContractError, match="only telemetry may be sampled"):
        parse(with_properties(extras={"shedding": {"class": "never"}}))


@pytest.mark.parametrize(
    "shedding",
    [
        {"class": "sampled"},
        {"class": "never", "floor": 0.1},
        {"class": "sampled", "floor": 0},
        {"class": "sampled", "floor": 1.5},
        {"class": "all"},
        {"floor": 0.1},
    ],
)
def test_shedding_that_is_not_said_clearly_is_refused(shedding: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="shedding"):
        parse(telemetry(shedding=shedding))
