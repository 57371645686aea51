"""`forestall policy diff`: what a new policy would have done otherwise, and whether it is anywhere looser."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from config.agents.load import load_manifests
from config.errors import CheckFailed, UsageError
from config.policies.bundle import Bundle, show
from config.policies.documents import OUTCOMES
from config.policies.signatures import ROLE
from config.policies.versions import load_policy
from dataflows.cli.console import json_option, out, print_json, print_line, print_rows, progress
from operators.looser import Comparison, Place, compare
from operators.recorded_diff import RecordedDiff, Segment, Treated
from replay.backtest.dumps import recorded as recorded_folder
from replay.backtest.run import replayed
from sinks import queries
from sinks.store import Store

Row = dict[str, Any]
BUNDLE, CANDIDATE = "FORESTALL_POLICY_BUNDLE", "FORESTALL_POLICY_CANDIDATE"

SAID = {
    "observe": "watched only",
    "recommend": "shown to a person",
    "approve": "done if people consent",
    "act": "done without asking",
}
ID_SHOWN = 12
CHANGES = {
    "equivalent": "decides the same on all facts",
    "tightening": "is nowhere looser, and tighter in places",
    "loosening": "is looser in places",
    "undecided": "may be looser in places: it cannot be told",
}


@click.command()
@click.argument("old", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="OLD")
@click.argument("new", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="NEW")
@click.option("--store", "store_url", metavar="URL", help="Hold both against the decisions in a store.")
@click.option(
    "--recording",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Replay a recording under OLD, with NEW in shadow, and hold both against the decisions.",
)
@click.option("--mode", type=click.Choice(OUTCOMES), help="As if the job had this mode. [as recorded]")
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Rows of each table.")
@click.option("--fail-if-looser", is_flag=True, help="Exit with 1 unless NEW is nowhere looser.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Settings (TOML) of the replay.")
@json_option
def diff(
    old: Path,
    new: Path,
    store_url: str | None,
    recording: Path | None,
    mode: str | None,
    top: int,
    fail_if_looser: bool,
    config: Path | None,
    as_json: bool,
) -> None:
    """Tell what the policy in NEW would do otherwise than that in OLD: on past cases, and on any facts at all.

    OLD and NEW are policy bundles; of one with several versions the newest counts. Facts that OLD does not take in are
    not in its decisions: only --recording can judge a NEW that wants them.

    \b
    Examples:
      forestall policy diff config/policies/default my/policy
      forestall policy diff config/policies/default my/policy --recording var/world --mode act
      forestall policy diff OLD NEW --store sqlite:///var/live.db --json
    """
    if store_url is not None and recording is not None:
        raise UsageError("Decisions come from two places.", remedy="Give either --store URL or --recording DIR.")
    manifests = load_manifests()
    before, after = (load_policy(folder, manifests).newest for folder in (old, new))
    comparison = compare(before, after, manifests)
    document: Row = {
        "old": _name(before),
        "new": _name(after),
        "change": comparison.change,
        "kinds": list(comparison.kinds),
        "looser": [asdict(place) for place in comparison.looser],
        "tighter": [asdict(place) for place in comparison.tighter],
        "undecided": [asdict(place) for place in comparison.undecided],
        "recorded": None,
    }
    if store_url is not None or recording is not None:
        with _decided(store_url, recording, (old, new), config) as store:
            document["recorded"] = _held(RecordedDiff(before, after, mode or ""), store, after, recording is not None)
    if as_json:
        print_json(document)
    else:
        _show_recorded(document["recorded"], _described(before) | _described(after), top)
        _show_comparison(comparison, before, after, top)
    if fail_if_looser and comparison.change not in ("equivalent", "tightening"):
        raise CheckFailed(
            f"The new policy {CHANGES[comparison.change]}.",
            remedy="See the examples; a loosening change needs the signatures of two people.",
        )


def _described(bundle: Bundle) -> dict[str, str]:
    return {name: f"{name} ({remedy.description.rstrip('.')})" for name, remedy in bundle.remedies.items()}


def _name(bundle: Bundle) -> Row:
    return {"name": bundle.name, "version": bundle.version, "hash": bundle.hash}


@contextmanager
def _decided(
    store_url: str | None, recording: Path | None, policies: tuple[Path, Path], config: Path | None
) -> Iterator[Store]:
    """Yield the store that holds decisions: the one named, or one made now by a replay."""
    if store_url is not None:
        with Store.open(store_url) as store:
            yield store
        return
    assert recording is not None
    variables = dict(zip((BUNDLE, CANDIDATE), (str(folder.resolve()) for folder in policies), strict=True))
    with progress() as bar, recorded_folder(recording) as folder:
        task = bar.add_task("records", total=None)
        advance: Callable[[int, int], None] = lambda done, total: bar.update(task, completed=done, total=total)  # noqa: E731
        with replayed(folder, config, advance, variables) as store:
            bar.stop()
            yield store


def _held(diff: RecordedDiff, store: Store, new: Bundle, is_replayed: bool) -> Row:
    """Hold all decisions of a store against both policies.

    Of a replay the records of the candidate in shadow are read: they hold the facts that either policy wants.
    """
    for one in queries.recorded(store, "shadow" if is_replayed else "decision"):
        if not is_replayed or one.bundle == new.hash:
            diff.add(one.case_id, one.at, one.facts)
    customers = queries.customers_of(store, diff.cases)
    acted, paid = diff.newly_acted(moving_money=False), diff.newly_acted(moving_money=True)
    segments = [_segment(segment, treated, customers) for segment, treated in diff.segments.items()]
    return {
        "decisions": diff.decisions,
        "unknown": dict(sorted(diff.unknown.items())),
        "different": sum(row["decisions"] for row in segments),
        "cases": len(diff.cases),
        "customers": len({customers[case] for case in diff.cases if case in customers}),
        "newly_acted": {"cases": len(acted), "money_at_risk": round(sum(acted.values()), 2)},
        "money_newly_moved": {"cases": len(paid), "money_at_risk": round(sum(paid.values()), 2)},
        "segments": sorted(segments, key=lambda row: (-row["cases"], row["agent"], row["kind"], row["would_be"])),
    }


def _segment(segment: Segment, treated: Treated, customers: Row) -> Row:
    return {
        "agent": segment.agent,
        "kind": segment.kind,
        "is": f"{segment.old_outcome} {segment.old_remedy}".rstrip(),
        "would_be": f"{segment.new_outcome} {segment.new_remedy}".rstrip(),
        "decisions": treated.decisions,
        "cases": len(treated.cases),
        "customers": len({customers[case] for case in treated.cases if case in customers}),
        "money_at_risk": round(sum(treated.cases[case] for case in sorted(treated.cases)), 2),
        "rules": [
            {"is": old, "would_be": new, "decisions": count} for (old, new), count in sorted(treated.rules.items())
        ],
        "examples": sorted(treated.cases)[:3],
    }


def _show_recorded(recorded: Row | None, remedies: Mapping[str, str], top: int) -> None:
    if recorded is None:
        return
    acted, paid = recorded["newly_acted"], recorded["money_newly_moved"]
    out.print(
        f"Of {recorded['decisions']:,} decisions {recorded['different']:,} would have been others: on "
        f"{recorded['cases']:,} cases, of {recorded['customers']:,} customers."
    )
    out.print(
        f"Newly without a person: {acted['cases']:,} cases, with {acted['money_at_risk']:,.2f} at risk; of these money "
        f"would be moved in {paid['cases']:,}, with {paid['money_at_risk']:,.2f} at risk."
    )
    for fact, count in recorded["unknown"].items():
        out.print(f"{count:,} decisions cannot be judged: they do not hold the fact {fact}; --recording can.")
    for segment in recorded["segments"][:top]:
        for line in _instead(segment, remedies):
            print_line(line)
    _tell_more(recorded["segments"], top)


def _instead(segment: Row, remedies: Mapping[str, str]) -> Iterator[str]:
    """Yield what would be done instead of what, with whom, as lines for a person who knows no rule by name."""
    money = f", {segment['money_at_risk']:,.2f} at risk" if segment["money_at_risk"] else ""
    yield f"{segment['cases']:,} cases of {segment['kind']} (found by {segment['agent']}){money}"
    for when, what in (("today", segment["is"]), ("would be", segment["would_be"])):
        outcome, _, remedy = what.partition(" ")
        yield f"  {when + ':':10}{SAID[outcome]}{f': {remedies.get(remedy, remedy)}' if remedy else ''}"
    rules = [f"{row['is']} → {row['would_be']} ({row['decisions']:,})" for row in segment["rules"]]
    yield f"  {'rules:':10}{'; '.join(rules)}"
    yield f"  {'such as:':10}{', '.join(case[:ID_SHOWN] for case in segment['examples'])}"


def _show_comparison(found: Comparison, old: Bundle, new: Bundle, top: int) -> None:
    people = "one person" if found.change in ("equivalent", "tightening") else "two people"
    out.print(
        f"On any facts: {found.change}. The new policy {CHANGES[found.change]}. Where policies have to be signed, it "
        f"takes {people} with the role {ROLE}."
    )
    for title, places in (
        ("Looser, for example", found.looser),
        ("Not to be told", found.undecided),
        ("Tighter, for example", found.tighter),
    ):
        rows = [
            {
                "kind": place.kind,
                "is": f"{place.old_outcome} {place.old_remedy}".rstrip() if place.old_rule else "",
                "would_be": f"{place.new_outcome} {place.new_remedy}".rstrip() if place.new_rule else "",
                "rules": f"{place.old_rule} → {place.new_rule}" if place.old_rule or place.new_rule else "",
                "where": place.because or _told(place, old, new),
            }
            for place in places[:top]
        ]
        print_rows(title, ("kind", "is", "would_be", "rules", "where"), rows)
        _tell_more(places, top)


def _tell_more(rows: list[Any], top: int) -> None:
    if len(rows) > top:
        out.print(f"… and {len(rows) - top:,} more: --top, --json", markup=False)


def _told(place: Place, old: Bundle, new: Bundle) -> str:
    """Return the facts of an example that the conditions of the two rules name; all others are alike or free."""
    names = {
        name
        for bundle, rule_id in ((old, place.old_rule), (new, place.new_rule))
        for rule in bundle.rules
        if rule.id == rule_id
        for name in rule.when.names
    }
    types = {**old.facts, **new.facts}
    told = [name for name in sorted(names or place.facts) if name in place.facts and name in types and name != "kind"]
    return ", ".join(f"{name} {show(place.facts[name], types[name].type)}" for name in told)
