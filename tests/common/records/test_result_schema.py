from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.errors import RecordError
from common.records.record_files import read_result
from common.records.result_schema import RULES, validate_result
from tests.common.records.test_record import whole_run


@pytest.fixture
def result(tmp_path: Path) -> dict[str, Any]:
    whole_run(tmp_path)
    return read_result(tmp_path)


WRONG: dict[str, list[Any]] = {
    "schema_version": [2, "1", True],
    "run_id": ["", "a b", "../x", 1],
    "sub_project": ["", None],
    "command": ["python", [], [1]],
    "config_hash": ["abc", None, "G" * 64],
    "seed": [-1, 1.0, True, "1"],
    "metrics": [[], {"a": "1"}, {"a": float("nan")}, {"a": True}],
    "metrics_step": [-1, 1.5, "6"],
    "best_on_test": [{"a": 1.0}, []],
    "dataset": [None, "digits"],
    "dataset.name": ["", 1],
    "dataset.version": [None],
    "dataset.fingerprint": [""],
    "git": [None],
    "git.commit": ["abc", 1],
    "git.dirty": [0, "no"],
    "environment_lock": ["", "abc"],
    "libraries": [{"numpy": 1}, None],
    "python": [3.11],
    "device": [""],
    "world_size": [0, 1.0],
    "wall_seconds": [-1, "1", float("inf")],
    "peak_memory_bytes": [-1, 1.5],
    "finished": [1, None],
    "notes": [None, []],
}


def holder(result: dict[str, Any], field: str) -> tuple[dict[str, Any], str]:
    outer, _, inner = field.partition(".")
    return (result[outer], inner) if inner else (result, outer)


def test_every_field_has_a_wrong_value_here() -> None:
    assert set(WRONG) == set(RULES)


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_a_wrong_value_is_named_with_its_rule(result: dict[str, Any], field: str, value: Any) -> None:
    fields, name = holder(result, field)
    fields[name] = value
    with pytest.raises(RecordError) as error:
        validate_result(result)
    assert f"{field} = {value!r}; it must be {RULES[field][1]}" in str(error.value)


@pytest.mark.parametrize("field", WRONG)
def test_a_missing_field_is_named(result: dict[str, Any], field: str) -> None:
    fields, name = holder(result, field)
    del fields[name]
    with pytest.raises(RecordError, match=f"{field} is missing"):
        validate_result(result)


@pytest.mark.parametrize("field", ["extra", "git.extra", "dataset.extra"])
def test_an_unknown_field_is_named(result: dict[str, Any], field: str) -> None:
    fields, name = holder(result, field)
    fields[name] = 1
    with pytest.raises(RecordError, match=f"{field} is unknown"):
        validate_result(result)


def test_a_finished_run_has_metrics_and_their_step(result: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match="metrics_step"):
        validate_result({**result, "metrics_step": None})
    with pytest.raises(RecordError, match="metrics ="):
        validate_result({**result, "metrics": {}})
    validate_result({**result, "metrics": {}, "metrics_step": None, "finished": False})


def test_reading_names_the_file(result: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps({**result, "seed": -1}))
    with pytest.raises(RecordError, match=r"result\.json: result field seed = -1"):
        read_result(tmp_path)
    path.write_text('{"seed": 1')
    with pytest.raises(RecordError, match=r"result\.json"):
        read_result(tmp_path)
    path.unlink()
    with pytest.raises(RecordError, match="No such file"):
        read_result(tmp_path)
