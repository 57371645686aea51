"""`forestall autonomy`: how far remedies may go by themselves, and what they earned and lost that by."""

from __future__ import annotations

from pathlib import Path

import click

from config.clock import to_text
from dataflows.cli.console import ForestallGroup, json_option, out, print_json, print_line, print_rows
from dataflows.cli.reports import store_option
from operators.standing import ALL
from replay import pictures
from replay.autonomy_picture import draw
from sinks.autonomy import KEY, Row, histories, standings
from sinks.store import Store


@click.group(cls=ForestallGroup)
def autonomy() -> None:
    """Show how far remedies may go by themselves."""


@autonomy.command()
@store_option
@click.option("--agent", metavar="NAME", help="Only what this agent finds.")
@click.option("--remedy", metavar="NAME", help="Only this remedy.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw levels over time, and what they were earned and lost by, into a picture.",
)
@json_option
def show(store_url: str, agent: str | None, remedy: str | None, plot: Path | None, as_json: bool) -> None:
    """Show the level of each remedy, for each agent and segment of cases: since when and why, what counts of the
    outcomes of its actions, and what is missing for the next level.

    \b
    Example:
      forestall autonomy show --store sqlite:///var/world.db
      forestall autonomy show --store sqlite:///var/world.db --plot var/levels.svg
    """

    def chosen(found: list[Row]) -> list[Row]:
        # What is told of all remedies of an agent is told of each.
        return [
            row for row in found if agent in (None, row["agent"]) and (remedy is None or row["remedy"] in (remedy, ALL))
        ]

    if plot is not None:
        pictures.check(plot)
    with Store.open(store_url) as opened:
        rows = chosen(standings(opened))
        if plot is not None:
            pictures.save(draw(chosen(histories(opened))), plot)
    if as_json:
        print_json({"autonomy": rows})
        return
    if not rows:
        of = "".join(f" of {what} {name!r}" for what, name in (("agent", agent), ("remedy", remedy)) if name)
        print_line(f"Nothing{of} was decided that autonomy bounds.")
    columns = ("agent_remedy_segment", "level", "helped", "failed", "false", "missing_for_more")
    print_rows("Autonomy", columns, [_cells(row) for row in rows])
    changed = [_cells(row) for row in rows if row["since"] is not None]
    print_rows("Last changes", ("agent_remedy_segment", "since", "level", "cause", "reason"), changed)
    foreign = sum(row["foreign"] for row in rows)
    if foreign:
        out.print(f"{foreign:,} outcomes that counted are of no action of this store: see who writes them.")


def _cells(row: Row) -> Row:
    heard, outcomes = row["outcomes"] > 0, f"{row['verified']:,} of {row['outcomes']:,}"
    unknown = f"{row['ignored']:,} outcomes were ignored" if row["ignored"] and not row["counted"] else ""
    return row | {
        "agent_remedy_segment": " ".join(row[name] for name in KEY),
        "level": row["level"] or "",
        "since": "" if row["since"] is None else to_text(row["since"]),
        "helped": f"{outcomes} (>= {row['success_low']:.0%})" if heard else "",
        "false": f"{row['false_actions']:,} (<= {row['false_high']:.0%})" if heard else "",
        "missing_for_more": "; ".join(row["missing"]) or unknown,
    }
