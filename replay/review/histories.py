"""What a recording tells of single orders: each record in words, without what is personal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.clock import to_text
from config.contracts import BUILT_IN, load_contracts
from config.contracts.model import Contract
from config.events import Event
from operators.decode import Decoder
from replay.backtest.order_truth import COMPLAINT_MAX
from replay.recording import Recording

BATCH = 50_000
RECORDS_MAX = 40
"""Records told of one order: what repeats without end is not worth telling."""

Data = dict[str, Any]


@dataclass(slots=True)
class History:
    """What is known of an order."""

    records: list[tuple[int, str, str]] = field(default_factory=list)
    """(when, type, what it says), by time."""
    facts: Data = field(default_factory=dict)
    """`placed_at`, `promised_at`, `delivered_at`, `answered_at`, `complained_at`, `score`, `worth`, …"""
    customer: str = ""


def histories(folder: Path) -> dict[str, History]:
    """Return the histories of all orders of a recording, by `order:<id>`.

    Raises:
        RecordingError: the recording is damaged.
    """
    contracts = load_contracts(BUILT_IN)
    found: dict[str, History] = {}
    for event in _events(Recording.open(folder, verify=False), Decoder(contracts)):
        order = event.data.get("order_id")
        if not order:
            continue
        history = found.setdefault(f"order:{order}", History())
        history.customer = event.data.get("customer_id") or history.customer
        fold = FOLDS.get(event.type)
        if fold is not None:
            fold(history.facts, event.at, event.data)
        if len(history.records) < RECORDS_MAX:
            history.records.append((event.at, event.type, says(event, contracts.of(event.type))))
    for history in found.values():
        history.records.sort()
    return found


def _events(recording: Recording, decoder: Decoder) -> Iterator[Event]:
    for part in recording.partitions:
        reader, offset = recording.reader(part.topic, part.partition), 0
        while (batch := reader.read(offset, BATCH)) is not None:
            yield from decoder.decode(batch).events()
            offset = int(batch.offsets[-1]) + 1
        reader.close()


def says(event: Event, contract: Contract) -> str:
    """Return what a record says in words: its public fields, numbers and instants; nothing personal, no ids."""
    tell = WORDS.get(event.type)
    if tell is not None:
        return tell(event.data)
    told = []
    for each in contract.fields.values():
        value = event.data.get(each.name)
        plain = each.classification == "public" or each.type in ("number", "integer", "boolean", "timestamp")
        if value is None or each.classification in ("personal", "sensitive") or not plain:
            continue
        told.append(f"{each.name.replace('_', ' ')} {to_text(value) if each.type == 'timestamp' else value}")
    return ", ".join(told) or "recorded"


def _placed(facts: Data, at: int, data: Data) -> None:
    items = data["items"]
    facts |= {
        "placed_at": at,
        "promised_at": data["promised_at"],
        "state": data["customer_state"],
        "sellers": len({item["seller_id"] for item in items}),
        "seller_states": sorted({item["seller_state"] for item in items}),
        "category": (items[0].get("category") or "") if items else "",
        "worth": round(sum(item["price"] + item["freight"] for item in items), 2),
        "freight": round(sum(item["freight"] for item in items), 2),
        "items": len(items),
    }


def _first(name: str) -> Callable[[Data, int, Data], None]:
    def fold(facts: Data, at: int, data: Data) -> None:
        facts[name] = min(at, facts.get(name, at))

    return fold


def _approved(facts: Data, at: int, data: Data) -> None:
    facts["ship_by"] = data.get("ship_by")


def _answered(facts: Data, at: int, data: Data) -> None:
    facts["answered_at"] = min(at, facts.get("answered_at", at))
    facts["score"] = min(data["score"], facts.get("score", data["score"]))
    if data["score"] <= COMPLAINT_MAX:
        facts["complained_at"] = min(at, facts.get("complained_at", at))


FOLDS: dict[str, Callable[[Data, int, Data], None]] = {
    "order.placed": _placed,
    "order.approved": _approved,
    "order.cancelled": _first("cancelled_at"),
    "shipment.handed_over": _first("handed_over_at"),
    "shipment.delivered": _first("delivered_at"),
    "review.answered": _answered,
}


def _day(value: object) -> str:
    return to_text(value)[:10] if isinstance(value, int) else "a day unknown"


def _placed_words(data: Data) -> str:
    facts: Data = {}
    _placed(facts, 0, data)
    sellers = "one seller" if facts["sellers"] == 1 else f"{facts['sellers']} sellers"
    places = ", ".join(facts["seller_states"])
    things = "1 item" if facts["items"] == 1 else f"{facts['items']} items"
    return (
        f"order placed: {things} of {sellers} ({places}) to {facts['state']}, worth {facts['worth']:.2f}, "
        f"promised for {_day(facts['promised_at'])}"
    )


WORDS: dict[str, Callable[[Data], str]] = {
    "order.placed": _placed_words,
    "order.approved": lambda data: f"approved, to be shipped by {_day(data.get('ship_by'))}",
    "order.cancelled": lambda data: "cancelled",
    "payment.captured": lambda data: f"payment of {data['amount']:.2f} captured",
    "shipment.handed_over": lambda data: "handed over to the carrier",
    "shipment.delivered": lambda data: "delivered",
    "review.answered": lambda data: f"the customer answers: {data['score']} of 5 stars",
    "refund.requested": lambda data: "refund requested",
    "refund.posted": lambda data: "refund posted",
}
