"""The contracts of what the job puts out: its stages keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from config.clock import DAY, HOUR
from config.contracts import OUTPUTS
from config.contracts.compile import compile_contracts
from config.contracts.load import load_contracts, read_folder
from config.events import Event
from config.policies.versions import Versions
from operators.feature_drift import BEGUN, ENDED
from operators.guard import WITHHELD, GuardLogic, proposed
from tests.support.autonomy import Steward, bounded_bundle, earned, failed, outcome
from tests.support.cloudevents import cloud_event
from tests.support.findings import Stage
from tests.support.policies import bundle_of, rule

ACTION = "0" * 32


def keeps(event: Event) -> Any:
    """Return the data of an output as a reader that goes by its contract has it."""
    kept: Any = compile_contracts(load_contracts(OUTPUTS)).decoder.decode(cloud_event(event.type, event.data))
    return kept.data


def test_each_type_has_one() -> None:
    assert set(read_folder(OUTPUTS)) == {"autonomy.changed", "autonomy.counted", "autonomy.ignored", WITHHELD}


def test_what_autonomy_comes_to_keeps_its_contracts(tmp_path: Path) -> None:
    steward = Steward(bounded_bundle(tmp_path))
    now = earned(steward, name="0" * 31)
    steward.feed(*(failed(now + n * HOUR, f"{n}" * 32) for n in (1, 2)))
    steward.feed(outcome(now + 3 * HOUR, "a" * 32, remedy="unheard-of"))
    for n, kind in enumerate((BEGUN, ENDED)):
        data = {"model": "complaint", "feature": "eta", "since": now}
        steward.feed(Event(now + (4 + n) * HOUR, f"d{n}", "complaint", kind, data))
    kept = [keeps(event) for event in steward.out]
    assert {event.type for event in steward.out} == {"autonomy.changed", "autonomy.counted", "autonomy.ignored"}
    changes = [said for event, said in zip(steward.out, kept, strict=True) if event.type == "autonomy.changed"]
    assert [(said.level, said.cause) for said in changes][:2] == [("autonomous", "earned"), ("supervised", "failures")]
    assert changes[1].evidence.against == ["1" * 32, "2" * 32]
    assert (changes[-2].evidence.feature, changes[-1].level) == ("eta", "")


def test_a_withheld_action_keeps_its_contract(tmp_path: Path) -> None:
    limit = {"description": "d", "per": "all", "most": 1, "within": "1d", "owner": "team-g"}
    bundle = bundle_of(tmp_path, rule("any", "linked"), guardrails={"limits": {"few": limit}})
    data = {"case_id": "case", "customer": "c1", "entity": "order:1", "remedy": "credit", "at": HOUR}
    asked = [
        proposed(Event(HOUR, f"{n}" * 32, "c1", "action", data | {"action_id": f"{n}" * 32}), (), 0) for n in range(2)
    ]
    made = [event for _, event in Stage(GuardLogic(Versions((bundle,)))).feed(asked, DAY)]
    said = keeps(next(event for event in made if event.type == WITHHELD))
    assert (said.action.remedy, said.action.customer) == ("credit", "c1")
    assert said.again_at == HOUR + DAY
    assert [(each.guardrail, each.limit, each.spent) for each in said.guardrails] == [("few", 1.0, 1.0)]


def test_what_breaks_a_contract_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"missing required field `case_id`"):
        keeps(Event(HOUR, "w", "c1", WITHHELD, {"action_id": ACTION}))
