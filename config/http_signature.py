"""HTTP Message Signatures (RFC 9421) with HMAC-SHA256: who sent a request, that nobody changed it, and until when it
may be obeyed.

A request is signed over its method, host, path, query, the digest of its body (RFC 9530) and its idempotency key.
`expires` is more than a guard against replays: whoever obeys a request after it, does what its sender takes for not
done. So a target must look at it once more just before its effect.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import NamedTuple

LABEL = "sig1"
DIGEST = "content-digest"
IDEMPOTENCY_KEY = "idempotency-key"
INPUT, SIGNATURE = "signature-input", "signature"

SKEW_S = 60
"""How far the clocks of sender and target may be apart."""

HEADER_MAX = 2_000
"""Characters of a header that is taken apart."""

_PARTS = ("@method", "@authority", "@path", "@query")
_INPUT = re.compile(
    r'sig1=(\(("[a-z@-]+"(?: "[a-z@-]+")*)\);created=(\d{1,12});expires=(\d{1,12});keyid="([\w.-]{1,64})"'
    r';alg="hmac-sha256")'
)
_SIGNATURE = re.compile(r"sig1=:([A-Za-z0-9+/=]{1,100}):")


class SignatureError(ValueError):
    """A request is not what its sender signed, is not signed, or came too late; says which, and no secret."""


class Target(NamedTuple):
    """What of a request is signed beside its headers."""

    method: str
    authority: str
    """Host and, where it is not the scheme's own, port."""
    path: str
    query: str = ""
    """Without the question mark."""


def content_digest(body: bytes) -> str:
    """Return the value of `Content-Digest` for a body."""
    return f"sha-256=:{b64encode(sha256(body).digest()).decode()}:"


def signature_base(components: Iterable[tuple[str, str]], parameters: str) -> bytes:
    """Return what is signed: RFC 9421, section 2.5.

    Args:
        components: (name, value) of each, in order.
        parameters: The value of `@signature-params`.
    """
    lines = [f'"{name}": {value}' for name, value in components]
    return "\n".join([*lines, f'"@signature-params": {parameters}']).encode()


def sign(target: Target, headers: Mapping[str, str], key: bytes, key_id: str, created: int, expires: int) -> Headers:
    """Return the headers that sign a request.

    Args:
        target: The request line.
        headers: Its headers by lower-case name; those of a body and an idempotency key are signed where there are any.
        key: The secret that sender and target share.
        key_id: Which one it is.
        created: When, seconds since the epoch.
        expires: Until when it may be obeyed, seconds since the epoch.
    """
    names = [*_PARTS, *(name for name in (DIGEST, IDEMPOTENCY_KEY) if name in headers)]
    listed = " ".join(f'"{name}"' for name in names)
    parameters = f'({listed});created={created};expires={expires};keyid="{key_id}";alg="hmac-sha256"'
    base = signature_base(((name, _value(target, headers, name)) for name in names), parameters)
    signature = b64encode(hmac.digest(key, base, "sha256")).decode()
    return {INPUT: f"{LABEL}={parameters}", SIGNATURE: f"{LABEL}=:{signature}:"}


Headers = dict[str, str]


def verify(target: Target, headers: Mapping[str, str], body: bytes, keys: Mapping[str, bytes], now: float) -> int:
    """Check the signature of a request; return until when it may be obeyed, seconds since the epoch.

    Args:
        target: The request line.
        headers: Its headers by lower-case name.
        body: Its body.
        keys: Secrets by key id.
        now: Seconds since the epoch.

    Raises:
        SignatureError: it is not signed, not by any of `keys`, not as a whole, or not for now.
    """
    given, signature = headers.get(INPUT, ""), headers.get(SIGNATURE, "")
    found, mark = _INPUT.fullmatch(given[:HEADER_MAX]), _SIGNATURE.fullmatch(signature[:HEADER_MAX])
    if found is None or mark is None:
        raise SignatureError("the request is not signed by sig1 with hmac-sha256")
    parameters, listed, created, expires, key_id = found.groups()
    names = [name.strip('"') for name in listed.split(" ")]
    wanted = [*_PARTS, *([DIGEST, IDEMPOTENCY_KEY] if target.method == "POST" else [])]
    if missing := [name for name in wanted if name not in names]:
        raise SignatureError(f"the signature does not cover {missing[0]}")
    if len(set(names)) != len(names):
        raise SignatureError("the signature covers something twice")
    if DIGEST in names and not hmac.compare_digest(headers.get(DIGEST, ""), content_digest(body)):
        raise SignatureError("the body is not the one that was signed")
    key = keys.get(key_id)
    base = signature_base(((name, _value(target, headers, name)) for name in names), parameters)
    if key is None or not hmac.compare_digest(hmac.digest(key, base, "sha256"), _decoded(mark[1])):
        raise SignatureError("the signature is none of a key that is known here")
    if int(created) > now + SKEW_S:
        raise SignatureError("the signature was made in the future")
    if now > int(expires):
        raise SignatureError("the signature has expired")
    return int(expires)


def _value(target: Target, headers: Mapping[str, str], name: str) -> str:
    match name:
        case "@method":
            return target.method
        case "@authority":
            return target.authority.lower()
        case "@path":
            return target.path
        case "@query":
            return f"?{target.query}"
        case _:
            if name not in headers:
                raise SignatureError(f"the request has no {name}")
            return headers[name].strip()


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""
