"""The fields of a result.json and their allowed values. Standard library only."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from common.errors import RecordError

SCHEMA_VERSION = 1


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _integer(value: Any, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**63


def _number(value: Any) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that is larger than any float
        return False


def _hex(value: Any, digits: int) -> bool:
    return isinstance(value, str) and re.fullmatch(rf"[0-9a-f]{{{digits}}}", value) is not None


def _mapping(value: Any, allowed: Callable[[Any], bool]) -> bool:
    return isinstance(value, Mapping) and all(_text(key) and allowed(item) for key, item in value.items())


Rule = tuple[Callable[[Any], bool], str]

RULES: dict[str, Rule] = {
    "schema_version": (lambda v: _integer(v) and v == SCHEMA_VERSION, f"{SCHEMA_VERSION}"),
    "run_id": (
        lambda v: _text(v) and re.fullmatch(r"[A-Za-z0-9_.-]+", v) is not None,
        "letters, digits, '_', '.', '-'",
    ),
    "sub_project": (_text, "a name"),
    "command": (lambda v: isinstance(v, list) and bool(v) and all(isinstance(a, str) for a in v), "a list of strings"),
    "config_hash": (lambda v: _hex(v, 64), "64 hexadecimal digits"),
    "seed": (_integer, "an integer from 0 on"),
    "metrics": (lambda v: _mapping(v, _number), "names with finite numbers"),
    "metrics_step": (lambda v: v is None or _integer(v), "an integer from 0 on, or null while unfinished"),
    "best_on_test": (
        lambda v: _mapping(v, lambda best: isinstance(best, Mapping) and _mapping(best, _number)),
        "names, each with a mapping of finite numbers (value, step)",
    ),
    "dataset": (lambda v: isinstance(v, Mapping), "a mapping of name, version, fingerprint"),
    "dataset.name": (_text, "a name"),
    "dataset.version": (_text, "a text"),
    "dataset.fingerprint": (_text, "a text"),
    "git": (lambda v: isinstance(v, Mapping), "a mapping of commit, dirty"),
    "git.commit": (lambda v: v is None or _hex(v, 40) or _hex(v, 64), "a commit's full hash, or null"),
    "git.dirty": (lambda v: v is None or isinstance(v, bool), "true, false or null"),
    "environment_lock": (lambda v: v is None or _hex(v, 64), "64 hexadecimal digits, or null"),
    "libraries": (lambda v: _mapping(v, _text), "names with versions"),
    "python": (_text, "a version"),
    "device": (_text, "a text"),
    "world_size": (lambda v: _integer(v, 1), "an integer from 1 on"),
    "wall_seconds": (lambda v: _number(v) and v >= 0, "a finite number from 0 on"),
    "peak_memory_bytes": (_integer, "an integer from 0 on"),
    "finished": (lambda v: isinstance(v, bool), "true or false"),
    "notes": (lambda v: _mapping(v, lambda _: True), "a mapping"),
}

# Only records that are older than these fields have none.
OPTIONAL: dict[str, Rule] = {
    "seal": (lambda v: _hex(v, 64), "64 hexadecimal digits"),
    "machine": (lambda v: _mapping(v, _text), "names with texts"),
}
KNOWN = {*RULES, *OPTIONAL}


def seal(result: Mapping[str, Any]) -> str:
    """SHA-256 of everything else in a result: it no longer fits when a value is changed by hand."""
    rest = {name: value for name, value in result.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def validate_result(result: Any) -> None:
    """Raise a RecordError that names the field, its value and the rule, if `result` is not as we write it."""
    if not isinstance(result, Mapping):
        raise RecordError(f"a result is a mapping, not {result!r:.80}")
    for field, (allowed, rule) in RULES.items():
        outer, _, inner = field.partition(".")
        holder = result[outer] if inner else result
        name = inner or outer
        if name not in holder:
            raise RecordError(f"result field {field} is missing; it must be {rule}")
        if not allowed(holder[name]):
            raise RecordError(f"result field {field} = {holder[name]!r:.80}; it must be {rule}")
    for field, (allowed, rule) in OPTIONAL.items():
        if field in result and not allowed(result[field]):
            raise RecordError(f"result field {field} = {result[field]!r:.80}; it must be {rule}")
    for prefix, holder in (("", result), ("dataset.", result["dataset"]), ("git.", result["git"])):
        for name in holder:
            if prefix + str(name) not in KNOWN:
                raise RecordError(f"result field {prefix}{name} is unknown; schema {SCHEMA_VERSION} has no such field")
    if result["finished"] and not result["metrics"]:
        raise RecordError("result field metrics = {} in a finished run; a finished run has at least one metric")
    if result["finished"] and result["metrics_step"] is None:
        raise RecordError("result field metrics_step = None in a finished run; it must be the step of its metrics")
