"""Multivariate measurements of servers with labelled segments: `*.npz` with `train`, `test` and `label`."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from config.errors import InputError

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FAMILIES = {"machine": "SMD", "omi": "ASD"}
"""What files are called by, before the first hyphen, and the data set that they are of."""


@dataclass(frozen=True)
class Machine:
    """The measurements of one server, in order; without instants."""

    name: str
    train: Floats
    """Rows by metrics, unlabelled."""
    test: Floats
    labels: Flags
    """Of each row of the test part: whether it is in an anomaly."""

    @property
    def family(self) -> str:
        """The data set that it is of."""
        prefix = self.name.partition("-")[0]
        return FAMILIES.get(prefix, prefix)


def load(folder: Path) -> list[Machine]:
    """Read all machines of a folder, in the order of their names.

    Raises:
        InputError: there are none, or a file is not what the benchmark's files are.
    """
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise InputError(f"{folder}: no *.npz in it", remedy="Name the folder that holds one file per machine.")
    return [_read(file) for file in files]


def _read(file: Path) -> Machine:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            train, test, label = (np.asarray(arrays[name]) for name in ("train", "test", "label"))
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{file}: {type(error).__name__} {error}", remedy="It needs the arrays train, test and label."
        ) from None
    if train.ndim != 2 or test.ndim != 2 or train.shape[1] != test.shape[1] or label.shape != test.shape[:1]:
        raise InputError(
            f"{file}: train is {train.shape}, test {test.shape}, label {label.shape}",
            remedy="Train and test are rows by metrics, of the same metrics; label has one number per row of test.",
        )
    return Machine(file.stem, train.astype(np.float64), test.astype(np.float64), label > 0)
