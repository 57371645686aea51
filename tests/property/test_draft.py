from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from config.contracts import ContractSet, parse_contract
from operators.decode import Decoder
from replay.infer import infer_document
from tests.support.cloudevents import cloud_event, raw_batch

NAMES = st.sampled_from(["id", "name", "amount", "at", "class", "a b", "items", "customer_id", "x"])
SCALARS = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6) | st.text("ab9é", max_size=5)
VALUES = st.recursive(
    SCALARS | st.just("2024-05-01T00:00:00Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(NAMES, VALUES, min_size=1, max_size=6), min_size=1, max_size=6))
def test_draft_is_a_contract_that_accepts_what_it_was_made_from(samples: list[dict[str, Any]]) -> None:
    document = infer_document("a.type", samples, [None] * len(samples), "0s")
    if document is None:
        return
    contract = parse_contract(yaml.safe_dump({**document, "status": "active"}).encode(), "draft.yaml")
    decoded = Decoder(ContractSet({contract.type: contract})).decode(
        raw_batch([cloud_event("a.type", sample) for sample in samples])
    )
    assert [reject.detail for reject in decoded.rejects] == []
    assert len(decoded.events()) == (len(samples) if contract.flow == "business" else 0)
