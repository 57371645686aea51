"""Keys of people: who may sign for which roles, from when until when; and signatures of what they say.

Whatever a person decides for the job, an answer to a request or a change of policy, is signed with Ed25519 (RFC 8032)
by that person's own key. The key file names the public keys and roles; it is kept like a policy, for whoever may write
it decides who may approve. What is signed is a *statement*: the canonical JSON of all that is said, with the purpose
in it, so that a signature given for one thing is none for another.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import msgspec
import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from config.clock import to_micros, to_text
from config.errors import SettingsError
from config.yaml_text import read_file

PUBLIC_BYTES = 32
SIGNATURE_BYTES = 64
PERSON = re.compile(r"[a-z0-9][a-z0-9._@-]{0,127}")
"""What a person may be called. No colon: agents, which ask, are `agent:…`."""
ROLE = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")

Fault = Literal["unknown-person", "forged", "not-yet-valid", "revoked", "wrong-role"]


class NotSigned(ValueError):
    """A statement is not signed by whom it says.

    Args:
        fault: A code for programs.
        message: For a person; holds nothing of the signature.
    """

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault: Fault = fault


class KeyDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key as the file tells it."""

    person: str
    """A person's account. One person may have several keys, an old one and its successor."""
    roles: list[str]
    """What this key may sign for: owners of rules, escalations."""
    public_key: str
    """Base64 of the 32 bytes."""
    valid_from: datetime
    revoked_at: datetime | None = None
    """From then on it signs nothing more; what it had signed before stands."""


class KeysDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key file."""

    owner: str
    """Who may change it."""
    keys: list[KeyDocument]


@dataclass(frozen=True, slots=True)
class Key:
    """The public key of a person."""

    person: str
    roles: frozenset[str]
    public: bytes
    valid_from: int
    """Event time, microseconds, and so the next."""
    revoked_at: int | None

    @property
    def id(self) -> str:
        """A short name of the key: 16 hexadecimal digits of its hash."""
        return blake2b(self.public, digest_size=8).hexdigest()

    def is_valid(self, at: int) -> bool:
        """Return whether it can sign at an instant."""
        return self.valid_from <= at and (self.revoked_at is None or at < self.revoked_at)

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Return whether `signature` is this key's, of `message`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class Keys:
    """The keys that are known. Without any, nobody can sign."""

    owner: str = ""
    """Who may change the file."""
    by_person: Mapping[str, tuple[Key, ...]] = field(default_factory=dict)

    def signer(self, person: str, role: str, message: bytes, signature: str, at: int) -> Key:
        """Return the key of `person` that signed `message` for `role`.

        Args:
            person: Who is said to have signed.
            role: What for.
            message: See `statement`.
            signature: Base64.
            at: The instant, microseconds, at which the key must be valid.

        Raises:
            NotSigned: it is not signed by that person, or not with a key that was valid then for that role.
        """
        owned = self.by_person.get(person)
        if owned is None:
            raise NotSigned("unknown-person", f"no key of this person is known; {self._who} may add one")
        mark = _decoded(signature, SIGNATURE_BYTES)
        key = next((key for key in owned if mark is not None and key.verifies(message, mark)), None)
        if key is None:
            raise NotSigned("forged", f"the signature is by none of the keys of {person}, or of something else")
        if at < key.valid_from:
            when = to_text(key.valid_from)
            raise NotSigned("not-yet-valid", f"key {key.id} of {person} is valid from {when} on; {self._who} may say")
        if key.revoked_at is not None and at >= key.revoked_at:
            raise NotSigned("revoked", f"key {key.id} of {person} was revoked at {to_text(key.revoked_at)}")
        if role not in key.roles:
            raise NotSigned(
                "wrong-role", f"key {key.id} of {person} is not for the role {role}; {self._who} may add it"
            )
        return key

    def owner_of(self, public: str) -> Key | None:
        """Return the key whose public half is `public`, base64; None where none is."""
        raw = _decoded(public, PUBLIC_BYTES)
        return next((key for owned in self.by_person.values() for key in owned if key.public == raw), None)

    def holders(self, role: str) -> tuple[str, ...]:
        """Return the people who have a key for a role, by name, whether it is valid yet or no longer."""
        return tuple(sorted(name for name, owned in self.by_person.items() if any(role in key.roles for key in owned)))

    def person_of(self, key: Ed25519PrivateKey) -> str | None:
        """Return whose private key it is, None where the file does not tell."""
        public = key.public_key().public_bytes_raw()
        return next((each.person for owned in self.by_person.values() for each in owned if each.public == public), None)

    @property
    def _who(self) -> str:
        return self.owner or "whoever sets up the key file"


def statement(purpose: str, said: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed: JSON without blanks and with sorted keys, `purpose` among them.

    Args:
        purpose: What kind of thing is said, such as the type of a record.
        said: All of it but the signature; built-in values.
    """
    return orjson.dumps({**said, "purpose": purpose}, option=orjson.OPT_SORT_KEYS)


