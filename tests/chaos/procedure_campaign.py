"""Was only done what was allowed: `python -m tests.chaos.procedure_campaign --seed 1 --cases 10000`.

Each world is one seed: findings, flags, people and forgers, a policy in two versions, a target that misbehaves, kills
at every boundary; see `tests/support/procedure_world.py`. What was allowed is reckoned up naively, by
`tests/support/procedure_oracle.py`. Controls break something, and must be found out. Prints one line of JSON; exits 1
if anything is wrong.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

from tests.chaos.worlds import Campaign
from tests.support.procedure_check import Checked, check
from tests.support.procedure_controls import CONTROLS
from tests.support.procedure_world import ProcedureSetting


def told(worlds: list[Checked]) -> dict[str, Any]:
    """Return what is told of all worlds."""
    seen: Counter[str] = Counter()
    for one in worlds:
        seen.update(one.seen)
    return {
        "cases": sum(one.cases for one in worlds),
        "violations": sum(len(one.wrong) for one in worlds),
        "seen": dict(sorted(seen.items())),
        "kills": sum(len(one.kills) for one in worlds),
    }


CAMPAIGN = Campaign(
    name="procedure_campaign",
    description=__doc__.partition("\n")[0],
    unit="cases",
    enough=10_000,
    make=ProcedureSetting,
    check=check,
    counted=lambda one: one.cases,
    told=told,
    controls=CONTROLS,
    tries=range(120),
)

if __name__ == "__main__":
    sys.exit(CAMPAIGN.main(sys.argv[1:]))
