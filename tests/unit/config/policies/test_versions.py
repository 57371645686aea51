from pathlib import Path
from shutil import copytree

import pytest

from config.clock import from_text
from config.errors import PolicyError
from config.policies.load import DEFAULT_FOLDER, load_default
from config.policies.versions import Versions, load_policy

FIRST, SECOND = "2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two versions whose folders are named against their order."""
    for name, version, date in (("b", "1.0.0", FIRST), ("a", "1.1.0", SECOND)):
        main = copytree(DEFAULT_FOLDER, tmp_path / name) / "bundle.yaml"
        text = main.read_text().replace("1.0.0", version).replace("1970-01-01T00:00:00Z", date)
        main.write_text(text)
    return tmp_path


def test_version_is_in_force_from_its_date_until_that_of_the_next(folder: Path) -> None:
    policy = load_policy(folder)
    first, second = from_text(FIRST), from_text(SECOND)
    found = [policy.at(now) for now in (first - 1, first, second - 1, second, second * 2)]
    assert [bundle and bundle.version for bundle in found] == [None, "1.0.0", "1.0.0", "1.1.0", "1.1.0"]
    assert (policy.first.version, policy.newest.version) == ("1.0.0", "1.1.0")


def test_features_are_those_of_all_versions(folder: Path) -> None:
    main = folder / "a" / "bundle.yaml"
    main.write_text(
        main.read_text().replace("facts:", "facts:\n  x: {type: bool, nullable: true, feature: x, description: d}", 1)
    )
    assert load_policy(folder).features == load_default().features | {"x"}


def test_folder_of_one_bundle_is_a_policy_of_one_version() -> None:
    assert [bundle.hash for bundle in load_policy(DEFAULT_FOLDER).bundles] == [load_default().hash]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: default", "name: other", "another version beside it is of 'default'"),
        (SECOND, FIRST, "effective_from is that of version 1"),
        (SECOND, "2026-01-01T02:00:00+02:00", "effective_from is that of version 1"),
        ("1.1.0", "1.0.0", "version '1.0.0' is there twice"),
    ],
)
def test_versions_that_cannot_stand_beside_each_other_are_refused(
    folder: Path, old: str, new: str, message: str
) -> None:
    main = folder / "a" / "bundle.yaml"
    main.write_text(main.read_text().replace(old, new))
    with pytest.raises(PolicyError, match=message) as raised:
        load_policy(folder)
    assert "bundle.yaml" in raised.value.message


def test_folder_without_any_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"there is no policy in it"):
        load_policy(tmp_path)


def test_version_that_may_not_decide_stands_beside_the_one_that_does(folder: Path) -> None:
    whole = load_policy(folder)
    first, second = whole.bundles
    policy = Versions(whole.bundles, {second.hash: "nobody signed it"})
    at, later = from_text(FIRST), from_text(SECOND)
    assert [(policy.at(now), policy.beside(now)) for now in (at - 1, at, later)] == [
        (None, None),
        (first, None),
        (first, second),
    ]
    assert Versions(whole.bundles, {first.hash: "…"}).at(at) is None
    assert Versions(whole.bundles, {first.hash: "…"}).beside(at) == first
    assert Versions(whole.bundles, {first.hash: "…"}).beside(later) is None
    assert [whole.beside(now) for now in (at, later)] == [None, None]
