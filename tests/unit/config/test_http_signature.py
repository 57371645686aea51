"""Signatures of requests: the example of RFC 9421, and what is refused."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode

import pytest

from config.http_signature import (
    DIGEST,
    IDEMPOTENCY_KEY,
    INPUT,
    SIGNATURE,
    SKEW_S,
    SignatureError,
    Target,
    content_digest,
    sign,
    signature_base,
    verify,
)

KEYS = {"shop": b"of the tests"}
BODY = b'{"customer":"alice"}'
POST = Target("POST", "crm.example:8443", "/crm/send_message")
NOW = 1_700_000_000


def signed(target: Target = POST, body: bytes = BODY, key: bytes = KEYS["shop"]) -> dict[str, str]:
    headers = {DIGEST: content_digest(body), IDEMPOTENCY_KEY: '"k1"'} if target.method == "POST" else {}
    return headers | sign(target, headers, key, "shop", NOW, NOW + 30)


def test_signs_as_the_example_of_the_rfc() -> None:
    # RFC 9421, B.2.5: Signing a Request using hmac-sha256.
    secret = b64decode("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
    components = [
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("@authority", "example.com"),
        ("content-type", "application/json"),
    ]
    base = signature_base(
        components, '("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"'
    )
    assert b64encode(hmac.digest(secret, base, "sha256")) == b"pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8="


def test_digest_is_that_of_the_rfc() -> None:
    # RFC 9530, B.1
    assert content_digest(b'{"hello": "world"}\n') == "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"


def test_what_was_signed_is_verified_until_it_expires() -> None:
    assert verify(POST, signed(), BODY, KEYS, NOW + 30) == NOW + 30
    get = Target("GET", "crm.example", "/crm/effects/k1", "a=b")
    assert verify(get, signed(get), b"", KEYS, NOW) == NOW + 30


@pytest.mark.parametrize(
    ("target", "body", "changed", "now", "why"),
    [
        (POST, BODY, {INPUT: ""}, NOW, "not signed"),
        (POST, BODY, {SIGNATURE: "sig1=:AAAA:"}, NOW, "none of a key"),
        (POST, BODY, {SIGNATURE: "sig1=:A=A:"}, NOW, "none of a key"),
        (POST, BODY, {IDEMPOTENCY_KEY: '"k2"'}, NOW, "none of a key"),
        (POST, b'{"customer":"mallory"}', {}, NOW, "the body"),
        (POST, b"{}", {DIGEST: content_digest(b"{}")}, NOW, "none of a key"),
        (POST._replace(path="/crm/delete"), BODY, {}, NOW, "none of a key"),
        (POST._replace(query="all=1"), BODY, {}, NOW, "none of a key"),
        (POST._replace(authority="billing.example"), BODY, {}, NOW, "none of a key"),
        (POST, BODY, {}, NOW + 31, "expired"),
        (POST, BODY, {}, NOW - SKEW_S - 1, "in the future"),
    ],
)
def test_what_was_changed_or_is_not_of_now_is_refused(
    target: Target, body: bytes, changed: dict[str, str], now: int, why: str
) -> None:
    with pytest.raises(SignatureError, match=why):
        verify(target, signed() | changed, body, KEYS, now)


def test_a_signature_of_another_key_is_refused() -> None:
    with pytest.raises(SignatureError, match="none of a key"):
        verify(POST, signed(key=b"guessed"), BODY, KEYS, NOW)
    with pytest.raises(SignatureError, match="none of a key"):
        verify(POST, signed(), BODY, {"other": KEYS["shop"]}, NOW)


def test_a_signature_that_leaves_out_the_body_or_the_key_is_refused() -> None:
    get = POST._replace(method="GET")
    bare = sign(POST, {}, KEYS["shop"], "shop", NOW, NOW + 30)
    with pytest.raises(SignatureError, match="does not cover content-digest"):
        verify(POST, bare | {DIGEST: content_digest(BODY)}, BODY, KEYS, NOW)
    with pytest.raises(SignatureError, match="none of a key"):
        verify(get, bare, b"", KEYS, NOW)
