import click
import pytest

from config.clock import from_text
from dataflows.cli.instant import Instant


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2018-03-01", "2018-03-01T00:00:00Z"),
        ("2018-03-01T12:00:00Z", "2018-03-01T12:00:00Z"),
        ("2018-03-01T12:00:00.5+02:00", "2018-03-01T10:00:00.500000Z"),
    ],
)
def test_an_instant_or_a_day_is_understood(text: str, instant: str) -> None:
    assert Instant().convert(text, None, None) == from_text(instant)


def test_a_converted_instant_stays() -> None:
    assert Instant().convert(5, None, None) == 5


@pytest.mark.parametrize("text", ["", "noon", "2018-03-01T12:00:00", "2018-02-30"])
def test_what_is_no_instant_is_misuse(text: str) -> None:
    with pytest.raises(click.BadParameter, match="2018-03-01T00:00:00Z"):
        Instant().convert(text, None, None)
