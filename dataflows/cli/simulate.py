"""`forestall simulate`: a recording of a world of which it is known what was true."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from config.clock import to_text
from dataflows.cli.console import json_option, out, print_json, progress, table
from replay.world import LABELS
from replay.world import simulate as simulate_world
from replay.world.model import DAYS_MAX, DAYS_MIN, EVENTS_MIN, spec_of
from replay.world.scenario import PLAIN, Mix, load_scenario, names


@click.command()
@click.option("--seed", type=click.IntRange(min=0), required=True, metavar="N", help="The same seed, the same bytes.")
@click.option(
    "--events",
    type=click.IntRange(min=EVENTS_MIN),
    metavar="N",
    help="How many records it shall have; a scenario may say so instead.",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Folder of the recording; must be new.",
)
@click.option(
    "--days",
    type=click.IntRange(DAYS_MIN, DAYS_MAX),
    metavar="D",
    help="Its length; by default the scenario's, or 10 to 21, so that services are measured every minute or two.",
)
@click.option(
    "--mix",
    type=click.Choice(["full", "telemetry"]),
    help="full, as usual: a tenth orders and CRM, the rest telemetry; telemetry: nothing else.",
)
@click.option(
    "--scenario",
    "scenario_name",
    metavar="FILE",
    help=f"What goes wrong in it, and what only seems to: a YAML file, or one of {', '.join(names())}.",
)
@json_option
def simulate(
    seed: int,
    events: int | None,
    into: Path,
    days: int | None,
    mix: Mix | None,
    scenario_name: str | None,
    as_json: bool,
) -> None:
    """Make a recording of a simulated world of customers, orders, services and trouble.

    Beside the topics lies labels.json: which trouble was there, since when, whom it hurt and when they complained.

    \b
    Example:
      forestall simulate --seed 7 --events 50000 --into var/world
      forestall simulate --seed 7 --scenario default --into var/shop
      forestall simulate --seed 1 --events 5000000 --mix telemetry --into var/dense
    """
    scenario = PLAIN if scenario_name is None else load_scenario(scenario_name)
    spec = spec_of(scenario, seed, events, days, mix)
    with progress() as display:
        task = display.add_task("simulating", total=spec.events)
        manifest, labels = simulate_world(spec, into, lambda made: display.advance(task, made))
    if as_json:
        document = {"folder": str(into), "id": manifest.id, "seed": seed, "days": spec.days, "mix": spec.mix}
        counts = {"topics": manifest.topics, "events": sum(manifest.topics.values()), "issues": labels.by_kind()}
        counts |= {"scenario": scenario.name, "decoys": len(labels.decoys)}
        print_json(document | counts | {"malformed": len(labels.malformed), "labels": str(into / LABELS)})
        return
    out.print(table(f"{into}: recording {manifest.id}", ("topic", "records"), list(manifest.topics.items())))
    out.print(table("labelled issues", ("kind", "issues"), list(labels.by_kind().items())))
    decoys = Counter(decoy.what for decoy in labels.decoys)
    out.print(table("decoys", ("what", "times"), sorted(decoys.items())))
    out.print(
        f"{sum(manifest.topics.values()):,} records until {to_text(spec.until)}, {len(labels.malformed)} of them "
        f"malformed on purpose; labels in {into / LABELS}",
        markup=False,
    )
