"""Reads what a run's folder holds; every fault is one sentence that names the file. Standard library only."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import RecordError
from common.records.config_text import config_hash, format_config, parse_config
from common.records.result_schema import validate_result

CONFIG, METRICS, RESULT = "config.yml", "metrics.jsonl", "result.json"
Folder = str | os.PathLike[str]


def read_result(folder: Folder) -> dict[str, Any]:
    """result.json of a run folder, checked; a RecordError names the file and the field that is wrong."""
    path = os.path.join(folder, RESULT)  # read by the thousand: a Path takes longer
    try:
        result = parse_json(_text(path))
        validate_result(result)
    except (ValueError, RecordError) as error:
        raise RecordError(f"{path}: {error}") from error
    return result


def read_metrics(folder: Folder) -> list[dict[str, float]]:
    """The evaluations of a run in order of their steps; a last line that was only half written is left out.

    Raises: RecordError naming the file and the line.
    """
    path = os.path.join(folder, METRICS)
    lines = []
    try:
        complete, _, _ = _text(path).rpartition("\n")
    except ValueError as error:
        raise RecordError(f"{path}: {error}") from error
    for number, text in enumerate(complete.splitlines(), 1):
        try:
            lines.append(parse_evaluation(text))
        except ValueError as error:
            raise RecordError(f"{path}, line {number}: {text[:80]!r} is not an evaluation ({error})") from error
    return lines


def parse_evaluation(text: str) -> dict[str, float]:
    """One line of metrics.jsonl. Raises: ValueError."""
    line = parse_json(text)
    if not isinstance(line, dict) or not isinstance(line.get("step"), int):
        raise ValueError("a line is a mapping with an integer 'step'")
    for name, value in line.items():
        try:
            finite = math.isfinite(value) and not isinstance(value, bool)
        except (TypeError, OverflowError):
            finite = False
        if not finite:
            raise ValueError(f"{name} = {value!r:.40} is not a finite number")
    return line


def read_config(folder: Folder) -> dict[str, Any]:
    """config.yml of a run folder. Raises: RecordError naming the file."""
    path = os.path.join(folder, CONFIG)
    try:
        return parse_config(_text(path), path)
    except ValueError as error:
        raise RecordError(f"{path}: {error}") from error


def parse_json(text: str) -> Any:
    """What a text in JSON says. Raises: ValueError, also for what is nested too deeply or cannot be printed."""
    try:
        value = json.loads(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair ends whoever prints it
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value


def check_same_config(folder: Folder, config: Mapping[str, Any], whole: bool = True) -> None:
    """Whether config.yml in `folder` is this configuration; a folder without one holds any.

    whole: whether `config` is all of it; otherwise values that it leaves out may be anything.
    Raises: RecordError naming what differs.
    """
    if not os.path.exists(os.path.join(folder, CONFIG)):
        return
    there, here = read_config(folder), parse_config(format_config(config))
    if not whole:
        there = {key: value for key, value in there.items() if key in here}
    if config_hash(there) == config_hash(here):
        return
    keys = [key for key in sorted({*there, *here}) if there.get(key, "absent") != here.get(key, "absent")]
    shown = "; ".join(
        f"{key}: {there.get(key, 'absent')!r} there, {here.get(key, 'absent')!r} here" for key in keys[:3]
    )
    raise RecordError(
        f"{folder} holds a run with another configuration ({shown or 'types differ'}"
        f"{'; …' if len(keys) > 3 else ''}); choose another folder, or move that one away"
    )


def finished_result(
    folder: Folder, config: Mapping[str, Any], metric: str = "", whole: bool = True
) -> dict[str, Any] | None:
    """The result of the run of `config` in `folder`; None while it is not finished.

    metric: a name that it has to have; whole: see `check_same_config`.
    Raises: RecordError where what lies there is another run's, or damaged.
    """
    check_same_config(folder, config, whole)
    path = Path(folder) / RESULT
    if not path.exists():
        return None
    result = read_result(folder)
    check_result_goes_with(folder, result, config_hash(config) if whole else "")
    if not result["finished"]:
        return None
    if metric and metric not in result["metrics"]:
        raise RecordError(
            f"{path} says that the run is finished, but holds no {metric}: it is damaged; bring back a copy, or move "
            "the folder away to train again"
        )
    return result


def check_result_goes_with(folder: Folder, result: Mapping[str, Any], digest: str = "") -> None:
    """Raises: RecordError where result.json is another run's than config.yml beside it, or than that of `digest`."""
    beside = config_hash(read_config(folder)) if os.path.exists(os.path.join(folder, CONFIG)) else ""
    if result["config_hash"] != (digest or beside or result["config_hash"]):
        raise RecordError(
            f"{os.path.join(folder, RESULT)} belongs to another run, {result['run_id']}: bring this run's own back, or "
            "move that file away"
        )


def check_same_data(folder: Folder, dataset: Mapping[str, str]) -> None:
    """Raises: RecordError where the run in `folder` began on other data."""
    if not os.path.exists(os.path.join(folder, RESULT)):
        return
    begun = read_result(folder)["dataset"]
    if begun["fingerprint"] != dataset["fingerprint"]:
        raise RecordError(
            f"{folder} was begun on {begun['name']} ({begun['fingerprint'][:12]}), the data now is {dataset['name']} "
            f"({dataset['fingerprint'][:12]}): what the run has learnt is of examples that are not there; bring the "
            "old data back, or choose another folder"
        )


def _text(path: str) -> str:
    """The text of a file. Raises: ValueError in words."""
    try:
        with open(path, encoding="utf-8-sig") as file:  # an editor may have put a byte order mark there
            return file.read()
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not of UTF-8 text: the file is damaged, bring back a copy") from error
    except IsADirectoryError as error:
        raise ValueError("it is a folder where a run's record has a file: move it away") from error
    except OSError as error:
        raise ValueError(f"{error.strerror}; name the folder of a run, whose record it is part of") from error
