"""The output of a key group depends only on the content of its channels."""

from __future__ import annotations

import random
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from config.events import Event
from operators.frame import Frame
from operators.keyed import KeyedGroup
from operators.logic import Context
from tests.support.examples import examples

CHANNELS = ("a", "b", "c")


class Count(msgspec.Struct, array_like=True):
    events: int = 0
    last: str = ""


class OrderSensitive:
    """Its outputs tell every order of events and timers from every other."""

    name = "order"
    state_type = Count
    state_version = 1
    dedupe_ttl = 20

    def new_state(self, key: str) -> Count:
        return Count()

    def on_event(self, key: str, state: Count, event: Event, context: Context) -> None:
        state.events += 1
        if state.events % 3 == 0:
            context.set_timer("t", context.now + event.seq % 7)
        self._note(key, state, event.id, context)
        if state.events % 11 == 0:
            context.forget()

    def on_timer(self, key: str, state: Count, timer: str, context: Context) -> None:
        self._note(key, state, timer, context)

    def on_partial(self, key: str, state: Count, partial: Any, context: Context) -> None:
        raise AssertionError

    def migrate(self, version: int, state: Any) -> Count:
        raise AssertionError

    @staticmethod
    def _note(key: str, state: Count, what: str, context: Context) -> None:
        state.last = f"{state.last[-60:]}{what},"
        context.emit("next", Event(context.now, f"{what}<{state.last}", key, "note", None))


events = st.lists(
    st.tuples(st.integers(0, 25), st.sampled_from("kl"), st.integers(0, 40)), max_size=60
)  # few times and ids: heavy ties and duplicates
contents = st.fixed_dictionaries(dict.fromkeys(CHANNELS, events))


def run(content: dict[str, list[tuple[int, str, int]]], lateness: int, seed: int) -> tuple[list[Any], list[Any]]:
    """Cut, interleave, kill and resume at the instants that `seed` draws; lateness is decided per channel."""
    rng = random.Random(seed)
    group = KeyedGroup(OrderSensitive(), CHANNELS)
    position, top = dict.fromkeys(CHANNELS, 0), dict.fromkeys(CHANNELS, -1)
    deltas: list[bytes] = []
    outputs: list[Any] = []
    late: list[Any] = []
    while open_channels := [c for c in CHANNELS if position[c] <= len(content[c])]:
        channel = rng.choice(open_channels)
        size = rng.randrange(1, 9)
        batch = content[channel][position[channel] : position[channel] + size]
        frame_events = []
        for offset, (at, key, identity) in enumerate(batch, position[channel]):
            if at < top[channel] - lateness:
                late.append((channel, offset))
                continue
            top[channel] = max(top[channel], at)
            frame_events.append(Event(at, str(identity), key, "e", None, channel, offset))
        position[channel] += size
        done = position[channel] >= len(content[channel])
        if done:
            position[channel] = len(content[channel]) + 1
        group.receive(Frame(0, channel, 1000 if done else top[channel] - lateness, frame_events, [], done))
        if rng.random() < 0.8:
            outputs += group.advance()
        if rng.random() < 0.3:
            outputs += group.advance()
            deltas.append(group.delta() if deltas else group.whole())
            if rng.random() < 0.5:
                group = KeyedGroup(OrderSensitive(), CHANNELS)
                group.restore(deltas)
    outputs += group.advance()
    return [(e.at, e.key, e.id) for _, e in outputs], sorted(late)


@examples(150)
@given(contents, st.sampled_from([0, 0, 3]), st.integers(0, 2**32))
def test_output_depends_only_on_the_content_of_the_channels(
    content: dict[str, list[tuple[int, str, int]]], lateness: int, seed: int
) -> None:
    assert run(content, lateness, seed) == run(content, lateness, seed + 1)
