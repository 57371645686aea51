"""Requests to the target system, signed as a sender signs them."""

from __future__ import annotations

from typing import Any

import orjson

from config.http_signature import DIGEST, IDEMPOTENCY_KEY, Target, content_digest, sign
from replay.target import Request

KEY_ID = "forestall"
SECRET = b"of the tests"
KEYS = {KEY_ID: SECRET}
NOW = 1_700_000_000


def post(path: str, key: str, content: Any, *, now: int = NOW, lasts: int = 30, host: str = "shop") -> Request:
    """Return a request for an effect."""
    body = orjson.dumps(content)
    headers = {DIGEST: content_digest(body), IDEMPOTENCY_KEY: f'"{key}"', "host": host}
    target = Target("POST", host, path)
    return Request("POST", target, headers | sign(target, headers, SECRET, KEY_ID, now, now + lasts), body)


def get(path: str, query: str = "", *, now: int = NOW, lasts: int = 30, host: str = "shop") -> Request:
    """Return a request that only asks."""
    target = Target("GET", host, path, query)
    headers = {"host": host}
    return Request("GET", target, headers | sign(target, headers, SECRET, KEY_ID, now, now + lasts))
