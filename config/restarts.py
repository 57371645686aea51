"""The settings of how a job is started again after its workers died; who obeys them is `dataflows/restarts.py`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from config.spec import Spec

_INSTANT, _DAY = timedelta(0), timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Restarts:
    """How often a live job is started again, and how long is waited before."""

    deaths_max: Annotated[int, Spec("pace", 1, 1_000)]
    """So many deaths `deaths_within` that time are a crash loop: the job ends, with the reason of the last."""
    deaths_within: Annotated[timedelta, Spec("pace", timedelta(seconds=1), _DAY)]
    """Wall time; see `deaths_max`."""
    backoff_first: Annotated[timedelta, Spec("pace", _INSTANT, _DAY)]
    """Wall time from a death to the next life; doubled with each death within `deaths_within`."""
    backoff_max: Annotated[timedelta, Spec("pace", _INSTANT, _DAY)]
    """The longest such time."""
