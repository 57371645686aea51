"""Signatures of policy bundles: `signatures.json` beside `bundle.yaml`, by people whose keys are for policies.

What is signed is the bundle's hash, and with it all that decides, the manifests of the agents too: whoever changes a
word of it afterwards has it signed anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from config.clock import from_text, to_text
from config.errors import PolicyError
from config.keys import Keys, NotSigned, sign, statement
from config.policies.bundle import Bundle

FILE = "signatures.json"
ROLE = "policy-author"
"""What a key must be for."""
PURPOSE = "policy.bundle"


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That a person stands for a bundle as it was when it was signed."""

    person: str
    hash: str
    """Of the bundle."""
    signed_at: str
    """RFC 3339; what the signer's clock said."""
    signature: str
    """Ed25519, base64, of the `statement` of all this and of the bundle's name, version and date."""


class SignaturesDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`signatures.json`."""

    signatures: list[Signature]


@dataclass(frozen=True, slots=True)
class Signed:
    """Who stands for a bundle."""

    people: tuple[str, ...] = ()
    """Whose signature counts, by name, each once."""
    faults: tuple[str, ...] = ()
    """Why other signatures do not, for a person."""


def read_signatures(folder: Path) -> list[Signature]:
    """Return the signatures beside the bundle in `folder`; none where there is no file of them.

    Raises:
        PolicyError: the file cannot be read, or is no such file.
    """
    file = folder / FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=SignaturesDocument).signatures
    except FileNotFoundError:
        return []
    except OSError as error:
        raise PolicyError(f"{file}: cannot be read: {error.strerror}", remedy="Let the job read it.") from error
    except msgspec.DecodeError as error:
        raise PolicyError(f"{file}: {error}", remedy="Remove it, and have the bundle signed again.") from None


def judge_signatures(bundle: Bundle, signatures: Sequence[Signature], keys: Keys) -> Signed:
    """Return whose signatures count for `bundle` as it is.

    A key must have been valid when it signed and when the bundle takes effect, so that a replay judges alike. What a
    stolen key signed is undone by taking that key out of the key file.
    """
    people, faults = set(), []
    for each in signatures:
        if each.hash != bundle.hash:
            changed = "it or a manifest has been changed since, and has to be signed anew"
            faults.append(f"the signature of {each.person} is of {each.hash[:12]}: {changed}")
            continue
        try:
            signed_at = from_text(each.signed_at)
            message = _message(bundle, each.person, each.signed_at)
            keys.signer(each.person, ROLE, message, each.signature, max(signed_at, bundle.effective_from))
        except NotSigned as fault:
            faults.append(f"the signature of {each.person} does not count: {fault}")
        except ValueError:
            faults.append(f"the signature of {each.person} does not count: {each.signed_at!r} is no instant")
        else:
            people.add(each.person)
    return Signed(tuple(sorted(people)), tuple(faults))


def add_signature(folder: Path, bundle: Bundle, person: str, key: Ed25519PrivateKey, at: int) -> list[Signature]:
    """Sign `bundle` and write the signature beside it, without those of what it was before; return all there are.

    Args:
        folder: Of the bundle.
        bundle: As it is now.
        person: Whose key it is.
        key: It signs.
        at: The present time, µs.
    """
    signed_at = to_text(at)
    mine = Signature(person, bundle.hash, signed_at, sign(key, _message(bundle, person, signed_at)))
    others = [each for each in read_signatures(folder) if each.hash == bundle.hash and each.person != person]
    signatures = sorted([*others, mine], key=lambda each: each.person)
    content = msgspec.json.format(msgspec.json.encode(SignaturesDocument(signatures)), indent=1)
    (folder / FILE).write_bytes(content + b"\n")
    return signatures


def _message(bundle: Bundle, person: str, signed_at: str) -> bytes:
    said = {
        "name": bundle.name,
        "version": bundle.version,
        "effective_from": to_text(bundle.effective_from),
        "hash": bundle.hash,
        "person": person,
        "signed_at": signed_at,
    }
    return statement(PURPOSE, said)
