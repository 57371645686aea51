"""An HTTP target: what is sent, what answers mean, and what is not trusted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from config.clock import SECOND
from config.effects import Call, Reply, Verb
from config.http_signature import Target as Signed
from config.http_signature import verify
from config.targets import Target, load_targets
from sinks.http_target import HttpTarget, reply_of
from tests.support.remedies import targets_file
from tests.support.target import KEYS, NOW

Handler = Callable[[httpx.Request], httpx.Response]
AT = NOW * SECOND


def crm(folder: Path, url: str = "http://shop.example:8700", **changed: Any) -> Target:
    return load_targets(targets_file(folder, url, **changed)).by_name["crm"]


def call(verb: Verb = "do", **more: Any) -> Call:
    values: dict[str, Any] = {
        "action_id": "a1",
        "turn": 3,
        "verb": verb,
        "target": "crm",
        "operation": "send_message",
        "key": "k1",
        "entity": "customer:ä&b",
        "at": AT,
        "timeout": 5 * SECOND,
        "expires": AT + 5 * SECOND,
        "parameters": {"template": "late"},
    }
    return Call(**values | more)


def ask(target: Target, one: Call, handler: Handler, **more: Any) -> Reply:
    resolve = more.pop("resolve", lambda host, port: ["127.0.0.1"])
    wall = more.pop("wall", lambda: float(NOW))
    client = HttpTarget(target, wall, resolve=resolve, transport=httpx.MockTransport(handler), **more)
    try:
        return client.carry_out(one)
    finally:
        client.close()


def recorded(content: Any, into: list[httpx.Request]) -> Handler:
    def handle(request: httpx.Request) -> httpx.Response:
        into.append(request)
        return httpx.Response(200, content=iter([orjson.dumps(content)]))

    return handle


def checked(request: httpx.Request) -> int:
    """Verify a request as its target does; return when it expires."""
    signed = Signed(request.method, request.headers["host"], request.url.path, request.url.query.decode())
    headers = {name.lower(): value for name, value in request.headers.items()}
    return verify(signed, headers, request.content, KEYS, NOW)


def test_an_effect_is_a_signed_request_under_its_key(tmp_path: Path) -> None:
    sent: list[httpx.Request] = []
    reply = ask(crm(tmp_path), call(), recorded({"status": "done"}, sent))
    assert (reply.result, reply.turn, reply.failed) == ("done", 3, False)
    (request,) = sent
    assert (request.method, request.url.path, request.url.host) == ("POST", "/crm/send_message", "127.0.0.1")
    assert request.headers["host"] == "shop.example:8700"
    assert request.headers["idempotency-key"] == '"k1"'
    assert orjson.loads(request.content) == {"template": "late", "entity": "customer:ä&b"}
    assert checked(request) == NOW + 5


def test_taking_back_names_what_it_undoes(tmp_path: Path) -> None:
    sent: list[httpx.Request] = []
    ask(crm(tmp_path), call("undo", operation="withdraw_message", undoes="k0"), recorded({}, sent))
    assert sent[0].url.path == "/crm/withdraw_message"
    assert orjson.loads(sent[0].content)["undoes"] == "k0"


def test_questions_are_signed_and_say_nothing_in_their_path_but_the_key(tmp_path: Path) -> None:
    sent: list[httpx.Request] = []
    handler = recorded({"key": "k1", "status": "done"}, sent)
    assert ask(crm(tmp_path), call("query"), handler).result == "done"
    assert ask(crm(tmp_path), call("measure"), handler).state == {"key": "k1", "status": "done"}
    assert [request.url.raw_path for request in sent] == [
        b"/crm/effects/k1",
        b"/crm/state?entity=customer%3A%C3%A4%26b",
    ]
    assert [request.method for request in sent] == ["GET", "GET"]
    assert all(checked(request) for request in sent)


@pytest.mark.parametrize(
    ("status", "body", "headers", "result", "failed"),
    [
        (200, b'{"status":"done"}', {}, "done", False),
        (201, b"{}", {}, "done", False),
        (200, b'{"status":"in progress"}', {}, "unknown", True),
        (202, b"{}", {}, "unknown", True),
        (200, b"<html>log in</html>", {}, "unknown", True),
        (200, b"[]", {}, "unknown", True),
        (204, b"", {}, "unknown", True),
        (307, b"", {"location": "http://169.254.169.254/"}, "unknown", True),
        (400, b"{}", {}, "refused", False),
        (401, b"{}", {}, "refused", False),
        (404, b"{}", {}, "refused", False),
        (422, b"{}", {}, "refused", False),
        (408, b"{}", {}, "not-sent", False),
        (409, b"{}", {}, "unknown", False),
        (429, b"{}", {"retry-after": "7"}, "not-sent", True),
        (500, b"{}", {}, "unknown", True),
        (503, b"{}", {"retry-after": "7"}, "unknown", True),
    ],
)
def test_answers_to_a_request(status: int, body: bytes, headers: dict[str, str], result: str, failed: bool) -> None:
    for verb in ("do", "undo"):
        reply = reply_of(call(verb), status, headers, body)
        assert (reply.result, reply.failed) == (result, failed)
        assert reply.retry_after == (7 * SECOND if status == 429 else 0)


@pytest.mark.parametrize(
    ("status", "body", "result", "failed"),
    [
        (200, b'{"key":"k1","status":"done"}', "done", False),
        (200, b'{"key":"k1","status":"undone"}', "undone", False),
        (200, b'{"key":"k1","status":"in progress"}', "pending", False),
        (200, b'{"key":"k2","status":"done"}', "unavailable", True),
        (200, b'{"key":"k1","status":"perhaps"}', "unavailable", True),
        (200, b"nonsense", "unavailable", True),
        (404, b'{"title":"no such effect"}', "absent", False),
        (404, b"<html>nginx</html>", "unavailable", False),
        (401, b"{}", "unavailable", False),
        (405, b"", "unreadable", False),
        (501, b"", "unreadable", False),
        (500, b"", "unavailable", True),
        (302, b"", "unavailable", True),
    ],
)
def test_answers_to_a_question(status: int, body: bytes, result: str, failed: bool) -> None:
    reply = reply_of(call("query"), status, {}, body)
    assert (reply.result, reply.failed) == (result, failed)


def test_a_target_that_asks_to_wait_is_heard_in_answers_to_questions_too() -> None:
    for verb in ("query", "measure"):
        for status in (429, 503):
            reply = reply_of(call(verb), status, {"retry-after": "7"}, b"{}")
            assert (reply.result, reply.retry_after) == ("unavailable", 7 * SECOND)


def test_of_a_state_only_plain_values_are_taken() -> None:
    body = orjson.dumps({"n": 1, "t": "x", "b": True, "o": {"x": 1}, "l": [1], "long": "x" * 5_000, "none": None})
    reply = reply_of(call("measure"), 200, {}, body)
    assert (reply.result, reply.state) == ("measured", {"n": 1, "t": "x", "b": True, "none": None})
    assert reply_of(call("measure"), 200, {}, orjson.dumps({str(n): n for n in range(500)})).result == "unavailable"
    assert reply_of(call("measure"), 404, {}, b"{}").result == "unreadable"


def test_no_word_of_an_answer_is_repeated() -> None:
    secret = b'{"title":"card 4111 1111 1111 1111"}'
    for verb in ("do", "query", "measure"):
        assert "4111" not in reply_of(call(verb), 422, {"x": "4111"}, secret).detail


@pytest.mark.parametrize(
    ("error", "of_do", "of_query"),
    [
        (httpx.ConnectError("x"), "not-sent", "unavailable"),
        (httpx.ConnectTimeout("x"), "not-sent", "unavailable"),
        (httpx.PoolTimeout("x"), "not-sent", "unavailable"),
        (httpx.ReadTimeout("x"), "unknown", "unavailable"),
        (httpx.WriteTimeout("x"), "unknown", "unavailable"),
        (httpx.RemoteProtocolError("x"), "unknown", "unavailable"),
        (httpx.ReadError("x"), "unknown", "unavailable"),
    ],
)
def test_what_fails_before_it_is_sent_is_told_from_what_fails_after(
    tmp_path: Path, error: Exception, of_do: str, of_query: str
) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        raise error

    for verb, result in (("do", of_do), ("undo", of_do), ("query", of_query), ("measure", of_query)):
        reply = ask(crm(tmp_path), call(verb), handle)  # type: ignore[arg-type]
        assert (reply.result, reply.failed) == (result, True)


def test_an_answer_beyond_its_bound_is_not_read(tmp_path: Path) -> None:
    read: list[int] = []

    def pieces() -> Any:
        for number in range(10_000):
            read.append(number)
            yield b" " * 1_000

    target = crm(tmp_path, response_bytes=5_000)
    reply = ask(target, call(), lambda request: httpx.Response(200, content=pieces()))
    assert (reply.result, reply.failed) == ("unknown", True)
    assert len(read) < 20


def test_an_answer_that_does_not_end_is_given_up(tmp_path: Path) -> None:
    def pieces() -> Any:
        while True:
            yield b""
            yield b" "

    target = crm(tmp_path, response_bytes=16_000_000)
    reply = ask(target, call(timeout=SECOND // 20), lambda request: httpx.Response(200, content=pieces()))
    assert (reply.result, reply.detail) == ("unknown", "it did not answer (Slow)")


def test_what_waited_for_too_long_is_not_sent(tmp_path: Path) -> None:
    sent: list[httpx.Request] = []
    reply = ask(crm(tmp_path), call(expires=AT), recorded({}, sent))
    assert (reply.result, reply.failed, sent) == ("expired", False, [])
    # A target needs its time, too: what has waited for half of it is not worth sending.
    late = ask(crm(tmp_path), call(), recorded({}, sent), wall=lambda: NOW + 2.6)
    assert (late.result, late.failed, sent) == ("expired", False, [])
    in_time = ask(crm(tmp_path), call(), recorded({}, sent), wall=lambda: NOW + 2.4)
    assert (in_time.result, checked(sent[0])) == ("done", NOW + 5)


def test_a_signature_that_expired_on_the_way_is_no_refusal(tmp_path: Path) -> None:
    def refuses(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, content=iter([b""]))

    for arrived, result in ((NOW + 5.5, "not-sent"), (NOW + 1.0, "refused")):
        times = iter([float(NOW), float(NOW), arrived])
        reply = ask(crm(tmp_path), call(), refuses, wall=times.__next__)
        assert (reply.result, reply.failed) == (result, False)


def test_in_a_replay_a_call_of_long_ago_expires_as_if_it_were_made_now(tmp_path: Path) -> None:
    sent: list[httpx.Request] = []
    old = call(at=0, expires=5 * SECOND)
    assert ask(crm(tmp_path), old, recorded({}, sent), replay=True).result == "done"
    assert checked(sent[0]) == NOW + 5
    assert ask(crm(tmp_path), old, recorded({}, sent)).result == "expired"


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "169.254.169.254", "127.0.0.1", "::1", "::ffff:10.0.0.1", "192.168.1.1"]
)
def test_a_name_that_leads_where_it_must_not_is_not_followed(tmp_path: Path, address: str) -> None:
    sent: list[httpx.Request] = []
    target = crm(tmp_path, networks=[])
    for addresses in ([address], ["93.184.216.34", address]):
        for verb, result in (("do", "refused"), ("query", "unavailable")):
            one = call(verb)  # type: ignore[arg-type]
            found = ask(target, one, recorded({}, sent), resolve=lambda host, port, all=addresses: all)
            assert found.result == result
            assert "networks" in found.detail
    assert sent == []


def test_a_name_is_resolved_once_and_the_address_that_was_looked_at_is_used(tmp_path: Path) -> None:
    answers = [["93.184.216.34"], ["10.0.0.1"]]
    sent: list[httpx.Request] = []
    ask(crm(tmp_path, networks=[]), call(), recorded({}, sent), resolve=lambda host, port: answers.pop(0))
    assert [request.url.host for request in sent] == ["93.184.216.34"]


def test_a_name_without_an_address_is_a_failure(tmp_path: Path) -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    reply = ask(crm(tmp_path), call(), recorded({}, []), resolve=resolve)
    assert (reply.result, reply.failed) == ("not-sent", True)


def test_over_tls_the_certificate_is_that_of_the_name(tmp_path: Path) -> None:
    sent: list[httpx.Request] = []
    ask(crm(tmp_path, "https://shop.example"), call(), recorded({}, sent))
    assert sent[0].extensions["sni_hostname"] == "shop.example"
    assert (sent[0].url.scheme, sent[0].headers["host"]) == ("https", "shop.example")
