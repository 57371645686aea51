"""Stores with actions, target systems that run, and files that name them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from subprocess import Popen
from typing import Any

import msgspec
import yaml

from config.actions import Action
from config.clock import DAY, HOUR, MINUTE
from config.events import Event
from config.playbooks.load import FOLDER
from config.playbooks.model import Playbook
from operators.guard import WITHHELD
from sinks.outbox import Outbox, Release
from sinks.part_writer import ChannelStats
from sinks.store import Store
from tests.support.commands import start
from tests.support.playbooks import AT, action
from tests.support.stores import finding
from tests.support.target import KEY_ID, SECRET

PART = "part-000"
SYSTEMS = ("crm", "billing", "payments", "logistics", "pager", "releases")


def store_with(url: str, actions: Iterable[Action], until: int = AT + 30 * DAY, withheld: Iterable[Action] = ()) -> str:
    """Make a store at `url` that holds `actions`, and what a guardrail withheld, observed for long and complete until
    then; return the URL.
    """
    with Store.open(url, create=True) as store:
        store.begin_run([PART], "job")
        box = Outbox(PART, frozenset("a"), store.open_part)
        events = [finding("f0", AT - 40 * DAY, "order:0")]
        events += [Event(one.at, one.action_id, one.customer, "action", msgspec.to_builtins(one)) for one in actions]
        events += [_withheld(one) for one in withheld]
        stats = [ChannelStats("orders/0", len(events), until)]
        box.write([Release("a", events, ended=True, stats=stats)])
        box.snapshot()[1]()
    return url


def _withheld(action: Action) -> Event:
    data = {"action_id": action.action_id, "case_id": action.case_id, "at": action.at, "reason": "Full.", "again_at": 9}
    data |= {"action": msgspec.to_builtins(action), "guardrails": [{"guardrail": "few"}]}
    return Event(action.at, f"withheld-{action.action_id}", action.customer, WITHHELD, data)


def targets_file(folder: Path, url: str, **changed: Any) -> Path:
    """Write a file that names all systems of a target at `url`; return it."""
    (folder / "target.key").write_bytes(SECRET + b"\n")
    common: dict[str, Any] = {"kind": "http", "key_id": KEY_ID, "secret_file": "target.key", "sandbox": True}
    common |= {"networks": ["127.0.0.0/8"], "settle": "1s"} | changed
    document = {"owner": "tests", "targets": {name: common | {"url": f"{url}/{name}"} for name in SYSTEMS}}
    file = folder / "targets.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def quick_playbooks(folder: Path) -> Path:
    """Write the playbooks that come along, with all that is waited for cut short; return their folder."""
    folder.mkdir()
    for file in FOLDER.glob("*.yaml"):
        book = yaml.safe_load(file.read_text())
        book["verify"] |= {"after": "1s"}
        for step in book["steps"]:
            step |= {"timeout": "1s", "retry": {"attempts": 8, "first": "50ms", "most": "500ms"}}
        (folder / file.name).write_text(yaml.safe_dump(book))
    return folder


def target_process(folder: Path, *options: object) -> tuple[Popen[str], str]:
    """Start a target with its database in `folder`; return the process and its address."""
    (folder / "target.key").write_bytes(SECRET + b"\n")
    where = ("--secret-file", folder / "target.key", "--db", folder / "target.db", "--port", 0)
    process = start("target", *where, *options)
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("listening on http://127.0.0.1:"), line + process.stderr.read()
    return process, line.split()[2].rstrip(";")


def many(count: int, playbook: Playbook | str = "tell", **more: Any) -> list[Action]:
    """Return so many actions, each on an order and a customer of its own, a minute apart."""
    name = playbook if isinstance(playbook, str) else playbook.name
    return [
        action(
            f"a{number:04}",
            remedy=name,
            at=AT + number * MINUTE,
            valid_until=AT + number * MINUTE + 4 * HOUR,
            entity=f"order:o{number}",
            target=f"crm:order:o{number}",
            customer=f"customer:c{number}",
            **more,
        )
        for number in range(count)
    ]
