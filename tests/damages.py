"""Damages to what a file holds, for tests of several sub-projects."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

Damage = Callable[[Any], None]  # changes nested mappings in place


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


def claim_more_pixels(path: Path) -> None:
    """The header of a JPEG file claims 20,000 × 20,000 of them."""
    content = bytearray(path.read_bytes())
    place = content.find(b"\xff\xc0")
    content[place + 5 : place + 9] = struct.pack(">HH", 20000, 20000)
    path.write_bytes(content)
