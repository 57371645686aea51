"""How many examples Hypothesis tries: more than usual where a mistake is rare, and fewer or more by the profile."""

from __future__ import annotations

from hypothesis import settings

USUAL = 50
"""Examples of the profile `repeatable`; see `tests/conftest.py`."""


def examples(count: int) -> settings:
    """Return settings for `count` examples under the usual profile, for more or fewer under others in proportion."""
    return settings(max_examples=max(count * settings().max_examples // USUAL, 1))
