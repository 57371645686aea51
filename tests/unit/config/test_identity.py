from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.identity import derived_id, key_group, short_hash

parts = st.lists(st.text(max_size=5) | st.integers(), max_size=4).map(tuple)


def test_id_is_the_same_for_ever() -> None:
    # Pinned: ids rest in stores and on topics, so another encoding would mint second ids for the same things.
    assert derived_id("finding", "outage", "service:checkout", 7) == "798ea7d46a21570c7c1d644f3a435bd8"
    assert short_hash("customer-1") == -847614331612408131
    assert key_group("customer-1", 16) == 13


@given(parts, parts)
def test_ids_are_equal_exactly_when_the_parts_are(one: tuple[str | int, ...], other: tuple[str | int, ...]) -> None:
    same = [(type(part), part) for part in one] == [(type(part), part) for part in other]
    assert (derived_id(*one) == derived_id(*other)) == same


@pytest.mark.parametrize(
    ("one", "other"),
    [(("ab", "c"), ("a", "bc")), (("a", ""), ("a",)), ((1,), ("1",)), ((12, 3), (1, 23)), (("a:b",), ("a", "b"))],
)
def test_boundaries_and_types_of_parts_count(one: tuple[str | int, ...], other: tuple[str | int, ...]) -> None:
    assert derived_id(*one) != derived_id(*other)


def test_id_is_32_hexadecimal_digits() -> None:
    assert len(derived_id("a")) == 32
    assert int(derived_id("a"), 16) >= 0


@given(st.text())
def test_short_hash_fits_a_signed_64_bit_column(text: str) -> None:
    assert -(2**63) <= short_hash(text) < 2**63


@pytest.mark.parametrize("seed", ["0", "1"])
def test_nothing_depends_on_the_hash_seed_of_the_process(seed: str) -> None:
    code = "from config.identity import *; print(derived_id('a', 1), short_hash('a'), key_group('a', 16))"
    printed = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
    ).stdout
    assert printed.split() == [derived_id("a", 1), str(short_hash("a")), str(key_group("a", 16))]


def test_keys_spread_over_all_groups() -> None:
    sizes = Counter(key_group(f"customer-{number}", 16) for number in range(16_000))
    assert set(sizes) == set(range(16))
    assert max(sizes.values()) < 1.5 * min(sizes.values())
