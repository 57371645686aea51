"""What a look at a remediation flow's settings finds before it is started: nothing is changed by looking."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config.agents.load import load_manifests
from config.clock import SECOND
from config.effects import Call
from config.errors import ForestallError
from config.keys import load_keys
from config.settings import Settings
from config.targets import Target
from dataflows.domain import load_policies
from dataflows.kafka_reach import partitions_of, reach
from dataflows.remedy_clock import wall_clock
from dataflows.remedy_setup import load_setup
from sinks.engine import faults, open_database, parse_url
from sinks.http_target import HttpTarget

NOBODY = "forestall-check"
"""A key that no effect has: a target that is asked for it says that there is none."""
TIMEOUT = 5 * SECOND
OTHERS_READ = stat.S_IRGRP | stat.S_IROTH
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class Check:
    """What was looked at, and what is wrong with it."""

    what: str
    problem: str = ""
    """"" where all is well."""
    remedy: str = ""


def checks(settings: Settings) -> Iterator[Check]:
    """Look at targets, secrets, keys and policy; yield what was found of each.

    Raises:
        ForestallError: playbooks, targets, policy or key file cannot be loaded at all.
    """
    setup = load_setup(settings)
    targets = setup.targets.by_name
    for target in targets.values():
        yield Check(f"target {target.name}", *_fault_of(target, settings))
    for book in setup.playbooks.values():
        wanted = {step.target for step in book.steps} | {book.verify.target}
        if missing := sorted(wanted - targets.keys()):
            names = ", ".join(missing)
            problem = f"{settings.remediation.targets} names no {names}: its actions are refused"
            yield Check(f"playbook {book.name}", problem, "Name the target there, or take the playbook out.")
    users: dict[Path, list[str]] = {}
    for target in targets.values():
        if target.secret_file:
            users.setdefault(target.secret_file, []).append(target.name)
    secrets = {file: f"the secret of {', '.join(names)}" for file, names in users.items()}
    security = settings.kafka.security
    secrets |= {file: "a secret of [kafka.security]" for file in (security.password_file, security.key_file) if file}
    for file, what in secrets.items():
        yield _permission(file, what, OTHERS_READ | OTHERS_WRITE, "may be read or written by others", 0o600)
    if (keys := settings.approvals.keys) is not None:
        yield _permission(keys, "the file of public keys", OTHERS_WRITE, "may be written by others", 0o644)
    yield from _policy(settings)


def _fault_of(target: Target, settings: Settings) -> tuple[str, str]:
    """Return what is wrong with a target and what to do, both "" where it answers as it should."""
    if target.kind == "http":
        return _asked(target)
    try:
        if target.kind == "topic":
            partitions_of(reach(settings.kafka), [target.topic])
        else:
            url = parse_url(target.url)
            database = open_database(url)
            with faults(url.render_as_string(), database.remedies), database.reader.connect():
                database.writer.dispose()
    except ForestallError as error:
        return error.message, error.remedy
    return "", ""


def _asked(target: Target) -> tuple[str, str]:
    now = wall_clock()
    call = Call(NOBODY, 1, "query", target.name, "check", NOBODY, "", now, TIMEOUT, now + TIMEOUT)
    hands = HttpTarget(target)
    try:
        reply = hands.carry_out(call)
    finally:
        hands.close()
    if reply.result == "absent" or (not target.traits.queryable and reply.detail.startswith("status ")):
        return "", ""
    if reply.detail in ("status 401", "status 403"):
        return f"it refuses our signature ({reply.detail})", "Compare key_id, the secret and the clocks of both sides."
    if reply.detail.startswith("status ") or reply.result != "unavailable":
        said = reply.detail or reply.result
        return f"it does not tell what became of a key ({said})", "Mend it, or say queryable: false."
    return reply.detail, "See that it runs, what its url is, and which networks it may be reached in."


def _permission(file: Path, what: str, mask: int, trouble: str, wanted: int) -> Check:
    mode = stat.S_IMODE(file.stat().st_mode)
    if not mode & mask:
        return Check(what)
    # The folder, and not the name: see `config.credentials.read_secret`.
    problem = f"its file in {file.parent} {trouble} (mode {mode:03o})"
    return Check(what, problem, f"Say chmod {wanted:03o}; if others could have changed or read it, replace it.")


def _policy(settings: Settings) -> Iterator[Check]:
    if not settings.policy.enforce:
        yield Check("signatures of the policy: not asked for (policy.enforce)")
        return
    policy = load_policies(settings, load_manifests(), load_keys(settings.approvals.keys))
    if not policy.shadow_only:
        yield Check("signatures of the policy")
    for refusal in policy.shadow_only.values():
        yield Check("signatures of the policy", refusal, "Have it signed: forestall policy sign.")
