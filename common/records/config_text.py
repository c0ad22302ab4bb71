"""A run's configuration as text and as a hash. Standard library only.

`config.yml` is a flat mapping in which every value is JSON, so a YAML reader and the standard library both read it, and
both see the same values.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from common.errors import RecordError

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# YAML 1.1 reads these words as truth values or as nothing, even where they stand as a key.
YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def config_hash(config: Mapping[str, Any]) -> str:
    """SHA-256 of the configuration as canonical JSON: the order of keys does not matter, types do (1 is not 1.0)."""
    for key, value in config.items():
        _check(key, value)
    return hashlib.sha256(json.dumps(dict(config), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def run_id(sub_project: str, digest: str, seed: int) -> str:
    """The name of a run, wherever it lies. digest: `config_hash` of its configuration."""
    return f"{sub_project}-{digest[:12]}-seed{seed}"


def format_config(config: Mapping[str, Any]) -> str:
    """The text of config.yml: one `key: value` a line, keys sorted, values in JSON."""
    for key, value in config.items():
        _check(key, value)
    return "".join(f"{key}: {_dump(config[key])}\n" for key in sorted(config))


def parse_config(text: str, name: str = "config.yml") -> dict[str, Any]:
    """What `format_config` wrote; empty lines and lines that start with # may stand between.

    Raises: RecordError with `name` and the line.
    """
    config: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        key, colon, value = line.partition(": ")
        try:
            if not colon or key in config:
                raise ValueError("the key is there twice" if colon else "no 'key: value'")
            config[key] = json.loads(value)
            _check(key, config[key])
        except (ValueError, RecursionError, RecordError) as error:
            raise RecordError(f"{name}, line {number}: {line[:80]!r} is not 'key: value in JSON' ({error})") from error
    return config


def _check(key: Any, value: Any) -> None:
    if not isinstance(key, str) or not KEY.fullmatch(key) or key.lower() in YAML_WORDS:
        raise RecordError(f"config key {key!r}: a key is letters, digits, '_', '.' or '-', and no YAML word like 'on'")
    if isinstance(value, float) and not math.isfinite(value):
        raise RecordError(f"config {key}={value}: numbers must be finite")
    if isinstance(value, (list, tuple)):
        for item in value:
            _check(key, item)
    elif isinstance(value, dict):
        for inner, item in value.items():
            _check(inner, item)
    elif not (value is None or isinstance(value, (str, bool, int, float))):
        raise RecordError(f"config {key}={value!r}: a {type(value).__name__} has no form in JSON; give a plain value")


def _dump(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_dump, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {_dump(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, str):
        # JSON's own \u escapes come in pairs beyond 16 bits, which YAML does not join; so only what YAML cannot hold
        # as it stands is escaped.
        text = json.dumps(value, ensure_ascii=False)
        return "".join(c if c.isprintable() or ord(c) > 0xFFFF else f"\\u{ord(c):04x}" for c in text)
    text = json.dumps(value)
    if isinstance(value, float) and "." not in text:
        return text.replace("e", ".0e")  # YAML 1.1 takes 1e-05 for a word and 1.0e-05 for a number
    return text