def sign(key: Ed25519PrivateKey, message: bytes) -> str:
    """Return the signature of `message` in base64."""
    return b64encode(key.sign(message)).decode()


def public_text(key: Ed25519PrivateKey) -> str:
    """Return the public half of `key` as a key file writes it."""
    return b64encode(key.public_key().public_bytes_raw()).decode()


def load_keys(file: Path | None) -> Keys:
    """Load a key file; without one, nobody's key is known.

    Raises:
        SettingsError: it cannot be read, or an entry is at fault; the message names file, entry and field.
    """
    if file is None:
        return Keys()
    document = read_file(file, KeysDocument, "a key file", "See docs/approvals.md for what stands in a key file.")
    if not document.owner.strip():
        raise SettingsError(f"{file}: owner is empty.", remedy="Say who may change this file.")
    by_person: dict[str, tuple[Key, ...]] = {}
    owners: dict[bytes, str] = {}
    for position, entry in enumerate(document.keys):
        where = f"{file}: keys[{position}]"
        key = _key(where, entry)
        if key.public in owners:
            raise SettingsError(
                f"{where}: {entry.person} has the public key of {owners[key.public]}.",
                remedy="Give each person a key of their own: two names for one key would be two people in one.",
            )
        owners[key.public] = entry.person
        by_person[key.person] = (*by_person.get(key.person, ()), key)
    return Keys(document.owner, by_person)


def _key(where: str, entry: KeyDocument) -> Key:
    if not PERSON.fullmatch(entry.person):
        raise SettingsError(
            f"{where}: person {entry.person!r} is no account.",
            remedy="Write lower-case letters, digits and . _ @ -, beginning with a letter or digit.",
        )
    wrong = [role for role in entry.roles if not ROLE.fullmatch(role)]
    if wrong or not entry.roles:
        told = f"role {wrong[0]!r} is none" if wrong else "roles is empty"
        raise SettingsError(f"{where}: {told}.", remedy="Name roles as policies name owners: customer-operations.")
    public = _decoded(entry.public_key, PUBLIC_BYTES)
    if public is None:
        raise SettingsError(
            f"{where}: public_key is not base64 of {PUBLIC_BYTES} bytes.",
            remedy="Copy the line that `forestall keys make` prints.",
        )
    valid_from = _instant(where, "valid_from", entry.valid_from)
    revoked_at = None if entry.revoked_at is None else _instant(where, "revoked_at", entry.revoked_at)
    return Key(entry.person, frozenset(entry.roles), public, valid_from, revoked_at)


def _instant(where: str, name: str, instant: datetime) -> int:
    if instant.tzinfo is None:
        raise SettingsError(f"{where}: {name} has no offset from UTC.", remedy=f"Write {name} as 2026-01-31T00:00:00Z.")
    return to_micros(instant)


def _decoded(text: str, length: int) -> bytes | None:
    """Return the bytes that `text` writes in base64, None where it is none or they are not so many."""
    try:
        decoded = b64decode(text, validate=True)
    except ValueError:
        return None
    return decoded if len(decoded) == length else None
