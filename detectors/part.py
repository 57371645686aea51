"""Detectors inside detectors, described as in a manifest: a method and its parameters."""

from __future__ import annotations

from typing import Any

import msgspec

from detectors.base import Detector, Parameters


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A detector of one number that another one is made of."""

    method: str
    """One of `detectors.methods.METHODS`."""
    parameters: dict[str, Any] = {}
    name: str = ""
    """What to call it; its method, when empty."""

    def described(self) -> Parameters:
        """Return its parameters, checked.

        Raises:
            ValueError: the method is unknown, or a parameter is missing, unknown or wrong.
        """
        from detectors.methods import CONVERTERS  # which names the detectors made of parts, too

        if self.method not in CONVERTERS:
            raise ValueError(f"method is {self.method!r}, must be one of {', '.join(sorted(CONVERTERS))}")
        try:
            return CONVERTERS[self.method](self.parameters)
        except msgspec.ValidationError as error:
            raise ValueError(f"{self.method}: {error}") from error

    def build(self) -> Detector:
        """Return the detector, which knows nothing yet."""
        return self.described().build()

    def called(self) -> str:
        """Return what to call it."""
        return self.name or self.method
