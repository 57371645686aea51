"""Loads a policy bundle: a folder with `bundle.yaml` and the decision tables it lists. Strict: what is not
understood is an error, since a rule that is silently void is worse than a job that does not start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from hashlib import blake2b
from pathlib import Path

import msgspec
import orjson

from config.agents.load import Manifest, load_manifests
from config.duration import parse_duration
from config.errors import PolicyError
from config.expressions import compile_expression
from config.findings import FLEET_AGENT
from config.money import money
from config.policies.approvals import read_approvals
from config.policies.autonomy import Known, read_autonomy
from config.policies.bundle import DEFAULT_RULE, PROVIDED, Bundle, Flag, Remedy, Rule
from config.policies.documents import (
    BundleDocument,
    FactDocument,
    FlagDocument,
    RemedyDocument,
    TableDocument,
    ThresholdDocument,
)
from config.policies.guardrails_load import read_guardrails
from config.policies.modes import ANY, LIFECYCLES, Entry
from config.policies.read import instant, read_part
from config.policies.rules import Names, known
from config.yaml_source import Source

DEFAULT_FOLDER = Path(__file__).parent / "default"
SHIPPED = (DEFAULT_FOLDER, DEFAULT_FOLDER.with_name("hands_on"))
"""The policies that come with Forestall."""
MAIN = "bundle.yaml"
MONEY_MAX = 1_000_000_000


def load_default() -> Bundle:
    """Return the bundle that comes with Forestall."""
    return load_bundle(DEFAULT_FOLDER)


def load_bundle(folder: Path, manifests: Mapping[str, Manifest] | None = None) -> Bundle:
    """Load and check the bundle in `folder`.

    Args:
        folder: Holds `bundle.yaml` and the decision tables it lists.
        manifests: Of the agents whose findings it decides about, by name; those that come with Forestall by default.

    Raises:
        PolicyError: a file is missing or not YAML, a field is unknown, missing or empty, a name is not declared,
            or a condition cannot be read; the message names file, line and rule.
    """
    main = read_part(folder / MAIN, BundleDocument)
    document = main.document
    _check_texts(main)
    for name, fact in document.facts.items():
        _check_fact(f"{main.at('facts', name)}: fact {name!r}", name, fact)
    effective_from = instant(main.at("effective_from"), "effective_from", document.effective_from)
    remedies = {name: _remedy(main, name, remedy) for name, remedy in document.remedies.items()}
    flags = {
        name: Flag(flag.value, instant(main.at("flags", name), "expires", flag.expires))
        for name, flag in document.flags.items()
    }
    names = Names(
        document.facts | {name: FactDocument("bool", flag.description) for name, flag in document.flags.items()},
        {name: threshold.value for name, threshold in document.thresholds.items()},
        remedies,
    )
    _check_distinct(main)
    _check_listed(main)
    tables = [read_part(folder / name, TableDocument) for name in document.tables]
    _check_tables(tables)
    ruled = tuple((tuple(table.document.kinds), tuple(_rules(table, names, document.escalation))) for table in tables)
    manifests = load_manifests() if manifests is None else manifests
    return Bundle(
        name=document.name,
        owner=document.owner,
        escalation=document.escalation,
        version=document.version,
        effective_from=effective_from,
        hash=_hash(document, [table.document for table in tables], manifests),
        facts=names.facts,
        flags=flags,
        remedies=remedies,
        tables=ruled,
        default=_default(main, names),
        modes=_modes(main, names, [rule.id for _, rules in ruled for rule in rules], manifests),
        approvals=read_approvals(document.approvals, document.escalation, lambda *path: main.at("approvals", *path)),
        autonomy=read_autonomy(
            document.autonomy,
            Known(
                [*manifests, FLEET_AGENT],
                remedies,
                document.owner,
                lambda where, source: names.condition(where, source)[0],
                lambda where, what, pattern, among: _matching(where, what, pattern, list(among)),
            ),
            lambda *path: main.at("autonomy", *path),
        ),
        guardrails=read_guardrails(
            document.guardrails, remedies, document.owner, lambda *path: main.at("guardrails", *path)
        ),
    )


def _check_texts(main: Source[BundleDocument]) -> None:
    document = main.document
    for field in ("owner", "escalation", "version"):
        _require(main, getattr(document, field), field)
    described: dict[str, Mapping[str, FactDocument | RemedyDocument | ThresholdDocument | FlagDocument]] = {
        "facts": document.facts,
        "remedies": document.remedies,
        "thresholds": document.thresholds,
        "flags": document.flags,
    }
    for section, entries in described.items():
        for name, entry in entries.items():
            _require(main, entry.description, section, name, "description")


def _require(source: Source[BundleDocument] | Source[TableDocument], text: str, *path: str | int) -> None:
    if not text.strip():
        name = ".".join(map(str, path))
        raise PolicyError(f"{source.at(*path)}: {name} is empty", remedy=f"Fill in {name}.")


def _check_fact(where: str, name: str, fact: FactDocument) -> None:
    if fact.reads:
        if name in PROVIDED:
            raise PolicyError(f"{where} is provided, and takes a feature too", remedy="Give it another name.")
        if fact.hours_until and (fact.feature or fact.type != "number"):
            raise PolicyError(
                f"{where}: hours are a number, and of one feature", remedy="Say type: number, no feature."
            )
        if not fact.nullable:
            raise PolicyError(f"{where}: a feature may be absent", remedy="Declare it nullable: true.")
        return
    known(where, "fact", [name], PROVIDED)
    provided = PROVIDED[name]
    if (fact.type, fact.nullable) != provided:
        wanted = f"type: {provided[0]}, nullable: {str(provided[1]).lower()}"
        raise PolicyError(f"{where} is not what it is declared as", remedy=f"Declare it {wanted}.")


def _check_distinct(main: Source[BundleDocument]) -> None:
    """Check that a name that conditions use means one thing."""
    document = main.document
    for section, entries, others in (
        ("thresholds", document.thresholds, {**document.facts, **document.flags}),
        ("flags", document.flags, document.facts),
    ):
        for name in entries:
            if name in others or name in PROVIDED:
                raise PolicyError(f"{main.at(section, name)}: {name!r} is a fact too", remedy="Give it another name.")


def _check_listed(main: Source[BundleDocument]) -> None:
    listed = {*main.document.tables, MAIN}
    unlisted = sorted(path.name for path in main.file.parent.glob("*.yaml") if path.name not in listed)
    if unlisted:
        raise PolicyError(
            f"{main.at('tables')}: tables do not list {unlisted[0]}",
            remedy=f"Add {unlisted[0]} to tables, or remove the file.",
        )


def _check_tables(tables: Iterable[Source[TableDocument]]) -> None:
    names: set[str] = set()
    for table in tables:
        _require(table, table.document.owner, "owner")
        if table.document.table in names:
            raise PolicyError(
                f"{table.at('table')}: table {table.document.table!r} stands in another file too",
                remedy="Give each table its own name.",
            )
        names.add(table.document.table)


def _rules(table: Source[TableDocument], names: Names, escalation: str) -> Iterable[Rule]:
    ids: set[str] = set()
    for position, rule in enumerate(table.document.rules):
        where = f"{table.at('rules', position)}: rule {rule.id!r}"
        if rule.id in ids:
            raise PolicyError(f"{where}: this id is taken", remedy="Give each rule of a table its own id.")
        ids.add(rule.id)
        yield names.rule(where, table.document, rule, escalation)


def _default(main: Source[BundleDocument], names: Names) -> Rule:
    document, where = main.document, f"{main.at('default')}: default"
    default, always = document.default, compile_expression("true")
    known(where, "remedy", [default.remedy] if default.remedy else [], names.remedies)
    reason = names.text(f"{where} reason", default.reason)
    return Rule(
        DEFAULT_RULE,
        always,
        (always,),
        default.outcome,
        default.remedy,
        reason,
        {},
        document.owner,
        document.escalation,
    )


def _modes(
    main: Source[BundleDocument], names: Names, rules: list[str], manifests: Mapping[str, Manifest]
) -> tuple[Entry, ...]:
    """Return what the section `modes` says, and the lifecycles of agents that are not active, the tightest first."""
    entries = [
        Entry(mode, agent, ANY, ANY, None, f"its lifecycle is {manifest.lifecycle}", manifest.owner)
        for agent, manifest in manifests.items()
        if (mode := LIFECYCLES.get(manifest.lifecycle)) is not None
    ]
    for position, document in enumerate(main.document.modes):
        _require(main, document.reason, "modes", position, "reason")
        where = f"{main.at('modes', position)}: mode {document.mode!r}"
        # A pattern that matches nothing would leave what it was to hold back as it is.
        _matching(where, "agent", document.agent, [*manifests, FLEET_AGENT])
        _matching(where, "rule", document.rule, [*rules, DEFAULT_RULE])
        when = names.condition(where, document.when)[0] if document.when else None
        owner = document.owner or main.document.owner
        entries.append(Entry(document.mode, document.agent, document.kind, document.rule, when, document.reason, owner))
    return tuple(sorted(entries, key=lambda entry: entry.rank))


def _matching(where: str, what: str, pattern: str, among: list[str]) -> None:
    if not any(fnmatchcase(name, pattern) for name in among):
        known(where, what, [pattern], among)


def _remedy(main: Source[BundleDocument], name: str, document: RemedyDocument) -> Remedy:
    try:
        valid_for = parse_duration(document.valid_for)
    except ValueError as error:
        where = f"{main.at('remedies', name)}: remedy {name!r}"
        raise PolicyError(f"{where}: valid_for: {error}", remedy="Write a span such as 4h.") from None
    return Remedy(
        name,
        document.system,
        valid_for,
        document.contacts_customer,
        document.moves_money,
        document.reversible,
        document.description,
        document.side_effect,
        document.owner or main.document.owner,
        _money_max(main, name, document),
    )


def _money_max(main: Source[BundleDocument], name: str, document: RemedyDocument) -> int | None:
    most = document.money_max
    if most is None:
        return None
    where = f"{main.at('remedies', name, 'money_max')}: remedy {name!r}: money_max"
    if not document.moves_money:
        raise PolicyError(f"{where}, but it moves no money", remedy="Say moves_money: true, or leave it out.")
    if not 0 <= most <= MONEY_MAX:
        raise PolicyError(f"{where} is not within 0 and {MONEY_MAX:,}", remedy="Write an amount within it.")
    return money(most)


def _hash(document: BundleDocument, tables: list[TableDocument], manifests: Mapping[str, Manifest]) -> str:
    # How the tables are spread over files is layout: their content stands in for their names.
    content = msgspec.to_builtins(document) | {
        "tables": msgspec.to_builtins(tables),
        "agents": msgspec.to_builtins([manifests[name] for name in sorted(manifests)]),
    }
    return blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
