"""Whatever the seed, size and length: a world is as large as asked for, ordered, and consistent with its labels."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.world import Spec, World
from tests.support.examples import examples


@pytest.mark.slow
@examples(12)
@given(
    seed=st.integers(0, 2**40),
    events=st.integers(2_500, 12_000),
    days=st.integers(7, 25),
    mix=st.sampled_from(["full", "telemetry"]),
)
def test_any_world_is_sound(seed: int, events: int, days: int, mix: Literal["full", "telemetry"]) -> None:
    spec = Spec(seed, events, days, mix)
    world, made = World(spec), 0
    ends = dict.fromkeys(world.partitions, 0)
    for batch in world.batches():
        assert batch.offsets[0] == ends[batch.topic, batch.partition]
        ends[batch.topic, batch.partition] = batch.offsets[-1] + 1
        assert spec.slices[0][0] <= min(batch.timestamps) * 1000 <= max(batch.timestamps) * 1000 < spec.until
        made += len(batch)
    labels = world.labels()
    assert abs(made - events) <= 0.05 * events
    assert all(m.offset < ends[m.topic, m.partition] for m in labels.malformed)
    assert len({issue.issue_id for issue in labels.issues}) == len(labels.issues)
    assert {"service.degraded", "service.failing"} <= labels.by_kind().keys()
    for issue in labels.issues:
        assert spec.slices[0][0] <= issue.onset < issue.ends_at
        assert issue.harm_at is None or issue.onset < issue.harm_at < spec.until
