"""Damages to what a file holds, for tests of several sub-projects: functions that change nested mappings in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Damage = Callable[[Any], None]


def without(*path: Any) -> Damage:
    """The last name of the path is left out."""

    def damage(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return damage


def put(value: Any, *path: Any) -> Damage:
    """Another value at the end of the path."""

    def damage(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return damage
