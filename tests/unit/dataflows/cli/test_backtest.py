"""`forestall backtest` on what an earlier replay left in a store: what it tells, draws and refuses."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest

from config.clock import DAY, HOUR, MINUTE, to_text
from tests.support.cloudevents import cloud_event
from tests.support.commands import forestall, store_url
from tests.support.market import START, market, placed_at
from tests.support.stores import filled, finding

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Twenty orders, and a store with findings on one that was complained of, and on one that was not."""
    folder = tmp_path_factory.mktemp("market")
    market(folder / "market", 20)
    found = [finding("a", placed_at(8) + 9 * DAY, "order:m8"), finding("b", placed_at(9) + DAY, "order:m9")]
    return folder / "market", filled(store_url(folder / "store.db"), more=found)


def test_orders_are_judged_by_what_their_customers_said(place: tuple[Path, str]) -> None:
    document = forestall("backtest", place[0], "--store", place[1], "--json").document
    assert (document["orders"], document["reviewed"], document["complaints"]) == (20, 19, 5)
    assert (document["detections"], document["precision"], document["recall"]) == (2, 0.5, 0.2)
    assert document["lead_hours"]["p50"] == 6 * 24
    assert "sweep" not in document


def test_only_orders_placed_since_are_judged_though_all_are_learned_from(place: tuple[Path, str]) -> None:
    since = ("--since", to_text(placed_at(9)), "--sweep")
    document = forestall("backtest", place[0], "--store", place[1], *since, "--json").document
    assert (document["orders"], document["detections"], document["precision"]) == (11, 1, 0.0)
    lowest = document["sweep"][0]
    assert lowest["above_threshold"] == -0.25
    assert 0 < lowest["detections"] <= 11
    assert sum(band["orders"] for band in document["calibration"]) == pytest.approx(
        10, abs=0.2
    )  # of each band, rounded


def test_a_sweep_is_shown_and_drawn(place: tuple[Path, str], tmp_path: Path) -> None:
    done = forestall("backtest", place[0], "--store", place[1], "--sweep", "--plot", tmp_path / "new" / "curve.png")
    assert done.code == 0
    assert all(word in done.out for word in ("other thresholds", "Calibration", "5 complaints of 19 orders"))
    assert (tmp_path / "new" / "curve.png").read_bytes().startswith(PNG)


@pytest.fixture
def faults(tmp_path: Path) -> Path:
    file = tmp_path / "faults.json"
    injected = [
        {"injected_at": to_text(START + hour * HOUR), "service": name, "kind": "cpu"}
        for hour, name in ((1, "cart"), (2, "pay"))
    ]
    file.write_bytes(orjson.dumps(injected))
    return file


@pytest.fixture
def shop(place: tuple[Path, str], tmp_path: Path) -> tuple[Path, str]:
    """The same orders, and a store in which a service was named for a fault, and another for none."""
    told = [
        finding(name, at, f"service:{name}", finding_id=name, kind="service.degraded", occurrence=name)
        for name, at in (("cart", START + HOUR + 2 * MINUTE), ("mail", START + 5 * HOUR))
    ]
    over = finding("over", START + 2 * HOUR, "service:cart", finding_id="over", kind="service.degraded", resolves=True)
    over.data["occurrence"] = "cart until then"
    return place[0], filled(store_url(tmp_path / "shop.db"), more=[*told, over])


def test_faults_are_judged_and_drawn_on_a_timeline(shop: tuple[Path, str], faults: Path, tmp_path: Path) -> None:
    arguments = ("backtest", shop[0], "--store", shop[1], "--faults", faults, "--plot", tmp_path / "t.svg")
    document = forestall(*arguments, "--json").document
    assert (document["faults"], document["found"], document["service_named"], document["false_alerts"]) == (2, 1, 1, 1)
    assert document["false"] == [{"opened_at": to_text(START + 5 * HOUR), "entities": ["service:mail"]}]
    assert b"<svg" in (tmp_path / "t.svg").read_bytes()
    assert "1 of 2" not in forestall(*arguments).out
    assert "median 2.0 minutes" in forestall(*arguments).out


def test_a_folder_of_dumps_is_judged_as_the_recording_made_of_it(place: tuple[Path, str], tmp_path: Path) -> None:
    order = {"order_id": "m1", "customer_id": "c1", "customer_state": "RJ", "promised_at": to_text(START), "items": []}
    line = {"topic": "orders", "partition": 0, "offset": 0, "tstype": "create", "ts": START // 1000, "key": "c1"}
    (tmp_path / "dumps").mkdir()
    with gzip.open(tmp_path / "dumps" / "orders.kcat.jsonl.gz", "wb") as dump:
        dump.write(orjson.dumps(line | {"payload": cloud_event("order.placed", order).decode()}) + b"\n")
    document = forestall("backtest", tmp_path / "dumps", "--store", place[1], "--json").document
    assert (document["orders"], document["complaints"], document["detections"]) == (1, 0, 0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--labels", "l.json", "--faults", "f.json"), "Two files say what is true"),
        (("--faults", "f.json", "--sweep"), "--sweep does not go with --faults"),
        (("--labels", "l.json", "--since", "2026-01-01T00:00:00Z"), "--since does not go with --labels"),
        (("--labels", "l.json", "--plot", "a.png"), "--plot does not go with --labels"),
        (("--plot", "a.docx"), "unknown format"),
        (("--faults", "none.json"), "none.json"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_replayed(given: tuple[str, ...], said: str) -> None:
    forestall("backtest", "nowhere", *given).says(2, said)
