"""A policy as it changes: the versions of one bundle, each from its date on, in event time.

So a replay decides by the version that was in force when it happened, and a version can be put in place before its day.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.agents.load import Manifest
from config.errors import PolicyError
from config.policies.bundle import Bundle
from config.policies.load import DEFAULT_FOLDER, MAIN, load_bundle
from config.policies.modes import standing


@dataclass(frozen=True)
class Versions:
    """The versions of one bundle, at least one, in the order of the dates from which they decide."""

    bundles: tuple[Bundle, ...]
    shadow_only: Mapping[str, str] = field(default_factory=dict)
    """By the hash of a version that may not decide, the reason, and who may change that."""
    _dates: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_dates", tuple(bundle.effective_from for bundle in self.bundles))

    def at(self, now: int) -> Bundle | None:
        """Return the version in force at an event time: the latest that has come and may decide; None without any."""
        return next((bundle for bundle in self._come(now) if bundle.hash not in self.shadow_only), None)

    def beside(self, now: int) -> Bundle | None:
        """Return the version that would be in force at an event time if it might decide, None where it does."""
        latest = next(iter(self._come(now)), None)
        return None if latest is None or latest.hash not in self.shadow_only else latest

    def _come(self, now: int) -> tuple[Bundle, ...]:
        """Return the versions whose date has come, the latest first."""
        return self.bundles[: bisect_right(self._dates, now)][::-1]

    def next_after(self, now: int) -> int | None:
        """Return when the next version takes effect, None where none does."""
        return next((at for at in self._dates if at > now), None)

    @property
    def first(self) -> Bundle:
        """The version that was in force first."""
        return self.bundles[0]

    @property
    def newest(self) -> Bundle:
        """The version with the latest date."""
        return self.bundles[-1]

    def is_live(self, agent: str, kind: str, now: int) -> bool:
        """Return whether findings of a kind can lead to anything at an event time, whatever the facts."""
        bundle = self.at(now)
        mode = None if bundle is None else standing(bundle.modes, agent, kind)
        return mode is None or mode.is_live

    @property
    def features(self) -> frozenset[str]:
        """Evidence features that any version takes facts from."""
        return frozenset[str]().union(*(bundle.features for bundle in self.bundles))


def load_policy(folder: Path = DEFAULT_FOLDER, manifests: Mapping[str, Manifest] | None = None) -> Versions:
    """Load a policy: the one bundle in `folder`, or the bundles in its subfolders, which are versions of one.

    Args:
        folder: Holds `bundle.yaml`, or folders that do.
        manifests: Of the agents whose findings it decides about; those that come with Forestall by default.

    Raises:
        PolicyError: as `load_bundle`; or the versions have different names, or two the same version or date.
    """
    return Versions(tuple(bundle for bundle, _ in load_versions(folder, manifests)))


def load_versions(folder: Path, manifests: Mapping[str, Manifest] | None = None) -> list[tuple[Bundle, Path]]:
    """Load the versions of a policy, in the order of their dates, each with its folder; see `load_policy`.

    Raises:
        PolicyError: as `load_policy`.
    """
    loaded = sorted(
        ((load_bundle(each, manifests), each) for each in version_folders(folder)),
        key=lambda pair: pair[0].effective_from,
    )
    for position, (bundle, place) in enumerate(loaded):
        for other, _ in loaded[:position]:
            _check_apart(bundle, other, place / MAIN)
    return loaded


def version_folders(folder: Path) -> list[Path]:
    """Return the folders of a policy's versions, by name: `folder` itself if it has a `bundle.yaml`.

    Raises:
        PolicyError: there is no policy.
    """
    if (folder / MAIN).exists():
        return [folder]
    below = sorted(path.parent for path in folder.glob(f"*/{MAIN}"))
    if not below:
        what = "there is no policy in it" if folder.is_dir() else "there is no such folder"
        raise PolicyError(
            f"{folder}: {what}.", remedy=f"Name a folder that holds {MAIN}, or folders that do: one for each version."
        )
    return below


def _check_apart(bundle: Bundle, other: Bundle, file: Path) -> None:
    """Check that two bundles are versions of one, of which each instant has one."""
    if other.name != bundle.name:
        raise PolicyError(
            f"{file}: name is {bundle.name!r}, but another version beside it is of {other.name!r}",
            remedy="Keep one bundle, with its versions, in one folder.",
        )
    if other.effective_from == bundle.effective_from:
        raise PolicyError(
            f"{file}: effective_from is that of version {other.version} too", remedy="Give each its own date."
        )
    if other.version == bundle.version:
        raise PolicyError(f"{file}: version {bundle.version!r} is there twice", remedy="Give each its own number.")
