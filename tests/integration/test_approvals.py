"""A person answers without a broker: the answer is a recording that the next replay into the store goes on with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from config.clock import DAY, HOUR
from replay.cut import cut
from replay.recording import Recording
from tests.support.approvals import asking_policy, write_keys
from tests.support.commands import Ended, forestall, store_url
from tests.support.private_keys import private_key
from tests.support.recordings import MADE_AT, record
from tests.support.shop import START, recorded, shop

pytestmark = pytest.mark.slow

MIDDLE = START + 23 * DAY + 12 * HOUR
"""When several requests are open."""


@dataclass(frozen=True)
class Desk:
    """A store that was filled with the first half of a recording, and people with keys."""

    folder: Path
    recording: Recording

    @property
    def store(self) -> str:
        return store_url(self.folder / "store.db")

    @property
    def settings(self) -> Path:
        return self.folder / "job.toml"

    def replay(self, recording: Path) -> dict[str, Any]:
        document: dict[str, Any] = forestall(
            "replay", recording, "--store", self.store, "--config", self.settings, "--json"
        ).document
        return document

    def approvals(self, command: str, *arguments: object) -> Ended:
        return forestall("approvals", command, *arguments, "--store", self.store)

    def open_requests(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.approvals("list", "--json").document["requests"]
        return found

    def key(self, name: str) -> Path:
        file = self.folder / f"{name}.key"
        file.write_bytes(private_key(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.chmod(0o600)
        return file


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("desk")
    content = shop(5)
    whole = record(folder / "whole", recorded(content, stamped=True), recorded_until=content.until)
    cut(whole, folder / "before", created_at=MADE_AT, until=MIDDLE)
    cut(whole, folder / "after", created_at=MADE_AT, from_=MIDDLE)
    keys = write_keys(folder / "keys.yaml", {"maria": ["customer-operations"], "ana": ["head-of-payments"]})
    policy = asking_policy(folder / "policy")
    (folder / "job.toml").write_text(f'policy.bundle = "{policy}"\napprovals.keys = "{keys}"\n')
    made = Desk(folder, whole)
    made.replay(folder / "before")
    return made


def test_who_may_not_answer_is_told_before_anything_is_written(desk: Desk, tmp_path: Path) -> None:
    request = next(row for row in desk.open_requests() if row["roles"][0] == "customer-operations")["request_id"]
    into = ("--config", desk.settings, "--into", tmp_path / "answer")
    desk.approvals("approve", "ffff", "--key", desk.key("maria"), *into).says(2, "There is no request")
    desk.approvals("approve", request, "--key", desk.key("ana"), *into).says(2, "can answer")
    desk.approvals("approve", request, "--key", desk.key("zoe"), *into).says(2, "does not know the key")
    no_broker = desk.approvals("approve", request, "--key", desk.key("maria"), "--config", desk.settings)
    no_broker.says(2, "No brokers are named", "--bootstrap-servers HOST:PORT", "--into DIR")
    loose = desk.key("maria")
    loose.chmod(0o644)
    desk.approvals("approve", request, "--key", loose, *into).says(3, "by others")
    earlier = ("--key", desk.key("maria"), "--at", "2025-03-04")
    desk.approvals("approve", request, *earlier, *into).says(2, "has come to", "--at")
    assert not (tmp_path / "answer").exists()


def test_a_request_is_shown_answered_and_done_and_the_recording_goes_on(desk: Desk) -> None:
    mine = [row for row in desk.open_requests() if "customer-operations" in row["roles"] and row["people"] == 1]
    request, other = mine[0], mine[1]
    shown = desk.approvals("show", request["request_id"][:10], "--config", desk.settings, "--json").document
    assert shown["request"]["digest"] == request["digest"]
    assert shown["evidence"]
    assert 0 <= shown["counter_evidence"]["doubt"] < 0.5
    assert [step["inverse"] for step in shown["steps"]]
    assert shown["cost"]["moves_money"] is False
    assert (
        "What is done, and what undoes it"
        in desk.approvals("show", request["request_id"], "--config", desk.settings).out
    )

    given = ("--key", desk.key("maria"), "--config", desk.settings)
    said = desk.approvals("approve", request["request_id"], *given, "--into", desk.folder / "yes", "--json").document
    assert (said["approver"], said["role"], said["answer"]) == ("maria", "customer-operations", "approve")
    after = desk.replay(desk.folder / "yes")
    assert (after["actions"], after["complete"]) == (1, True)
    assert request["request_id"] not in [row["request_id"] for row in desk.open_requests()]
    told = desk.approvals("reject", other["request_id"], *given, "--into", desk.folder / "no")
    # What it says to do next is done as it stands there: with the settings by which the store was made.
    assert f"forestall replay {desk.folder / 'no'} --store {desk.store} --config {desk.settings}" in told.out
    assert desk.replay(desk.folder / "no")["actions"] == 1
    report = forestall("report", "--store", desk.store, "--json").document
    assert (report["requests"]["granted"], report["requests"]["rejected"]) == (1, 1)
    load = desk.approvals("load", "--quick", "0.1", "--json").document
    assert [(row["person"], row["answers"], row["agreed"]) for row in load["people"]] == [("maria", 2, 1)]
    assert sum(row["open"] for row in load["roles"]) == len(desk.open_requests())
    assert "maria" in desk.approvals("load").out
    case = forestall("case", request["case_id"], "--store", desk.store).out
    assert "maria (customer-operations): approve" in case
    desk.approvals("approve", request["request_id"], *given, "--into", desk.folder / "again").says(
        1, "is over: granted"
    )

    gone_on = desk.replay(desk.folder / "after")
    assert gone_on["complete"]
    assert gone_on["late"] == 0
    assert gone_on["events"] == sum(desk.recording.manifest.topics.values()) + 2
