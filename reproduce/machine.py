"""What this machine has: cores and NVIDIA GPUs."""

from __future__ import annotations

import os
import subprocess


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> list[str]:
    """The NVIDIA GPUs that a program started here would see, in the form CUDA_VISIBLE_DEVICES takes."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    found = [str(number) for number, line in enumerate(listed.splitlines()) if line.startswith("GPU")]
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return found
    return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")] if found else []
