"""What jobs of a campaign read, and what they must put out: told by an embedded replay of the same records."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from replay.manifest import Idle
from tests.chaos.kafka_plans import SILENCE_S, SLOW_S, Plan
from tests.chaos.kafka_settings import settings_text
from tests.support.chaos import End, job_of, live
from tests.support.chaos_place import Place
from tests.support.verdict import Content, content_of

TRANSACTIONS = (40, 300)
"""Records of a transaction."""


@dataclass(frozen=True)
class Input:
    """What a job reads, and what it must put out."""

    tag: str
    """Its topics are `orders-TAG` and so on."""
    records: int
    reference: Content | None
    """None while it depends on when partitions were idle."""


class Inputs:
    """Makes inputs; those that are there before a job starts serve many jobs.

    Args:
        folder: Where recordings and replays go.
        place: The broker.
        events: Size of a world.
    """

    def __init__(self, folder: Path, place: Place, events: int) -> None:
        self._folder, self._place, self._events = folder, place, events
        self._there: dict[str, Input] = {}

    def of(self, name: str, plan: Plan) -> Input:
        """Return the input of a round; one that comes slowly begins to come."""
        if plan.input in ("there", "transactions"):
            tag = f"{plan.input[0]}{plan.world}"
            if tag not in self._there:
                some = TRANSACTIONS if plan.input == "transactions" else ()
                count = self._place.call("load", tag, plan.world, self._events, transactional=some)
                self._there[tag] = Input(tag, count, self.replayed(tag))
            return self._there[tag]
        silences = (SILENCE_S, SILENCE_S) if plan.input == "silent" else ()
        count = self._place.call("load_slowly", name, plan.world, self._events, SLOW_S, silences)
        return Input(name, count, None if plan.input == "silent" else self.replayed(name))

    def replayed(self, tag: str, idle: Sequence[Idle] = ()) -> Content:
        """Replay a recording of an input; return what that put out.

        Args:
            tag: Of the input.
            idle: When its partitions were idle.
        """
        folder = self._folder / f"reference-{tag}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self._place.call("record", tag, folder / "recording", idle)
        config = folder / "settings.toml"
        config.write_text(settings_text("", [], tag, {}, bool(idle)))
        life = live(msgspec.structs.replace(job_of(folder / "recording", folder), config=str(config)))
        if life.end is not End.WELL:
            raise RuntimeError(f"the embedded replay {life.end.value}: {life.words}")
        return content_of(f"sqlite:///{folder / 'store.db'}")

    def forget(self, made: Input) -> None:
        """Delete an input that served one job only."""
        if made.tag not in self._there:
            self._place.call("forget", made.tag)
            shutil.rmtree(self._folder / f"reference-{made.tag}", ignore_errors=True)
