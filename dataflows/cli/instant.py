"""Instants on the command line: RFC 3339, or a day."""

from __future__ import annotations

import re
from typing import Any

import click

from config.clock import from_text

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class Instant(click.ParamType[int]):
    """An instant, which becomes microseconds since the epoch. A day alone means its midnight in UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the instant that `value` writes."""
        if isinstance(value, int):
            return value
        text = f"{value}T00:00:00Z" if _DAY.fullmatch(value) else value
        try:
            return from_text(text)
        except ValueError:
            self.fail(f"{value!r} is not a time; write it as 2018-03-01T00:00:00Z or 2018-03-01.", param, ctx)
