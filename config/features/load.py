"""Feature views: `config/features/<view>.yaml`, read and checked.

A view is a named row of numbers that a model reads. Its document says what each number means; the code that computes
it is one piece, run by the job and by `forestall features export` alike. A view's hash is part of what a model is: two
models that read views of different hashes cannot be compared by their weights.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from pathlib import Path

import msgspec

from config.errors import SettingsError
from config.identity import derived_id
from config.yaml_text import read_file

FOLDER = Path(__file__).parent


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One number of a view."""

    name: str
    unit: str
    """`days`, `share`, `count`, `code`."""
    says: str
    """What it is, for a person."""


class FeatureView(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """A view as its file describes it."""

    view: str
    version: int
    """Raised with every change of a number's meaning."""
    owner: str
    entity: str
    """What a row is about: `order`."""
    max_age: timedelta
    """A row older than this describes the past; it is computed anew before a decision rests on it."""
    description: str
    features: list[Feature]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its numbers, in order."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def hash(self) -> str:
        """Digest of what the numbers are: name, version, and each number's name, unit and meaning."""
        parts = [part for feature in self.features for part in (feature.name, feature.unit, feature.says)]
        return derived_id("feature-view", self.view, self.version, *parts)


def load_view(path: Path) -> FeatureView:
    """Read and check one view.

    Raises:
        SettingsError: the file is missing, is not YAML, or a field is missing, unknown, empty or of another type;
            the message names file and field.
    """
    view = read_file(path, FeatureView, "a feature view", "Correct that field; see the other views.")
    if view.view != path.stem:
        raise SettingsError(
            f"{path}: view is {view.view!r} but the file is named {path.name!r}.", remedy="Give both the same name."
        )
    if not view.names or len(set(view.names)) != len(view.names):
        raise SettingsError(f"{path}: features is empty or names one twice.", remedy="Name each number once.")
    return view


def load_views(folder: Path = FOLDER) -> dict[str, FeatureView]:
    """Read every view of `folder`; views by name, in order of name.

    Raises:
        SettingsError: as `load_view`.
    """
    views = [load_view(path) for path in sorted(folder.glob("*.yaml"))]
    return {view.view: view for view in views}
