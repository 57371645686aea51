from dataclasses import replace
from pathlib import Path

import msgspec
import orjson
import pytest

from config.clock import DAY, to_text
from config.errors import PolicyError
from config.keys import Keys
from config.policies.bundle import Bundle
from config.policies.signatures import FILE, ROLE, add_signature, judge_signatures, read_signatures
from tests.support.approvals import keys_of, public_key
from tests.support.policies import bundle_of, rule
from tests.support.private_keys import private_key

SIGNED_AT = 100 * DAY
KEYS = keys_of(*(public_key(name, ROLE) for name in ("ben", "maria")))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return bundle_of(tmp_path, rule("a", "linked", "act", "ticket"))


def sign(folder: Path, bundle: Bundle, *people: str) -> None:
    for name in people:
        add_signature(folder, bundle, name, private_key(name), SIGNED_AT)


def people(folder: Path, bundle: Bundle, keys: Keys = KEYS) -> tuple[str, ...]:
    return judge_signatures(bundle, read_signatures(folder), keys).people


def fault(folder: Path, bundle: Bundle, keys: Keys = KEYS) -> str:
    signed = judge_signatures(bundle, read_signatures(folder), keys)
    assert signed.people == ()
    (only,) = signed.faults
    return only


def test_signatures_of_different_people_count_each_once(tmp_path: Path, bundle: Bundle) -> None:
    assert people(tmp_path, bundle) == ()
    sign(tmp_path, bundle, "maria", "maria", "ben")
    assert people(tmp_path, bundle) == ("ben", "maria")
    assert len(read_signatures(tmp_path)) == 2


def test_signature_is_of_all_that_decides(tmp_path: Path, bundle: Bundle) -> None:
    sign(tmp_path, bundle, "maria")
    changed = bundle_of(tmp_path, rule("a", "true", "act", "ticket"))
    assert "has been changed since, and has to be signed anew" in fault(tmp_path, changed)
    for other in (
        replace(bundle, version="2.0.0"),
        replace(bundle, name="other"),
        replace(bundle, effective_from=DAY),
    ):
        assert "forged" not in fault(tmp_path, other)
        assert "or of something else" in fault(tmp_path, other)
    sign(tmp_path, changed, "ben")
    assert [each.person for each in read_signatures(tmp_path)] == ["ben"]


def test_signature_that_was_tampered_with_does_not_count(tmp_path: Path, bundle: Bundle) -> None:
    sign(tmp_path, bundle, "maria")
    (signature,) = read_signatures(tmp_path)
    for changes, words in (
        ({"person": "ben"}, "none of the keys of ben"),
        ({"person": "zoe"}, "no key of this person is known; security may add one"),
        ({"signed_at": to_text(DAY)}, "none of the keys of maria"),
        ({"signed_at": "yesterday"}, "'yesterday' is no instant"),
        ({"signature": "AAAA"}, "none of the keys of maria"),
        ({"hash": "0" * 32}, "signed anew"),
    ):
        signed = judge_signatures(bundle, [msgspec.structs.replace(signature, **changes)], KEYS)
        assert signed.people == ()
        assert words in signed.faults[0]


def test_key_must_be_for_policies_and_valid_when_it_signed_and_when_the_bundle_takes_effect(
    tmp_path: Path, bundle: Bundle
) -> None:
    sign(tmp_path, bundle, "maria")
    wrong = keys_of(public_key("maria", "customer-operations"))
    assert f"is not for the role {ROLE}; security may add it" in fault(tmp_path, bundle, wrong)
    early = keys_of(public_key("maria", ROLE, valid_from=SIGNED_AT + 1))
    assert "is valid from" in fault(tmp_path, bundle, early)
    revoked = keys_of(public_key("maria", ROLE, revoked_at=SIGNED_AT))
    assert "was revoked" in fault(tmp_path, bundle, revoked)
    assert people(tmp_path, bundle, keys_of(public_key("maria", ROLE, revoked_at=SIGNED_AT + 1))) == ("maria",)
    later = bundle_of(tmp_path, rule("a", "linked"), effective_from="1971-01-01T00:00:00Z")
    sign(tmp_path, later, "maria")
    assert "was revoked" in fault(tmp_path, later, keys_of(public_key("maria", ROLE, revoked_at=364 * DAY)))
    assert people(tmp_path, later, keys_of(public_key("maria", ROLE, revoked_at=366 * DAY))) == ("maria",)


def test_without_keys_nobody_can_sign(tmp_path: Path, bundle: Bundle) -> None:
    sign(tmp_path, bundle, "maria")
    assert "whoever sets up the key file may add one" in fault(tmp_path, bundle, Keys())


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"signatures": [{}]}', orjson.dumps({"signatures": [], "more": 1}), b"\xff"]
)
def test_file_that_is_none_of_signatures_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(PolicyError, match=r"signatures\.json"):
        read_signatures(tmp_path)


def test_file_of_signatures_is_no_table(tmp_path: Path, bundle: Bundle) -> None:
    sign(tmp_path, bundle, "maria")
    assert bundle_of(tmp_path, rule("a", "linked", "act", "ticket")).hash == bundle.hash
