"""People with keys, the answers they give to requests, and a case stage that asks them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from itertools import count
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import msgspec
import yaml

from config.clock import DAY, HOUR, to_text
from config.events import Event
from config.keys import Key, Keys, public_text, sign
from config.policies.bundle import Bundle
from config.policies.load import DEFAULT_FOLDER
from config.policies.versions import Versions
from operators.approvals import ANSWERED, Answer
from operators.cases import CaseLogic, CaseSettings
from operators.decide import Decider
from tests.support.cloudevents import cloud_event
from tests.support.findings import Stage, finding
from tests.support.private_keys import private_key

DESK, DUTY = "team-b", "duty-manager"
"""The owner of the rules of small bundles, and their escalation."""

_offsets = count()


def public_key(name: str, *roles: str, valid_from: int = 0, revoked_at: int | None = None) -> Key:
    """Return the entry of a person's key in a key file."""
    public = private_key(name).public_key().public_bytes_raw()
    return Key(name, frozenset(roles or (DESK, DUTY)), public, valid_from, revoked_at)


def keys_of(*keys: Key) -> Keys:
    """Return what a key file with `keys` says."""
    return Keys("security", {key.person: (key,) for key in keys})


def signed(request: dict[str, Any], by: str, at: int, *, signer: str = "", **changes: Any) -> Answer:
    """Return a person's answer to a request as it was put out, changed before it is signed."""
    said = {name: request[name] for name in ("request_id", "case_key", "digest")}
    said |= {"answer": "approve", "approver": by, "role": request["roles"][0], "answered_at": at} | changes
    return Answer(**said).signed_by(lambda message: sign(private_key(signer or by), message))


def write_keys(file: Path, people: Mapping[str, Iterable[str]]) -> Path:
    """Write a key file with the keys of `people` and their roles."""
    entries = [
        {
            "person": name,
            "roles": list(roles),
            "public_key": public_text(private_key(name)),
            "valid_from": "2000-01-01T00:00:00Z",
        }
        for name, roles in people.items()
    ]
    file.write_text(yaml.safe_dump({"owner": "security", "keys": entries}))
    return file


def asking_policy(folder: Path) -> Path:
    """Write a policy that is the default one, but asks people about all that is to be done about orders."""
    table = copytree(DEFAULT_FOLDER, folder, ignore=ignore_patterns("cases")) / "fulfilment.yaml"
    table.write_text(table.read_text().replace("outcome: recommend", "outcome: approve"))
    return folder


def record_of(answer: Answer, at: int, identity: str) -> bytes:
    """Return the control record with an answer, as it stands on a topic."""
    data = msgspec.to_builtins(answer) | {"answered_at": to_text(answer.answered_at)}
    return cloud_event(ANSWERED, data, id=identity, time=to_text(at))


def event_of(answer: Answer, at: int) -> Event:
    """Return the control record with an answer that takes effect at `at`, a new one each time."""
    offset = next(_offsets)
    return Event(
        at, f"approver|{offset}", answer.case_key, ANSWERED, msgspec.to_builtins(answer), "approvals/0", offset
    )


PEOPLE = keys_of(
    public_key("maria"),
    public_key("joao"),
    public_key("ana", DUTY),
    public_key("rui", revoked_at=2 * HOUR),
    public_key("eva", valid_from=DAY),
)


def late(at: int = HOUR, **given: Any) -> Event:
    """Return a finding that asks, changed as `given`."""
    return finding(**({"kind": "order.late", "at": at, "confidence": 0.95} | given)).event("c1")


class Desk:
    """A case stage of the bundle, and what it puts out, by type."""

    def __init__(self, *bundles: Bundle, keys: Keys = PEOPLE, mode: Any = "recommend") -> None:
        settings = CaseSettings(dedupe_ttl=timedelta(days=1))
        self.stage = Stage(CaseLogic(Decider(Versions(bundles), mode), settings, keys=keys))
        self.out: list[Event] = []

    def feed(self, *events: Event, until: int = 0) -> list[Event]:
        until = until or max(event.at for event in events) + 1
        made = [event for _, event in self.stage.feed(events, until)]
        self.out += made
        return made

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event.data for event in self.out if event.type == kind]

    def ask(self, *events: Event) -> dict[str, Any]:
        self.feed(*(events or (late(),)))
        request: dict[str, Any] = self.of("approval.requested")[-1]
        return request

    def answer(self, request: dict[str, Any], by: str, at: int = 2 * HOUR, **changes: Any) -> list[Event]:
        return self.feed(event_of(signed(request, by, at, **changes), at))

    def refused(self, request: dict[str, Any], by: str, at: int = 2 * HOUR, **changes: Any) -> str:
        made = self.answer(request, by, at, **changes)
        assert [event.type for event in made] == ["approval.refused"], made
        return str(made[0].data["reason"])

    @property
    def ended(self) -> list[str]:
        return [each["end"] for each in self.of("approval.closed")]
