"""`forestall features`: what the models read, written down for whoever wants to look or to learn from it."""

from __future__ import annotations

from pathlib import Path

import click

from config.features.load import load_views
from config.settings import environment, load
from dataflows.cli.console import json_option, out, print_json, progress, table
from replay.backtest.dumps import recorded
from replay.backtest.order_truth import outcomes
from replay.feature_table import check, feature_table, write
from replay.judgements import judge
from replay.recording import Recording


@click.group()
def features() -> None:
    """Feature views: what the models read.

    \b
    Example:
      forestall features list
      forestall features export var/olist --into var/features.parquet
    """


@features.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Show the views and their numbers.

    \b
    Example:
      forestall features list --json
    """
    views = load_views()
    if as_json:
        print_json({
            "views": [
                {"view": name, "version": view.version, "owner": view.owner, "hash": view.hash,
                 "max_age_hours": view.max_age.total_seconds() / 3600,
                 "features": [{"name": f.name, "unit": f.unit, "says": f.says} for f in view.features]}
                for name, view in views.items()
            ]
        })  # fmt: skip
        return
    for name, view in views.items():
        rows = [(feature.name, feature.unit, feature.says) for feature in view.features]
        out.print(table(f"{name} version {view.version}, of {view.owner}", ("number", "unit", "what it is"), rows))


@features.command()
@click.argument("recording", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--into", type=click.Path(path_type=Path), metavar="FILE", required=True, help="Parquet file; must be new."
)
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Settings (TOML) over the defaults.")
@json_option
def export(recording: Path, into: Path, config: Path | None, as_json: bool) -> None:
    """Write the views of each order at each of its checkpoints in DIR, as the job reads them at that instant.

    \b
    Example:
      forestall features export var/olist --into var/features.parquet
    """
    check(into)
    with recorded(recording) as folder, progress() as bar:
        total = sum(Recording.open(folder, verify=False).manifest.topics.values())
        task = bar.add_task("records", total=total)
        judged = judge(folder, load(config, environment()), lambda records: bar.advance(task, records))
        made = feature_table(judged.judgements, load_views(), outcomes(folder))
    write(made, into)
    document = {"into": str(into), "rows": len(made), "orders": made["order"].n_unique(), "columns": made.columns}
    if as_json:
        print_json(document)
    else:
        out.print(f"{into}: {len(made)} checkpoints of {document['orders']} orders, {len(made.columns)} columns")
