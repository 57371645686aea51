"""What every command shares: tables for people, JSON for programs, progress on a terminal, exit codes."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from config.errors import EnvironmentFault, ForestallError

F = TypeVar("F", bound=Callable[..., Any])

PIPED_WIDTH = 120
"""Columns of a table that goes to a file or another program, whose width nobody knows."""

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, highlight=False, soft_wrap=True)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")


def print_json(document: object) -> None:
    """Print `document` as one line of JSON on standard output."""
    sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table; columns whose every cell is a number are aligned to the right.

    Cells come from events, so markup in them is shown, not obeyed, and control characters are escaped.
    """
    cells = [[_shown(cell) for cell in row] for row in rows]
    made = Table(title=title, title_justify="left", header_style="bold")
    for position, name in enumerate(columns):
        numeric = bool(cells) and all(row[position].replace(",", "").replace(".", "").isdigit() for row in cells)
        made.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        made.add_row(*(cell.replace("[", r"\[") for cell in row))
    return made


def print_rows(title: str, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """Print a table of what `rows` hold under the names of `columns`; nothing where there are none."""
    if rows:
        headings = [column.replace("_", " ") for column in columns]
        out.print(table(title, headings, [[row[column] for column in columns] for row in rows]))


def print_line(text: str) -> None:
    """Print text that may come from events: neither markup nor control characters have an effect."""
    out.print(_escaped(text), markup=False)


def counted(number: int, one: str, more: str) -> str:
    """Return a number with what it counts: `1 rule does`, `2 rules do`."""
    return f"{number:,} {one if number == 1 else more}"


def _shown(cell: object) -> str:
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"{cell:,}"
    return _escaped("" if cell is None else str(cell))


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def progress() -> Progress:
    """Return a progress display on standard error, silent where that is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        disable=not sys.stderr.isatty(),
        transient=True,
    )


class ForestallGroup(click.Group):
    """A command group that shows our errors as one message with its remedy and exits with the error's code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except ForestallError as error:
            _complain(error.message, error.remedy)
            ctx.exit(error.exit_code)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # Click's own ways to end
        except OSError as error:
            _complain(f"{error.filename or 'the system'}: {error.strerror}", "Check the disk and its permissions.")
            ctx.exit(EnvironmentFault.exit_code)
        except Exception as error:
            # Where it happened, without its words: they may quote what is in a record.
            where = traceback.extract_tb(error.__traceback__)[-1]
            _complain(
                f"unexpected {type(error).__name__} in {where.name}, {where.filename}:{where.lineno}",
                "This is a defect of Forestall: report it with this line.",
            )
            ctx.exit(EnvironmentFault.exit_code)


def _complain(message: str, remedy: str) -> None:
    err.print(f"error: {message}", markup=False)
    if remedy:
        err.print(f"remedy: {remedy}", markup=False)
