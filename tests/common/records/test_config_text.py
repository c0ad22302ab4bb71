from __future__ import annotations

from typing import Any

import pytest
import yaml

from common.errors import RecordError
from common.records.config_text import config_hash, format_config, parse_config

CONFIG: dict[str, Any] = {
    "learning_rate": 1e-05,
    "huge": 1e22,
    "whole": 1.0,
    "steps": 200000,
    "method": "ieg",
    "empty": "",
    "colon": "a: b # c",
    "letters": "é ± 😀 \t\n\x7f\x85\u2028",
    "looks_like_a_number": "1e-05",
    "flag": True,
    "nothing": None,
    "decay_epochs": [160, 180.5, "x"],
    "nested": {"a": 1e-07},
}


def test_yaml_and_the_standard_library_read_the_same_values() -> None:
    text = format_config(CONFIG)
    assert parse_config(text) == CONFIG
    assert yaml.safe_load(text) == CONFIG
    assert [type(value) for value in yaml.safe_load(text).values()] == [type(CONFIG[key]) for key in sorted(CONFIG)]


def test_keys_are_sorted_and_tuples_become_lists() -> None:
    assert format_config({"b": (1, 2), "a": 0.5}) == "a: 0.5\nb: [1, 2]\n"


def test_hash_is_of_values_and_types_not_of_order() -> None:
    assert config_hash({"a": 1, "b": 2}) == config_hash({"b": 2, "a": 1})
    assert config_hash({"a": 1}) != config_hash({"a": 1.0})
    assert config_hash(CONFIG) == config_hash(parse_config(format_config(CONFIG)))
    assert config_hash({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"on": 1}, "'on'"),
        ({"a b": 1}, "'a b'"),
        ({"a": float("nan")}, "a=nan"),
        ({"a": object}, "a=<class"),
        ({"a": [{1}]}, "a={1}"),
    ],
)
def test_what_has_no_form_is_refused(config: dict[str, Any], named: str) -> None:
    for function in (format_config, config_hash):
        with pytest.raises(RecordError, match="config") as error:
            function(config)
        assert named in str(error.value)


@pytest.mark.parametrize("text", ["a 1\n", "a: 1\na: 2\n", "a: [1\n", "a: b\n"])
def test_a_broken_line_is_named(text: str) -> None:
    with pytest.raises(RecordError, match=r"config.yml, line [12]"):
        parse_config(text)
