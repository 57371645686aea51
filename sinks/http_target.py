"""A target that is reached over HTTP: signed requests with idempotency keys, and what its answers mean.

    POST {url}/{operation}          an effect, or taking one back; `Idempotency-Key` as in the IETF's draft
    GET  {url}/effects/{key}        what became of an effect: 200 with its status, 404 where there is none
    GET  {url}/state?entity={e}     the state of an entity, as an object of numbers, texts and truths

TLS is verified, redirects are not followed, proxies of the environment are not used, answers have a bound, and where
a name may lead is checked (`sinks/egress.py`).
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from hashlib import blake2b
from math import ceil
from typing import Any
from urllib.parse import urlencode

import httpx
import orjson

from config.clock import SECOND
from config.effects import Call, Reply, Result
from config.http_signature import DIGEST, IDEMPOTENCY_KEY, content_digest, sign
from config.http_signature import Target as Signed
from config.targets import Target
from sinks.egress import NotAllowed, Resolve, allowed_address, resolved

STATE_MAX = 200
"""What of an entity's state is looked at, at most."""
TEXT_MAX = 1_000
RETRY_AFTER_MAX_S = 3_600
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""What fails before anything was sent."""
LATE = 401
"""What a target may say of a signature that has expired: of a request that was on its way for too long."""
TOLD: Mapping[str, Result] = {"done": "done", "undone": "undone", "in progress": "pending"}


class TooLarge(Exception):
    """An answer is beyond its bound."""


class Slow(Exception):
    """An answer has begun, and does not end in time."""


class HttpTarget:
    """Asks one HTTP target. Safe to share between threads.

    Args:
        target: Where, and with which secret.
        wall: The time of the wall, seconds.
        replay: Whether calls are of event time, of which the target knows nothing: then a call expires so long after
            it is sent as it would have after it was made.
        resolve: Resolves names.
        transport: Takes the place of the network, for tests and simulations.
    """

    def __init__(
        self,
        target: Target,
        wall: Callable[[], float] = time.time,
        replay: bool = False,
        resolve: Resolve = resolved,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._target, self._wall, self._replay, self._resolve = target, wall, replay, resolve
        self._url = httpx.URL(target.url)
        verify = ssl.create_default_context(cafile=target.ca_file) if self._url.scheme == "https" else True
        limits = httpx.Limits(max_connections=target.concurrency, max_keepalive_connections=target.concurrency)
        self._client = httpx.Client(
            verify=verify, limits=limits, follow_redirects=False, trust_env=False, transport=transport
        )

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def carry_out(self, call: Call) -> Reply:
        """Ask, wait, and return what came of it. Never raises."""
        began = self._wall()
        try:
            request = self.request(call)
        except NotAllowed as error:
            return _reply(call, "refused" if call.key and call.verb in ("do", "undo") else "unavailable", str(error))
        except OSError as error:
            return _failed(call, "not-sent", f"its name cannot be resolved ({type(error).__name__})")
        if request is None:
            return _reply(call, "expired", "it waited for its turn for too long")
        try:
            status, headers, body = self._sent(request, call.timeout / SECOND)
        except NOT_SENT as error:
            return _failed(call, "not-sent", f"it cannot be reached ({type(error).__name__})")
        except (httpx.HTTPError, Slow) as error:
            return _failed(call, "unknown", f"it did not answer ({type(error).__name__})")
        except TooLarge:
            return _failed(call, "unknown", f"its answer is beyond {self._target.response_bytes} bytes")
        if status == LATE and call.verb in ("do", "undo") and self._wall() >= self._expires(call, began):
            return _reply(call, "not-sent", f"status {status}, after it had expired")
        return reply_of(call, status, headers, body)

    def request(self, call: Call) -> httpx.Request | None:
        """Return the signed request of a call; None where it has waited for too long to be sent.

        Raises:
            NotAllowed: the target's name leads where it must not.
            OSError: its name cannot be resolved.
        """
        created = self._wall()
        expires = self._expires(call, created)
        if not self._replay and call.is_late(round(created * SECOND)):
            return None
        path, query = self._path(call)
        host = self._url.netloc.decode()
        headers: dict[str, str] = {"accept": "application/json", "accept-encoding": "identity"}
        method, body = "GET", b""
        if call.verb in ("do", "undo"):
            method, body = "POST", call.body()
            headers |= {
                "content-type": "application/json",
                DIGEST: content_digest(body),
                IDEMPOTENCY_KEY: f'"{call.key}"',
            }
        secret = (self._target.secret or "").encode()
        signed = Signed(method, host, path, query)
        headers |= sign(signed, headers, secret, self._target.key_id, int(created), expires)
        port = self._url.port or (443 if self._url.scheme == "https" else 80)
        address = allowed_address(self._url.host, port, self._target.networks, self._resolve)
        url = self._url.copy_with(host=address, raw_path=f"{path}?{query}".rstrip("?").encode())
        extensions = {"sni_hostname": self._url.host} if self._url.scheme == "https" else {}
        return httpx.Request(
            method, url, headers={"host": host, **headers}, content=body or None, extensions=extensions
        )

    def _expires(self, call: Call, created: float) -> int:
        return ceil(created + (call.expires - call.at) / SECOND) if self._replay else call.expires // SECOND

    def _path(self, call: Call) -> tuple[str, str]:
        base = self._url.path.rstrip("/")
        if call.verb == "query":
            return f"{base}/effects/{call.key}", ""
        if call.verb == "measure":
            return f"{base}/state", urlencode({"entity": call.entity})
        return f"{base}/{call.operation}", ""

    def _sent(self, request: httpx.Request, timeout_s: float) -> tuple[int, httpx.Headers, bytes]:
        """Send a request; return status, headers and body.

        Raises:
            httpx.HTTPError: it could not be sent, or is not answered.
            Slow: its answer does not end in time.
            TooLarge: its answer is beyond its bound.
        """
        deadline = time.monotonic() + timeout_s
        request.extensions["timeout"] = httpx.Timeout(timeout_s).as_dict()
        response = self._client.send(request, stream=True)
        try:
            body = b""
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > self._target.response_bytes:
                    raise TooLarge
                if time.monotonic() > deadline:
                    raise Slow
            return response.status_code, response.headers, body
        finally:
            response.close()


def reply_of(call: Call, status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    """Return what an answer to a call means. Its words are never repeated: they may hold anything."""
    content = _object(body)
    detail = f"status {status}"
    digest = blake2b(body, digest_size=16).hexdigest()
    if call.verb == "measure":
        return _measured(call, status, headers, content)
    if call.verb == "query":
        return _told(call, status, headers, content)
    if 200 <= status < 300 and status != 202 and content is not None and content.get("status", "done") == "done":
        return Reply(call.action_id, call.turn, "done", detail, digest=digest)
    if status == 429:
        wait = _retry_after(headers) * SECOND
        return Reply(call.action_id, call.turn, "not-sent", detail, retry_after=wait, digest=digest, failed=True)
    if status == 408:
        return Reply(call.action_id, call.turn, "not-sent", detail, digest=digest)
    if 400 <= status < 500 and status != 409:
        return Reply(call.action_id, call.turn, "refused", detail, digest=digest)
    # 2xx that says nothing we understand, 202, 3xx, 409 (being worked on), 5xx: it may be there or not.
    return Reply(call.action_id, call.turn, "unknown", detail, digest=digest, failed=status >= 500 or status < 400)


def _told(call: Call, status: int, headers: Mapping[str, str], content: dict[str, Any] | None) -> Reply:
    if status == 200 and content is not None and content.get("status") in TOLD and content.get("key") == call.key:
        return _reply(call, TOLD[content["status"]], "")
    if status == 404 and content is not None:
        return _reply(call, "absent", "")
    return _unanswered(call, status, headers)


def _measured(call: Call, status: int, headers: Mapping[str, str], content: dict[str, Any] | None) -> Reply:
    if status == 200 and content is not None and len(content) <= STATE_MAX:
        state = {name: value for name, value in content.items() if len(name) <= TEXT_MAX and _is_plain(value)}
        return Reply(call.action_id, call.turn, "measured", state=state)
    if status == 404:
        return _reply(call, "unreadable", f"status {status}")
    return _unanswered(call, status, headers)


def _unanswered(call: Call, status: int, headers: Mapping[str, str]) -> Reply:
    if status in (405, 501):
        return _reply(call, "unreadable", f"status {status}")
    wait = _retry_after(headers) * SECOND
    failed = status >= 500 or status < 400
    return Reply(call.action_id, call.turn, "unavailable", f"status {status}", retry_after=wait, failed=failed)


def _failed(call: Call, result: Result, detail: str) -> Reply:
    asked = call.verb in ("query", "measure")
    return Reply(call.action_id, call.turn, "unavailable" if asked else result, detail, failed=True)


def _reply(call: Call, result: Result, detail: str) -> Reply:
    return Reply(call.action_id, call.turn, result, detail)


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= TEXT_MAX)


def _retry_after(headers: Mapping[str, str]) -> int:
    text = headers.get("retry-after", "")
    return min(int(text), RETRY_AFTER_MAX_S) if text.isascii() and text.isdigit() else 0
