"""`forestall policy sign`: a person stands for a version of a policy."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from config.agents.load import load_manifests
from config.errors import UsageError
from config.key_files import read_private_key
from config.keys import Keys, load_keys
from config.policies.bundle import Bundle
from config.policies.signatures import ROLE, add_signature
from config.policies.versions import load_versions
from config.settings import environment, load
from dataflows.cli.console import json_option, out, print_json
from dataflows.cli.policy_options import config_option, folder_argument, named_folder
from dataflows.domain import judge_folder

Row = dict[str, Any]


@click.command()
@folder_argument
@click.option("--key", "key_file", type=click.Path(path_type=Path), required=True, metavar="FILE", help="Your own.")
@click.option(
    "--keys", "keys_file", type=click.Path(path_type=Path), metavar="FILE", help="All public keys. [approvals.keys]"
)
@click.option("--version", metavar="VERSION", help="Of the policy. [the newest]")
@config_option
@json_option
def sign(
    folder: Path | None,
    key_file: Path,
    keys_file: Path | None,
    version: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Sign a version of the policy in DIR with your private key, as a person whose key is for the role policy-author.

    The signature is of all that decides, the manifests of the agents too. It is written to signatures.json beside the
    bundle. A change that loosens the policy needs the signatures of two people, one that tightens it that of one; what
    it is, is told by `forestall policy diff`.

    \b
    Example:
      forestall policy sign my/policy --key ~/.forestall.key --keys keys.yaml
    """
    folder, manifests = named_folder(folder, config), load_manifests()
    keys = load_keys(keys_file or load(config, environment()).approvals.keys)
    bundle, place = _version(folder, version)
    key = read_private_key(key_file)
    add_signature(place, bundle, _person(keys, key_file), key, time.time_ns() // 1000)
    trust = next(each for each in judge_folder(folder, manifests, keys) if each.bundle.hash == bundle.hash)
    document = {
        "version": bundle.version,
        "hash": bundle.hash,
        "change": trust.change,
        "signed_by": list(trust.signed.people),
        "needed": trust.needed,
        "may_decide": not trust.refusal,
        "refusal": trust.refusal,
    }
    if as_json:
        print_json(document)
        return
    out.print(f"signed {bundle.name} {bundle.version}, {bundle.hash}", markup=False)
    out.print(
        trust.refusal
        or f"It may decide: {len(trust.signed.people)} of {trust.needed} signatures, "
        f"by {', '.join(trust.signed.people)}.",
        markup=False,
    )


def _version(folder: Path, version: str | None) -> tuple[Bundle, Path]:
    versions = load_versions(folder)
    if version is None:
        return versions[-1]
    for bundle, place in versions:
        if bundle.version == version:
            return bundle, place
    known = ", ".join(bundle.version for bundle, _ in versions)
    raise UsageError(f"{folder} has no version {version!r}.", remedy=f"Name one of {known}.")


def _person(keys: Keys, key_file: Path) -> str:
    """Return whose key it is.

    Raises:
        UsageError: nobody's, or it is not for policies.
    """
    keeper = keys.owner or "whoever sets up the key file (approvals.keys)"
    person = keys.person_of(read_private_key(key_file))
    if person is None:
        raise UsageError(
            f"The key in {key_file} is nobody's that is known.", remedy=f"{keeper} may add its public half."
        )
    if person not in keys.holders(ROLE):
        raise UsageError(
            f"{person} has no key for the role {ROLE}.", remedy=f"{keeper} may give that role to a key of theirs."
        )
    return person
