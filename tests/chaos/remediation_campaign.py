"""Thousands of worlds of remedies: `python -m tests.chaos.remediation_campaign --seed 1 --seeds 2000`.

Each is one seed: decisions, a target that misbehaves, a network, and kills at every boundary; see
`tests/support/remedy_world.py`. What came of it is reckoned up by `tests/support/remedy_oracle.py`. Controls take a
mechanism away, and must be found out. Prints one line of JSON; exits 1 if anything is wrong.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

from tests.chaos.worlds import Campaign
from tests.support.remedy_check import Checked, check
from tests.support.remedy_world import CONTROLS, Setting


def told(worlds: list[Checked]) -> dict[str, Any]:
    """Return what is told of all worlds."""
    states: Counter[str] = Counter()
    kills: Counter[str] = Counter()
    for one in worlds:
        states.update(one.states)
        kills.update(one.kills)
    return {
        "actions": dict(sorted(states.items())),
        "effects": sum(one.effects for one in worlds),
        "undone": sum(one.undone for one in worlds),
        "kills": dict(sorted(kills.items())),
        "waits_for_room": sum(one.lined_up for one in worlds),
        "calls_that_never_left": sum(one.expired for one in worlds),
    }


CAMPAIGN = Campaign(
    name="remediation_campaign",
    description=__doc__.partition("\n")[0],
    unit="seeds",
    enough=2_000,
    make=Setting,
    check=check,
    counted=lambda _: 1,
    told=told,
    controls=CONTROLS,
    tries=range(60),
)

if __name__ == "__main__":
    sys.exit(CAMPAIGN.main(sys.argv[1:]))
