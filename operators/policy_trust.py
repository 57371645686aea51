"""Which versions of a policy may decide, where bundles have to be signed: one may shadow only until enough people do.

A change that loosens the policy wants two people, one that tightens it one; so does the first version, for what it
follows is nothing. Whether it loosens is told over the whole decision table (`operators/looser.py`), never by whoever
changed it; where that cannot be told, it is taken for a loosening.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from config.agents.load import Manifest
from config.keys import Keys
from config.policies.bundle import Bundle
from config.policies.signatures import ROLE, Signed
from config.policies.versions import Versions
from operators.looser import Change, compare

LOOSENING, TIGHTENING = 2, 1
"""People who have to sign."""
WHY: Mapping[str, str] = {
    "first": "nothing that is signed was in force before it",
    "loosening": "it is looser than {before} in places",
    "undecided": "it may be looser than {before} in places",
    "tightening": "it is nowhere looser than {before}",
    "equivalent": "it decides as {before} does",
}


@dataclass(frozen=True, slots=True)
class Trust:
    """What a version of a policy may do."""

    bundle: Bundle
    signed: Signed
    change: Change | Literal["first"]
    """Against the last version before it that may decide."""
    before: str
    """That version; "" for the first."""
    needed: int
    """People who have to sign."""
    refusal: str
    """Why it may shadow only, and who may change that; "" for one that may decide."""


def judge(versions: Sequence[tuple[Bundle, Signed]], keys: Keys, manifests: Mapping[str, Manifest]) -> list[Trust]:
    """Return what each version may do.

    Args:
        versions: With whoever signed them, in the order of their dates.
        keys: It says who else may sign.
        manifests: Of the agents whose findings the policy decides about.
    """
    found: list[Trust] = []
    before: Bundle | None = None
    for bundle, signed in versions:
        change: Change | Literal["first"] = "first" if before is None else compare(before, bundle, manifests).change
        needed = TIGHTENING if change in ("tightening", "equivalent") else LOOSENING
        version = "" if before is None else before.version
        refusal = "" if len(signed.people) >= needed else _refusal(bundle, signed, change, version, needed, keys)
        found.append(Trust(bundle, signed, change, version, needed, refusal))
        if not refusal:
            before = bundle
    return found


def enforced(trusts: Sequence[Trust]) -> Versions:
    """Return the policy in which only what may decide does; the rest shadows."""
    refusals = {trust.bundle.hash: trust.refusal for trust in trusts if trust.refusal}
    return Versions(tuple(trust.bundle for trust in trusts), refusals)


def _refusal(bundle: Bundle, signed: Signed, change: str, before: str, needed: int, keys: Keys) -> str:
    count = f"{len(signed.people)} of {needed} signatures"
    by = f" ({', '.join(signed.people)})" if signed.people else ""
    others = [person for person in keys.holders(ROLE) if person not in signed.people]
    keeper = keys.owner or "whoever sets up the key file"
    may = f"{' or '.join(others)} may sign it" if others else "nobody else may sign it"
    return " ".join(
        (
            f"Policy {bundle.name} {bundle.version} may shadow only: it has {count}{by}, and needs as many because "
            f"{WHY[change].format(before=before)}.",
            *(f"{fault[0].upper()}{fault[1:]}." for fault in signed.faults),
            f"With the role {ROLE}, {may}; {keeper} may give that role to others.",
        )
    )
