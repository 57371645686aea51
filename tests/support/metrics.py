"""Metrics in the process of a test, and what an exporter says, taken apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from config import instruments
from config.instruments import Metric

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]
"""Values by name and labels of a sample."""


def series(text: str) -> Series:
    """Return the samples of a page of metrics."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Series, name: str, **labels: str) -> float:
    """Return one sample's value."""
    return found[name, frozenset(labels.items())]


def total(found: Series, name: str, **labels: str) -> float:
    """Return the sum over all samples of a name that have at least these labels."""
    wanted = frozenset(labels.items())
    return sum(number for (each, of), number in found.items() if each == name and wanted <= of)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Series]]:
    """Metrics are written in this process, from nothing; call it for what was written so far."""
    monkeypatch.setattr(instruments, "_on", True)
    _forget()
    yield _collected
    _forget()


def _forget() -> None:
    for metric in Metric.declared.values():
        metric._series.clear()
        metric._family = None


def _collected() -> Series:
    families: list[Any] = [metric._family for metric in Metric.declared.values() if metric._family is not None]
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for collected in family.collect()
        for sample in collected.samples
    }
