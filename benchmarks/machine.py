"""When, how and on what a measurement was taken."""

from __future__ import annotations

import datetime
import os

from reproduce.machine import machine, processor


def described(module: str, arguments: list[str]) -> dict:
    """Date, command and hardware of a measurement."""
    return {
        "date": datetime.date.today().isoformat(),
        "command": f"python -m {module} {' '.join(arguments)}".strip(),
        "hardware": f"{os.cpu_count()} cores, {processor()}",
        "machine": machine(),
    }
