"""The target system: effects once by their key, signatures, what it says of them, and its troubles."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from config.errors import UsageError
from replay.target import HUGE_BYTES, Request, Service
from replay.target_faults import NAMES, Fault, Faults, parse_chances
from replay.target_shop import OPERATIONS, Answer, Shop
from tests.support.target import KEYS, NOW, get, post

MESSAGE = {"entity": "customer:alice", "template": "late"}


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    yield made
    made.close()


@pytest.fixture
def service(shop: Shop) -> Service:
    return Service(shop, KEYS)


@pytest.mark.parametrize("content", [b"", b"not a database", None], ids=["empty", "text", "of others"])
def test_only_a_database_of_its_own_is_written_into(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "target.db"
    if content is None:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE effects (key TEXT)")
    else:
        file.write_bytes(content)
    before = file.read_bytes()
    if content == b"":
        Shop(file).close()
        Shop(file).close()
        return
    with pytest.raises(UsageError, match="no database of a target system"):
        Shop(file)
    assert file.read_bytes() == before


def ask(service: Service, request: Request, fault: str = "", now: float = NOW) -> Answer | None:
    return service.answer(request, Fault(fault), now)


def said(answer: Answer | None) -> tuple[int, Any]:
    assert answer is not None
    return answer.status, orjson.loads(answer.body)


def send(service: Service, key: str, fault: str = "", **more: Any) -> Answer | None:
    return ask(service, post("/crm/send_message", key, MESSAGE | more), fault)


def test_effect_happens_once_by_its_key_and_the_same_is_answered_again(service: Service, shop: Shop) -> None:
    first, again = send(service, "k1"), send(service, "k1")
    assert said(first) == (200, {"status": "done", "key": "k1"})
    assert again == first
    assert shop.numbers("customer:alice")["messages"] == 1
    send(service, "k2")
    assert shop.numbers("customer:alice")["messages"] == 2
    assert [effect["key"] for effect in shop.effects()] == ["k1", "k2"]


def test_key_of_another_request_is_refused(service: Service, shop: Shop) -> None:
    send(service, "k1")
    assert said(send(service, "k1", template="other"))[0] == 422
    assert said(ask(service, post("/crm/open_ticket", "k1", MESSAGE)))[0] == 422
    assert shop.numbers("customer:alice")["messages"] == 1


def test_what_became_of_an_effect_is_told_by_its_key(service: Service) -> None:
    assert said(ask(service, get("/crm/effects/k1")))[0] == 404
    send(service, "k1")
    status, told = said(ask(service, get("/crm/effects/k1")))
    assert (status, told["status"], told["operation"]) == (200, "done", "send_message")
    assert said(ask(service, get("/billing/effects/k1")))[0] == 404


@pytest.mark.parametrize(("system", "name"), [(system, name) for system, named in OPERATIONS.items() for name in named])
def test_each_operation_changes_its_number_and_its_inverse_takes_it_back(
    service: Service, shop: Shop, system: str, name: str
) -> None:
    operation = OPERATIONS[system][name]
    before = shop.numbers("e")
    content = {"entity": "e", "amount": 12.5}
    assert said(ask(service, post(f"/{system}/{name}", "k1", content)))[0] == 200
    by = 1250 if operation.amount else 1
    assert shop.numbers("e") == before | {operation.field: by, "trouble": 0}
    if operation.inverse:
        undo = post(f"/{system}/{operation.inverse}", "k2", {"entity": "e", "undoes": "k1"})
        assert said(ask(service, undo))[0] == 200
        assert ask(service, undo) == ask(service, undo)
        assert shop.numbers("e") == before
        assert said(ask(service, get(f"/{system}/effects/k1")))[1]["status"] == "undone"


def test_only_what_is_there_can_be_undone_and_once(service: Service, shop: Shop) -> None:
    send(service, "k1")
    undo = {"entity": "customer:alice", "undoes": "k1"}
    assert said(ask(service, post("/crm/withdraw_message", "u0", undo | {"undoes": "k9"})))[0] == 404
    assert said(ask(service, post("/crm/close_ticket", "u1", undo)))[0] == 422
    assert said(ask(service, post("/billing/reverse_credit", "u2", undo)))[0] == 404
    assert said(ask(service, post("/crm/withdraw_message", "u3", undo)))[0] == 200
    assert said(ask(service, post("/crm/withdraw_message", "u4", undo)))[0] == 409
    assert shop.numbers("customer:alice")["messages"] == 0
    assert [(key, why.split()[0]) for key, _, why in shop.refusals()] == [
        ("u0", "there"),
        ("u1", "close_ticket"),
        ("u2", "there"),
        ("u4", "the"),
    ]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (post("/crm/fly_to_the_moon", "k", MESSAGE), 404),
        (post("/moon/send_message", "k", MESSAGE), 404),
        (post("/crm/send_message", "k", {"template": "late"}), 400),
        (post("/crm/send_message", "k", [1]), 400),
        (post("/billing/credit", "k", {"entity": "e"}), 422),
        (post("/billing/credit", "k", {"entity": "e", "amount": -1}), 422),
        (post("/billing/credit", "k", {"entity": "e", "amount": True}), 422),
        (get("/crm/state"), 404),
        (get("/crm/everything"), 404),
        (get("/crm/effects/"), 404),
    ],
)
def test_what_cannot_be_obeyed_is_refused_and_changes_nothing(
    service: Service, shop: Shop, request_: Request, status: int
) -> None:
    assert said(ask(service, request_))[0] == status
    assert shop.effects() == []
    # A key is not used up by a refusal.
    if request_.method == "POST":
        assert said(send(service, "k"))[0] == 200


def test_unsigned_requests_and_those_without_a_key_are_refused(service: Service, shop: Shop) -> None:
    request = post("/crm/send_message", "k1", MESSAGE)
    assert said(ask(service, request._replace(headers={"host": "shop"})))[0] == 401
    assert said(ask(service, request._replace(body=b'{"entity":"customer:mallory"}')))[0] == 401
    keyless = {name: value for name, value in request.headers.items() if name != "idempotency-key"}
    assert said(ask(service, request._replace(headers=keyless)))[0] == 401
    assert said(ask(service, get("/crm/effects/k1")._replace(headers={})))[0] == 401
    assert shop.effects() == []


def test_nothing_is_obeyed_after_its_signature_expired(service: Service, shop: Shop) -> None:
    request = post("/crm/send_message", "k1", MESSAGE, lasts=5)
    assert said(ask(service, request, now=NOW + 6))[0] == 401
    assert shop.effects() == []
    assert said(ask(service, request, now=NOW + 5))[0] == 200


def test_state_tells_all_numbers_of_an_entity(service: Service) -> None:
    send(service, "k1")
    status, numbers = said(ask(service, get("/crm/state", "entity=customer%3Aalice")))
    assert status == 200
    assert (numbers["messages"], numbers["credits"], numbers["trouble"]) == (1, 0, 0)
    assert said(ask(service, get("/crm/state", "entity=nobody")))[1]["trouble"] == 1


DONE = {"": 1, "fail_after": 1, "lose_reply": 1, "garbage": 1, "huge": 1, "duplicate": 1, "useless": 1, "spill": 1}


@pytest.mark.parametrize("fault", ["", *NAMES])
def test_troubles_do_what_they_say(service: Service, shop: Shop, fault: str) -> None:
    answer = send(service, "k1", fault)
    done = DONE.get(fault, int(fault == "slow"))
    assert shop.numbers("customer:alice")["messages"] == done
    assert len(shop.effects()) == done
    expected = {
        "fail_before": 500,
        "fail_after": 500,
        "refuse": 422,
        "throttle": 429,
        "redirect": 307,
        "lose_request": None,
        "lose_reply": None,
    }
    assert (answer and answer.status) == expected.get(fault, 200)
    numbers = shop.numbers("customer:alice")
    assert numbers["trouble"] == (0 if done and fault != "useless" else 1)
    assert numbers["notes"] == int(fault == "spill")
    if fault == "garbage":
        assert answer is not None
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(answer.body)
    if fault == "huge":
        assert answer is not None
        assert len(answer.body) == HUGE_BYTES


def test_troubles_depend_on_the_request_and_not_on_the_order() -> None:
    chances = parse_chances("lose_reply=0.3,slow=0.3")
    keys = [f"k{number}" for number in range(200)]

    def drawn(keys: list[str], seed: int = 7) -> dict[str, list[Fault]]:
        faults = Faults(seed, chances)
        return {key: [faults.draw("POST", "/crm/send_message", key) for _ in range(3)] for key in keys}

    one = drawn(keys)
    assert one == drawn(keys[::-1])
    assert one != drawn(keys, seed=8)
    names = [fault.name for faults in one.values() for fault in faults]
    assert {name: round(names.count(name) / len(names), 1) for name in set(names)} == {
        "": 0.4,
        "lose_reply": 0.3,
        "slow": 0.3,
    }


def test_troubles_of_a_path_take_the_place_of_those_of_all() -> None:
    faults = Faults(1, parse_chances("lie=1,/crm/open_ticket:slow=1,/crm/add_note:lie=0"))
    assert faults.draw("POST", "/crm/send_message", "k").name == "lie"
    assert faults.draw("POST", "/crm/open_ticket", "k").name == "slow"
    assert faults.draw("POST", "/crm/add_note", "k").name == ""
    assert faults.draw("GET", "/crm/effects/k", "k").name == ""  # who lies to a question cannot be found out


@pytest.mark.parametrize("text", ["lie", "lie=2", "lie=x", "fly=0.1", "lie=0.6,slow=0.6", "lie=-1"])
def test_troubles_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_chances(text)


def test_what_was_committed_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "target.db")
    first = send(Service(shop, KEYS), "k1")
    shop.close()
    shop = Shop(tmp_path / "target.db")
    assert send(Service(shop, KEYS), "k1") == first
    assert shop.numbers("customer:alice")["messages"] == 1
    shop.close()


def test_a_second_request_with_a_key_that_is_worked_on_is_sent_away(service: Service, shop: Shop) -> None:
    during: list[Answer | None] = []
    inner = shop.obey

    def obey(*args: Any, **more: Any) -> Answer:
        if not during:
            during.append(None)
            during[:] = [send(service, "k1"), ask(service, get("/crm/effects/k1"))]
        return inner(*args, **more)

    shop.obey = obey  # type: ignore[method-assign]
    assert said(send(service, "k1"))[0] == 200
    assert said(during[0])[0] == 409
    assert said(during[1]) == (200, {"key": "k1", "status": "in progress"})
