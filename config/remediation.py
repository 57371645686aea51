"""How remedies are carried out: the settings of the remediation flow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from config.spec import Spec


@dataclass(frozen=True, kw_only=True)
class Remediation:
    """How remedies are carried out: see `docs/remediation.md`."""

    playbooks: Annotated[Path, Spec("place")]
    """Folder of the playbooks."""
    targets: Annotated[Path | None, Spec("place")]
    """File of the target systems; "" for none, and then nothing is carried out."""
    shards: Annotated[int, Spec("place", 1, 256)]
    """Parts that actions are divided into by entity, fixed for the life of a ledger."""
    act_lag_max: Annotated[timedelta, Spec("place", timedelta(seconds=1), timedelta(days=365))]
    """An action that was decided longer ago than this is only recommended: what it was decided on is stale."""
    flags_stale_after: Annotated[timedelta, Spec("place", timedelta(seconds=1), timedelta(hours=1))]
    """Nothing is begun any more when it is unknown for so long whether a flag was set: the brokers are away."""
    warmup: Annotated[timedelta, Spec("place", timedelta(0), timedelta(days=3650))]
    """So much history must have been observed before anything is carried out."""
