from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from config.clock import DAY, from_text
from config.errors import InputError, SettingsError, UsageError
from config.key_files import make_private_key, read_private_key
from config.keys import Keys, NotSigned, load_keys, public_text, sign, statement

SAID = {"request_id": "r", "answer": "approve"}
FROM, REVOKED = from_text("2026-01-01T00:00:00Z"), from_text("2026-02-01T00:00:00Z")


def key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def entry(person: str, number: int, **given: Any) -> dict[str, Any]:
    made = {"person": person, "roles": ["desk"], "public_key": public_text(key(number))}
    return made | {"valid_from": "2026-01-01T00:00:00Z"} | given


def keys(folder: Path, *entries: dict[str, Any]) -> Keys:
    file = folder / "keys.yaml"
    file.write_text(yaml.safe_dump({"owner": "security", "keys": list(entries)}))
    return load_keys(file)


def fault(known: Keys, person: str, role: str, message: bytes, signature: str, at: int = FROM) -> str:
    with pytest.raises(NotSigned) as caught:
        known.signer(person, role, message, signature, at)
    return caught.value.fault


def test_a_statement_is_the_same_whatever_the_order_and_another_for_another_purpose() -> None:
    assert statement("a", SAID) == statement("a", dict(reversed(SAID.items())))
    assert statement("a", SAID) == b'{"answer":"approve","purpose":"a","request_id":"r"}'
    assert statement("a", SAID) != statement("b", SAID)


def test_who_signed_for_a_role_is_told_by_any_key_of_the_person(tmp_path: Path) -> None:
    known = keys(tmp_path, entry("maria", 1), entry("maria", 2, roles=["desk", "duty"]), entry("joao", 3))
    message = statement("answer", SAID)
    assert known.signer("maria", "duty", message, sign(key(2), message), FROM).roles == {"desk", "duty"}
    assert known.signer("maria", "desk", message, sign(key(1), message), FROM).person == "maria"


def test_what_is_not_signed_is_refused_with_the_reason(tmp_path: Path) -> None:
    known = keys(tmp_path, entry("maria", 1, revoked_at="2026-02-01T00:00:00Z"), entry("joao", 3))
    message = statement("answer", SAID)
    good = sign(key(1), message)
    assert fault(known, "ana", "desk", message, good) == "unknown-person"
    assert fault(known, "joao", "desk", message, good) == "forged"
    assert fault(known, "maria", "desk", statement("answer", SAID | {"answer": "reject"}), good) == "forged"
    assert fault(known, "maria", "desk", statement("policy", SAID), good) == "forged"
    assert fault(known, "maria", "desk", message, good[:-4]) == "forged"
    assert fault(known, "maria", "desk", message, "no base64 ü") == "forged"
    assert fault(known, "maria", "duty", message, good) == "wrong-role"
    assert fault(known, "maria", "desk", message, good, FROM - 1) == "not-yet-valid"
    assert fault(known, "maria", "desk", message, good, REVOKED) == "revoked"
    assert known.signer("maria", "desk", message, good, REVOKED - 1).person == "maria"


def test_without_a_file_nobody_can_sign() -> None:
    message = statement("answer", SAID)
    assert fault(load_keys(None), "maria", "desk", message, sign(key(1), message), DAY) == "unknown-person"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"public_key": public_text(key(9))}, "maria has the public key of joao"),
        ({"public_key": "AAAA"}, "base64 of 32 bytes"),
        ({"person": "agent:billing"}, "is no account"),
        ({"roles": []}, "roles is empty"),
        ({"roles": ["A desk"]}, "'A desk' is none"),
        ({"valid_from": "2026-01-01T00:00:00"}, "valid_from"),
        ({"name": "x"}, "name"),
    ],
)
def test_a_broken_key_file_is_refused_by_entry_and_field(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        keys(tmp_path, entry("joao", 9), entry("maria", 1) | given)
    assert said in caught.value.message
    assert "keys.yaml" in caught.value.message


def test_a_private_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "key"
    made = make_private_key(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert public_text(read_private_key(file)) == public_text(made)
    with pytest.raises(UsageError, match="there already"):
        make_private_key(file)
    file.chmod(0o640)
    with pytest.raises(InputError, match="by others"):
        read_private_key(file)


def test_what_is_no_private_key_is_refused_without_quoting_it(tmp_path: Path) -> None:
    file = tmp_path / "key"
    for content in (b"hunter2", b"-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"):
        file.write_bytes(content)
        file.chmod(0o600)
        with pytest.raises(InputError, match="no Ed25519 private key") as caught:
            read_private_key(file)
        assert "hunter2" not in str(caught.value)
    with pytest.raises(InputError, match="No such file"):
        read_private_key(tmp_path / "gone")
