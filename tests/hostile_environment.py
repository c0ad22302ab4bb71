"""An environment as notebooks, tutorials, schedulers and other projects leave it, all of it at once."""

from __future__ import annotations

import json
import os
from pathlib import Path


def hostile(folder: Path) -> dict[str, str]:
    """The variables; files that they name, and a home, are made below `folder`."""
    home, packages, temporary = folder / "home", folder / "packages", folder / ("t" * 90)
    for made in (home / ".keras", home / ".config" / "matplotlib", packages, temporary):
        made.mkdir(parents=True)
    settings = {"floatx": "float16", "epsilon": 0.5, "image_data_format": "channels_first", "backend": "theano"}
    (home / ".keras" / "keras.json").write_text(json.dumps(settings))
    (home / ".config" / "matplotlib" / "matplotlibrc").write_bytes(b"\xff\xfe no text")
    for name in ("numpy", "torch", "tensorflow", "PIL", "tqdm"):
        (packages / f"{name}.py").write_text("raise ImportError('of another Python')\n")
    return {
        **os.environ,
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "PYTHONPATH": str(packages),
        "PYTHONHASHSEED": "7",
        "PYTHONWARNINGS": "error",
        "PYTHONOPTIMIZE": "1",
        "PYTHONIOENCODING": "ascii",
        "LC_ALL": "tr_TR.UTF-8",
        "COLUMNS": "1",
        "TERM": "dumb",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "KERAS_BACKEND": "jax",
        "TF_USE_LEGACY_KERAS": "1",
        "TF_XLA_FLAGS": "--nonsense",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8 --nonsense",
        "TF_CONFIG": '{"cluster": {"worker": ["10.0.0.1:1", "10.0.0.2:1"]}, "task": {"type": "worker", "index": 1}}',
        "TORCH_LOGS": "nonsense",
        "NPY_PROMOTION_STATE": "weak",
        "NUMBA_THREADING_LAYER": "nonsense",
        "TQDM_MININTERVAL": "soon",
        "RANK": "1",
        "WORLD_SIZE": "4",
        "RAY_ADDRESS": "10.0.0.1:6379",
        "RAY_TMPDIR": str(temporary),
        "CUDA_VISIBLE_DEVICES": "nonsense",
        "GIT_DIR": str(folder),
        "http_proxy": "http://127.0.0.1:9",
    }
