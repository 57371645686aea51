from __future__ import annotations

import pytest
import yaml

from config.yaml_text import NESTING_MAX, read_yaml


def test_a_text_becomes_built_in_values() -> None:
    assert read_yaml("a: [1, 2.5, yes, null, text]") == {"a": [1, 2.5, True, None, "text"]}


@pytest.mark.parametrize("text", ["[" * NESTING_MAX + "]" * NESTING_MAX, "a: " + "{b: " * 60 + "1" + "}" * 60])
def test_nesting_up_to_the_limit_is_read(text: str) -> None:
    assert read_yaml(text)


@pytest.mark.parametrize("depth", [NESTING_MAX + 1, 500, 200_000])
def test_deeper_nesting_is_refused_before_it_can_end_the_process(depth: int) -> None:
    with pytest.raises(yaml.YAMLError):
        read_yaml("[" * depth + "]" * depth)


def test_what_is_no_yaml_says_where() -> None:
    with pytest.raises(yaml.MarkedYAMLError) as error:
        read_yaml("a: 1\nb: [")
    assert error.value.problem_mark is not None
    assert error.value.problem_mark.line >= 1
