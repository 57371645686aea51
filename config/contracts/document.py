"""The shape of an ODCS v3 document: the parts of the standard that Forestall reads.

Anything else is refused by name, since a rule that is written down but not kept is worse than none. What ODCS has no
word for stands in `customProperties`, as the standard asks.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from config.contracts.model import Classification, Flow, LogicalType, Mode

Name = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
TypeName = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,99}$")]
Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=0)]


class Strict(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A part of a document that refuses what it does not know."""


class CustomProperty(Strict, kw_only=True, frozen=True):
    """A named value the standard has no place for."""

    property: Text
    value: Any
    description: str = ""


class Options(Strict, kw_only=True, frozen=True):
    """ODCS `logicalTypeOptions`."""

    minimum: float | int | None = None
    maximum: float | int | None = None
    exclusive_minimum: float | int | None = None
    exclusive_maximum: float | int | None = None
    min_length: Count | None = None
    max_length: Count | None = None
    pattern: str | None = None
    min_items: Count | None = None
    max_items: Count | None = None
    max_properties: Count | None = None
    format: str = ""
    """Said for readers; not checked."""


class Arguments(Strict, kw_only=True, frozen=True):
    """ODCS arguments of `invalidValues`."""

    valid_values: list[str | int] | UnsetType = UNSET
    pattern: str | UnsetType = UNSET


class Quality(Strict, kw_only=True, frozen=True):
    """ODCS quality rule: `invalidValues` and `nullValues` of a field, or a Polars SQL expression over a record."""

    id: str = ""
    name: str = ""
    description: str = ""
    dimension: str = ""
    type: Literal["library", "custom"] = "library"
    severity: Literal["error", "warning"] = "error"
    metric: Literal["invalidValues", "nullValues"] | UnsetType = UNSET
    arguments: Arguments = Arguments()
    must_be: int = 0
    engine: Literal["polars-sql"] | UnsetType = UNSET
    implementation: str = ""


class Property(Strict, kw_only=True, frozen=True):
    """ODCS schema property. `name` is left out for the items of an array and the values of a map."""

    name: Name | UnsetType = UNSET
    business_name: str = ""
    description: str = ""
    logical_type: LogicalType
    logical_type_options: Options = Options()
    physical_type: str = ""
    required: bool = False
    primary_key: bool = False
    unique: bool = False
    classification: Classification = "internal"
    examples: list[Any] = []
    tags: list[str] = []
    quality: list[Quality] = []
    properties: list[Property] = []
    items: Property | None = None
    custom_properties: list[CustomProperty] = []


class PropertyExtras(Strict, kw_only=True, frozen=True):
    """What a property's `customProperties` may say."""

    purposes: list[Text] = []
    default: Any = UNSET
    values: Property | None = None
    additional_properties: bool = True


class SchemaObject(Strict, kw_only=True, frozen=True):
    """ODCS schema object: the record type."""

    name: TypeName
    description: str = ""
    business_name: str = ""
    logical_type: Literal["object"] = "object"
    physical_name: str = ""
    physical_type: str = ""
    properties: list[Property]
    quality: list[Quality] = []
    tags: list[str] = []
    custom_properties: list[CustomProperty] = []


class ObjectExtras(Strict, kw_only=True, frozen=True):
    """What a schema object's `customProperties` may say."""

    additional_properties: bool = True


class MeasureItem(Strict, kw_only=True, frozen=True):
    """One entry of the custom property `measures`."""

    field: str = ""
    metric: str = ""
    name_field: str = ""
    map: str = ""
    scale: Annotated[float, Meta(gt=0, le=1)] = 1e-6


class PathItem(Strict, kw_only=True, frozen=True):
    """A place a mapped value comes from; a bare string is its `path`."""

    path: str = ""
    constant: str | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | float | bool | None = None
    unit: Literal["", "s", "ms", "us", "ns", "text"] = ""
    to: Literal["", "string", "number", "integer"] = ""


class MappingItem(Strict, kw_only=True, frozen=True):
    """One entry of the custom property `mapping`."""

    topics: Annotated[list[Text], Meta(min_length=1)]
    format: Literal["json", "debezium"] = "json"
    when: dict[str, Any] = {}
    unless: dict[str, Any] = {}
    source: str = ""
    id: list[str | PathItem] = []
    time: str | PathItem = PathItem(path="@timestamp", unit="ms")
    data: dict[str, str | PathItem]


class SheddingItem(Strict, kw_only=True, frozen=True):
    """The custom property `shedding`."""

    class_: Literal["never", "sampled"] = field(name="class")
    floor: Annotated[float, Meta(gt=0, le=1)] | UnsetType = UNSET


class Extras(Strict, kw_only=True, frozen=True):
    """What the document's `customProperties` may say."""

    entity_key: Name
    flow: Flow
    measures: list[MeasureItem] = []
    failed_when: str = ""
    customer_field: str = ""
    mapping: list[MappingItem] = []
    freshness: str | None = None
    lateness_max: str = "0s"
    compatibility: Mode = "BACKWARD"
    shedding: SheddingItem | None = None


class TeamMember(Strict, kw_only=True, frozen=True):
    """A person of the owning team."""

    username: Text
    role: str = ""
    name: str = ""
    description: str = ""


class Team(Strict, kw_only=True, frozen=True):
    """ODCS team: who owns the data."""

    name: Text
    description: str = ""
    members: list[TeamMember] = []


class SupportItem(Strict, kw_only=True, frozen=True):
    """ODCS support channel: where to turn to, in order of escalation."""

    channel: Text
    url: str = ""
    description: str = ""
    tool: str = ""
    scope: str = ""


class Description(Strict, kw_only=True, frozen=True):
    """ODCS description."""

    purpose: str = ""
    usage: str = ""
    limitations: str = ""


class Document(Strict, kw_only=True, frozen=True):
    """An ODCS v3 data contract."""

    api_version: Annotated[str, Meta(pattern=r"^v3\.\d+\.\d+$")]
    kind: Literal["DataContract"]
    id: Text
    name: str = ""
    version: Annotated[str, Meta(pattern=r"^\d+\.\d+\.\d+$")]
    status: Literal["proposed", "draft", "active", "deprecated", "retired"]
    domain: str = ""
    tenant: str = ""
    data_product: str = ""
    tags: list[str] = []
    description: Description = Description()
    team: Team
    support: Annotated[list[SupportItem], Meta(min_length=1)]
    schema: Annotated[list[SchemaObject], Meta(min_length=1, max_length=1)]
    custom_properties: list[CustomProperty]
