from __future__ import annotations

from pathlib import Path

from sinks.ledger import Ledger
from tests.support.commands import forestall
from tests.support.remedies import many, store_with


def test_without_a_ledger_nobody_says_that_actions_are_over(tmp_path: Path) -> None:
    store = store_with(f"sqlite:///{tmp_path}/store.db", many(2))
    drained = ("agents", "drained", "fulfilment", "--store", store)
    forestall(*drained).says(2, "2 actions were decided for fulfilment, and without a ledger nobody knows")
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    with Ledger.open(ledger, create=True):
        pass
    assert forestall(*drained, "--ledger", ledger, "--json").document["drained"]
    assert forestall("agents", "drained", "billing", "--store", store, "--json").document["drained"]


def test_what_nothing_is_known_of_is_named(tmp_path: Path) -> None:
    store = store_with(f"sqlite:///{tmp_path}/store.db", [])
    with Ledger.open(store, create=True):
        pass
    said = forestall("actions", "timing", "--ledger", store, "--remedy", "cheer_up").out
    assert said == "There is no action of remedy 'cheer_up' in the ledger.\n"
    assert forestall("actions", "timing", "--ledger", store).out == "There is no action in the ledger.\n"
    said = forestall("autonomy", "show", "--store", store, "--agent", "biling", "--remedy", "refund").out
    assert said == "Nothing of agent 'biling' of remedy 'refund' was decided that autonomy bounds.\n"
