"""Why a framework finds no NVIDIA GPU here, in words that lead to one. Standard library only."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import UsageError

# What NVIDIA's release notes ask for: CUDA's major version, the oldest driver.
DRIVERS = {"11": "450", "12": "525", "13": "580"}
DRIVER = Path("/proc/driver/nvidia/version")  # where the kernel has one
# Each prints how the framework was built, what it finds, and why the first kernel failed.
PROBES = {
    "torch": """
import json, torch
found = {"version": torch.__version__, "cuda": torch.version.cuda, "count": torch.cuda.device_count(), "error": ""}
try:
    if found["cuda"]:
        (torch.ones(2, device="cuda") + 1).sum().item()
except Exception as error:
    found["error"] = str(error)
print(json.dumps(found))
""",
    "tensorflow": """
import json, os
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
import tensorflow as tf
gpus, build = tf.config.list_physical_devices("GPU"), tf.sysconfig.get_build_info()
found = {"version": tf.__version__, "cuda": build.get("cuda_version"), "count": len(gpus), "error": ""}
try:
    if gpus:
        tf.config.experimental.set_memory_growth(gpus[0], True)
        with tf.device("GPU:0"):
            tf.reduce_sum(tf.ones(2) + 1).numpy()
except Exception as error:
    found["error"] = str(error)
print(json.dumps(found))
""",
}


def require_driver(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The lines of `nvidia-smi -L`, one a GPU. Raises: UsageError saying why there is none, and what to do."""
    hidden = environment.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and not [name for name in hidden.split(",") if name.strip() not in ("", "-1")]:
        raise UsageError(f"CUDA_VISIBLE_DEVICES={hidden!r} hides every GPU: unset it, or name one, such as 0")
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, env=dict(environment))
    except OSError as error:
        if DRIVER.exists():  # some containers have a driver without its tools
            return ["GPU 0: unknown to a container without nvidia-smi"]
        raise UsageError(
            "there is no NVIDIA GPU here, or its driver is not installed: nvidia-smi is not found. All of the suite "
            "runs on a CPU too; in a container, start that with the GPU (docker run --gpus all)"
        ) from error
    gpus = [line for line in listed.stdout.splitlines() if line.startswith("GPU")]
    if listed.returncode or not gpus:
        said = (listed.stderr.strip() or listed.stdout.strip() or "it lists none").splitlines()[-1]
        raise UsageError(f"nvidia-smi finds no GPU ({said}): load or install NVIDIA's driver, then try again")
    return gpus


def require_framework(name: str, python: str = sys.executable, environment: Mapping[str, str] = os.environ) -> dict:
    """What `torch` or `tensorflow` of that Python finds: version, cuda, count. Raises: UsageError as above."""
    asked = subprocess.run([python, "-c", PROBES[name]], capture_output=True, text=True, env=dict(environment))
    try:
        found: dict[str, Any] = json.loads(asked.stdout.splitlines()[-1])
    except (ValueError, IndexError) as error:
        said = (asked.stderr.strip() or "it printed nothing").splitlines()[-1]
        raise UsageError(f"{python} cannot load {name} ({said}): build its environment, make env-…") from error
    if not found["cuda"]:
        raise UsageError(
            f"{name} {found['version']} of {python} was built without CUDA, though nvidia-smi shows a GPU: build the "
            "environment again on this machine, rm -r .venv, then make env-tensorflow env-pytorch"
        )
    if found["error"] or not found["count"]:
        raise UsageError(f"nvidia-smi shows a GPU, but {name} {found['version']} cannot use it: {why_not(found)}")
    return found


def why_not(found: Mapping[str, Any]) -> str:
    """Why a framework (its `cuda`, and the `error` of its first kernel) finds no GPU: a clause, with what to do."""
    said = " ".join(found["error"].split())[:200]
    major = str(found["cuda"]).partition(".")[0]
    needed, there = DRIVERS.get(major), driver_version()
    if needed and there and int(there.partition(".")[0] or 0) < int(needed):
        return f"driver {there} is too old for its CUDA {found['cuda']}; install {needed} or newer"
    if "no kernel image" in said or "not compatible with the current" in said:
        return f"it has no kernels for this GPU ({said}); use a newer GPU, or a build of {found['cuda']} for this one"
    return f"{said or 'it finds none, and says no more'}; see that CUDA's libraries belong to the driver"


def driver_version() -> str:
    """As in `580.95.05`; empty where neither nvidia-smi nor the kernel says it."""
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    said = ""
    with contextlib.suppress(OSError):
        said = subprocess.run(asked, capture_output=True, text=True).stdout.partition("\n")[0]
    with contextlib.suppress(OSError):
        said += f" {DRIVER.read_text(encoding='utf-8')}"
    found = re.search(r"(?:^| )(\d{3,}(?:\.\d+)+)(?: |$)", said)
    return found[1] if found else ""
