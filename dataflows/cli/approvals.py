"""`forestall approvals`: what people are asked, and their answers."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any

import click

from config.clock import HOUR, SECOND, to_text
from config.errors import CheckFailed, UsageError
from config.key_files import read_private_key
from config.keys import Keys, load_keys, public_text, sign
from dataflows.cli.approval_show import show_request
from dataflows.cli.console import ForestallGroup, json_option, out, print_json, print_line, print_rows
from dataflows.cli.instant import Instant
from dataflows.cli.kafka_options import bootstrap_option, config_option, need_brokers, settings_with
from dataflows.cli.reports import store_option
from dataflows.control_records import control_record, send
from operators.approvals import ANSWERED, Answer
from replay.continuation import write_continuation
from sinks.approval_load import ENDS, by_person, by_role
from sinks.queries import channel_statistics
from sinks.requests import find_request, requests
from sinks.store import Store

Row = dict[str, Any]


@click.group(cls=ForestallGroup)
def approvals() -> None:
    """What people are asked where the policy wants their consent, and their answers."""


@approvals.command(name="list")
@store_option
@click.option("--role", metavar="NAME", help="Only those that this role may answer.")
@click.option("--all", "everything", is_flag=True, help="Those that are over, too.")
@json_option
def list_(store_url: str, role: str | None, everything: bool, as_json: bool) -> None:
    """Show the requests that wait for an answer, those that expire first on top.

    \b
    Example:
      forestall approvals list --store sqlite:///var/world.db
      forestall approvals list --store sqlite:///var/world.db --role duty-manager
    """
    with Store.open(store_url) as opened:
        reached = max((row["watermark"] for row in channel_statistics(opened)), default=0)
        found = [
            row
            for row in requests(opened)
            if (everything or row["end"] is None) and (role is None or role in row["roles"])
        ]
    found.sort(key=lambda row: (row["end"] is not None, row["expires_at"], row["request_id"]))
    if as_json:
        print_json({"requests": found})
        return
    for row in found:
        _print(row, reached)
    if not found:
        out.print("Nobody is asked anything.")


def _print(row: Row, reached: int) -> None:
    about = row["action"]["entity"] if row["action"] else row["case_key"]
    asks = f"{row['remedy']} for {about}" if row["remedy"] else f"what to do about {about}"
    print_line(
        f"{row['request_id'][:12]}  {asks}  {row['severity']}, {len(row['approvers'])} of {row['people']} agreed"
    )
    when = row["end"] or f"{(row['expires_at'] - reached) / HOUR:.1f} hours left"
    print_line(f"  {' or '.join(row['roles'])}, until {to_text(row['expires_at'])}: {when}")


@approvals.command()
@click.argument("request_id", metavar="REQUEST")
@store_option
@config_option
@json_option
def show(request_id: str, store_url: str, config: Path | None, as_json: bool) -> None:
    """Show what is asked by REQUEST: the exact action, what speaks for it and against it, what undoes it, and what it
    may cost. The start of an id will do.

    \b
    Example:
      forestall approvals show 5f1c93 --store sqlite:///var/world.db
    """
    show_request(request_id, store_url, config, as_json=as_json)


@approvals.command()
@store_option
@click.option(
    "--quick",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Who agrees so soon after the question has hardly read it.",
)
@json_option
def load(store_url: str, quick: float, as_json: bool) -> None:
    """Show how much each role is asked and how that ended, how soon people answer, and how often they agree.

    \b
    Example:
      forestall approvals load --store sqlite:///var/world.db
    """
    with Store.open(store_url) as opened:
        reached = max((row["watermark"] for row in channel_statistics(opened)), default=0)
        found = requests(opened)
    document = {"roles": by_role(found, reached), "people": by_person(found, round(quick * SECOND))}
    if as_json:
        print_json(document)
        return
    if not found:
        out.print("Nobody was asked anything.")
    columns = ("role", "asked", *ENDS, "open", "oldest_hours", "escalated")
    print_rows("What roles are asked", columns, document["roles"])
    people = [
        row | {"share": f"{row['share']:.0%}", "median_s": f"{row['median_s']:,.1f}"} for row in document["people"]
    ]
    print_rows("How people answer", ("person", "answers", "agreed", "share", "median_s", "quick"), people)


def _answering(answer: str) -> Any:
    """Return the command that gives `answer`."""

    @click.argument("request_id", metavar="REQUEST")
    @store_option
    @click.option(
        "--key",
        "key_file",
        type=click.Path(path_type=Path),
        required=True,
        metavar="FILE",
        help="Your private key: `forestall keys make`.",
    )
    @click.option("--as", "person", metavar="NAME", help="Who you are. [whose key it is, by the key file]")
    @click.option("--role", metavar="NAME", help="In which role. [the first that is asked and that the key is for]")
    @click.option("--into", type=click.Path(path_type=Path), metavar="DIR", help="Write a recording, for a replay.")
    @click.option("--at", type=Instant(), metavar="TIME", help="When. [now; with --into, where the store is]")
    @click.option("--topic", default="approvals", show_default=True, metavar="NAME", help="The control topic.")
    @bootstrap_option
    @config_option
    @json_option
    def command(
        request_id: str,
        store_url: str,
        key_file: Path,
        person: str | None,
        role: str | None,
        into: Path | None,
        at: int | None,
        topic: str,
        bootstrap_servers: str | None,
        config: Path | None,
        as_json: bool,
    ) -> None:
        settings = settings_with(config, bootstrap_servers)
        if into is None:
            need_brokers(settings, "Without a broker, --into DIR writes the answer as a recording, for a replay.")
        now = time.time_ns() // 1000
        with Store.open(store_url) as opened:
            request, channels = find_request(opened, request_id), channel_statistics(opened)
        if at is None:
            at = now if into is None else max((row["watermark"] for row in channels), default=now)
        given = _signed(request, answer, key_file, person, role, load_keys(settings.approvals.keys), at)
        record = control_record(settings, ANSWERED, _said(given), at)
        if into is None:
            partition, offset = send(settings.kafka, topic, given.case_key, record)
            where = f"{topic}/{partition}, offset {offset}"
        else:
            write_continuation(into, channels, topic, given.case_key, record, at, now)
            where = str(into)
        if as_json:
            print_json(_said(given) | {"where": where})
            return
        out.print(f"{where}: {given.approver} ({given.role}) answers {answer}.", markup=False)
        if into is not None:
            given_config = () if config is None else ("--config", str(config))
            again = shlex.join(["forestall", "replay", str(into), "--store", store_url, *given_config])
            out.print(f"what comes of it: {again}", markup=False)

    command.__doc__ = _HELP.format(answer=answer, what=_WHAT[answer])
    return approvals.command(name=answer)(command)


_WHAT = {
    "approve": "Consent to just what REQUEST asks; when enough people have, it is done.",
    "reject": "Say no to REQUEST: it is not done, and not asked again unless the case gets more severe.",
}
_HELP = """{what}

    The answer is signed with your key, and sent to the job's control topic; without a broker, --into writes it as a
    recording that the next replay into the store goes on with. The job judges it when it reads it: `forestall approvals
    show` tells what came of it.

    \b
    Example:
      forestall approvals {answer} 5f1c93 --store sqlite:///var/live.db --key ~/.forestall.key --config job.toml
      forestall approvals {answer} 5f1c93 --store sqlite:///var/world.db --key k --config job.toml --into var/answer
    """

approve, reject = _answering("approve"), _answering("reject")


def _signed(
    request: Row, answer: str, key_file: Path, person: str | None, role: str | None, keys: Keys, at: int
) -> Answer:
    """Return a signed answer.

    Raises:
        CheckFailed: the request is over.
        UsageError: it is not clear who answers in which role, or that role is not asked.
    """
    if request["end"] is not None:
        raise CheckFailed(
            f"The request {request['request_id']} is over: {request['end']}. {request['why']}",
            remedy="`forestall approvals list` shows those that are open.",
        )
    key = read_private_key(key_file)
    mine = keys.owner_of(public_text(key))
    person = person or (None if mine is None else mine.person)
    if person is None:
        raise UsageError(
            f"The key file that approvals.keys names does not know the key in {key_file}.",
            remedy="Name the settings with --config, or say who you are with --as: see docs/approvals.md.",
        )
    may = request["roles"] if mine is None else [name for name in request["roles"] if name in mine.roles]
    role = role or next(iter(may), None)
    if role is None or role not in request["roles"]:
        told = "Your key is" if role is None else f"The role {role} is"
        raise UsageError(
            f"{told} not asked; {' or '.join(request['roles'])} can answer.", remedy="Leave it to one of them."
        )
    said = Answer(
        request["request_id"],
        request["case_key"],
        request["digest"],
        "approve" if answer == "approve" else "reject",
        person,
        role,
        at,
    )
    return said.signed_by(lambda message: sign(key, message))


def _said(answer: Answer) -> Row:
    """Return an answer as its contract writes it."""
    return {name: getattr(answer, name) for name in answer.__struct_fields__} | {
        "answered_at": to_text(answer.answered_at)
    }
