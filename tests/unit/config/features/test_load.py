from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import SettingsError
from config.features.load import FOLDER, load_view, load_views

TEXT = (FOLDER / "order_progress.yaml").read_text()


def view(folder: Path, text: str, name: str = "order_progress") -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(text)
    return file


def test_the_views_that_come_with_the_job_are_read() -> None:
    views = load_views()
    assert list(views) == ["fleet_history", "order_progress"]
    assert len({view.hash for view in views.values()}) == 2
    assert all(view.max_age.total_seconds() > 0 for view in views.values())


def test_the_hash_follows_the_meaning_of_a_number_and_not_its_owner(tmp_path: Path) -> None:
    plain = load_view(FOLDER / "order_progress.yaml").hash
    assert load_view(view(tmp_path, TEXT.replace("owner: customer-experience", "owner: others"))).hash == plain
    assert load_view(view(tmp_path, TEXT.replace("of the order", "of the parcel"))).hash != plain
    assert load_view(view(tmp_path, TEXT.replace("version: 1", "version: 2"))).hash != plain


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("owner: customer-experience\n", "", "missing required field `owner`"),
        ("max_age: P1D", "max_age: soon", "max_age"),
        ("view: order_progress", "view: other", "is 'other' but the file is named"),
        ("name: items", "name: stage", "names one twice"),
        ("features:", "features: [", "not YAML"),
    ],
)
def test_a_view_at_fault_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load_view(view(tmp_path, TEXT.replace(old, new)))


def test_a_view_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_view(tmp_path / "none.yaml")
