"""When, how and on what a measurement was taken."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path


def described(module: str, arguments: list[str]) -> dict[str, str]:
    """Date, command and hardware of a measurement."""
    return {
        "date": datetime.date.today().isoformat(),
        "command": f"python -m {module} {' '.join(arguments)}".strip(),
        "hardware": f"{os.cpu_count()} cores, {processor()}",
    }


def processor() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()
