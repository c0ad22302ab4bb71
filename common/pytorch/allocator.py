"""How the C library hands out memory, for programs that compute on a CPU. Standard library only."""

from __future__ import annotations

import ctypes
import os

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4  # names of glibc's mallopt, without their M_
OWN_SETTINGS = ("GLIBC_TUNABLES", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "LD_PRELOAD")


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, and use it again; whether that could be set.

    Otherwise every large tensor is mapped again, and the kernel clears each of its pages at its first use: 6 to 16 % of
    a training step on a CPU (benchmarks/README.md has the measurements). Numbers stay. Left alone: a user's own
    settings of the allocator, and C libraries other than glibc.
    """
    if any(os.environ.get(name) for name in OWN_SETTINGS):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = {TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 2**26, MMAP_MAX: 0}  # bytes, bytes, blocks
    return all([mallopt(name, value) == 1 for name, value in settings.items()])
