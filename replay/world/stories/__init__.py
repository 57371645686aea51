"""What single customers live through: stories of trouble, and of what only looks like it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from config.clock import SECOND
from replay.world.issues import Plan
from replay.world.labels import Decoy, Echo, Issue
from replay.world.model import PARTITIONS, Fleet, Spec
from replay.world.stories import charges, fraud, stuck, subscribers, voices
from replay.world.stories.teller import Teller, Told
from replay.world.text import COLUMNS, partition_of

TELLERS: tuple[Callable[[Teller], None], ...] = (
    charges.double_charges, charges.wrong_amounts, charges.lost_refunds, charges.harmless_payments,
    fraud.tested_cards, fraud.taken_accounts, fraud.plundered, fraud.harmless_people,
    stuck.stuck_orders, stuck.oversold, stuck.harmless_stock,
    voices.bad_batches, voices.bad_sellers, voices.unheard, voices.harmless_voices,
    subscribers.subscribers,
)  # fmt: skip


@dataclass(frozen=True)
class Stories:
    """All stories of a world: their events by time, and what is true of them."""

    events: list[Told]
    issues: list[Issue]
    decoys: list[Decoy]
    echoes: list[Echo]

    def slice(self, since: int, until: int) -> dict[str, list[pl.DataFrame]]:
        """Return the records with event times in [since, until), by topic."""
        at = [told.at for told in self.events]
        chosen = self.events[int(np.searchsorted(at, since)) : int(np.searchsorted(at, until))]
        return {topic: [_frame([t for t in chosen if t.topic == topic], topic)] for topic in PARTITIONS if chosen}


def stories(spec: Spec, fleet: Fleet, plan: Plan) -> Stories:
    """Return the stories of a world; a plain one, and one of telemetry only, has none."""
    teller = Teller(spec, fleet, plan)
    if spec.scenario.told and spec.mix == "full":
        for tell in TELLERS:
            tell(teller)
    events = sorted(teller.events, key=lambda told: told.at)
    return Stories(events, teller.issues, teller.decoys, teller.echoes)


def _frame(told: list[Told], topic: str) -> pl.DataFrame:
    """Return events of one topic as records; what is measured comes a second later."""
    delay = SECOND if topic == "telemetry" else 0
    rows = {
        "partition": [partition_of(t.key, PARTITIONS[topic]) for t in told],
        "arrival": [t.at + delay for t in told],
        "at": [t.at for t in told],
        "key": [t.key.encode() for t in told],
        "value": [t.value for t in told],
    }
    return pl.DataFrame(rows, schema=COLUMNS)
