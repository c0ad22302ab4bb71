"""What this machine has: cores, vector instructions and NVIDIA GPUs, and the settings that choose kernels."""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import platform
import socket
import subprocess
from itertools import takewhile
from pathlib import Path

from common.errors import UsageError

# What TensorFlow, oneDNN and PyTorch choose their kernels by, in the kernel's words and in the order they came.
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16")
BFLOAT16 = {"avx512_bf16", "amx_bf16"}
NO_BFLOAT16 = "this processor has no instructions for bfloat16"
SETTINGS = (
    *("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "MKL_CBWR", "OPENBLAS_CORETYPE"),
    "NVIDIA_TF32_OVERRIDE",
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"),
)


def cores() -> int:
    """CPU cores that this process may use: its affinity, and the share that a container or a scheduler gives it."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(there, _quota())))


def _quota(root: Path = Path("/sys/fs/cgroup")) -> float:
    """Cores' worth of time that cgroups, version 2 or 1, let a container have; infinite where they set no bound."""
    with contextlib.suppress(OSError, ValueError):
        share, period = (root / "cpu.max").read_text(encoding="ascii").split()
        return math.inf if share == "max" else int(share) / int(period)
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        share, period = (
            (root / "cpu" / f"cpu.cfs_{name}_us").read_text(encoding="ascii") for name in ("quota", "period")
        )
        return int(share) / int(period) if int(share) > 0 else math.inf
    return math.inf


def cpu_info(field: str) -> str:
    """What the kernel says of the first core; empty where it says nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == field), "")


def processor() -> str:
    """The processor's name where the system tells it, else its architecture."""
    return cpu_info("model name") or platform.machine()


def cpu_name() -> str:
    """The device of a run on a CPU: the processor's architecture and core count."""
    return f"CPU {platform.machine()}, {os.cpu_count()} cores"


def vector_instructions(flags: str | None = None) -> list[str]:
    """The vector instructions that matter for speed. flags: those of /proc/cpuinfo; left out: this processor's."""
    found = set((cpu_info("flags") if flags is None else flags).split())
    return [name for name in INSTRUCTIONS if name in found]


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself; where it does not, a step in it takes many times as long."""
    return bool(BFLOAT16.intersection(vector_instructions()))


def warn_of_slow_bfloat16(flag: str) -> None:
    """Log one line where bfloat16, which `flag` asked for on a CPU, is slower than float32."""
    if not has_bfloat16():
        logging.warning("%s: %s: a step takes many times as long as in float32; leave the flag out", flag, NO_BFLOAT16)


def machine() -> dict[str, str]:
    """What the time of a run on a CPU depends on, for its record: processor, instructions, settings that were given."""
    described = {"processor": processor(), "instructions": " ".join(vector_instructions()) or "unknown"}
    return described | {name: os.environ[name] for name in SETTINGS if os.environ.get(name)}


def gpus() -> list[str]:
    """The NVIDIA GPUs that a program started here would see, in the form CUDA_VISIBLE_DEVICES takes."""
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, encoding="utf-8", errors="replace", check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    found = [str(number) for number, line in enumerate(listed.splitlines()) if line.startswith("GPU")]
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return found
    named = [name.strip() for name in chosen.split(",")]
    # As CUDA reads it: up to the first name that is none.
    return [*takewhile(lambda name: name in found or name.startswith(("GPU-", "MIG-")), named)] if found else []


def check_port(port: str, setting: str, way_out: str = "give another port") -> None:
    """Whether this process can be the first of several, which meet at a port of this machine. setting: that names it.

    Where another run listens there, its processes and ours would take one another for their own. Raises: UsageError.
    """
    if not port.isdecimal() or not 0 < int(port) < 2**16:
        return
    with socket.socket() as probe:  # bound only: processes that try to connect already are still refused
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", int(port)))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                said = f"{setting}: port {port} of this machine is taken, perhaps by another run; {way_out}"
                raise UsageError(said) from None
            raise
