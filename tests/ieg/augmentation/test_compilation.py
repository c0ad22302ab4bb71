"""Where compiled code is kept, and that a missing, full or stale place never breaks or changes a run."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numba.core import caching

from ieg.augmentation.autoaugment import cifar_policies, draw_autoaugment
from ieg.augmentation.compilation import _KernelCache, kernel
from ieg.augmentation.policies import apply_policies

ROOT = Path(__file__).parents[3]
CALLEE = "from ieg.augmentation.compilation import kernel\n@kernel\ndef number():\n    return {}\n"
CALLER = (
    "from ieg.augmentation.compilation import kernel\nimport callee\n@kernel\ndef f():\n    return callee.number()\n"
)


def call_in_new_process(folder: Path, cache: Path) -> tuple[int, int]:
    """The value of caller.f(), and how often it was found in the cache."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "NUMBA_CACHE_DIR": str(cache)}
    code = "from caller import f; print(f(), sum(f.stats.cache_hits.values()))"
    # the toy functions return constants, and a byte-code file of the same second would hide the change of one
    output = subprocess.run(
        [sys.executable, "-B", "-c", code], env=environment, check=True, capture_output=True, text=True
    ).stdout
    value, hits = output.split()
    return int(value), int(hits)


def test_cache_is_used_and_notices_a_change_in_another_file(tmp_path: Path):
    folder, cache = tmp_path / "code", tmp_path / "cache"
    folder.mkdir()
    (folder / "callee.py").write_text(CALLEE.format(1))
    (folder / "caller.py").write_text(CALLER)
    assert call_in_new_process(folder, cache) == (1, 0)
    assert call_in_new_process(folder, cache) == (1, 1)
    (folder / "callee.py").write_text(CALLEE.format(2))
    assert call_in_new_process(folder, cache) == (2, 0)


def double(value):
    return 2 * value


def test_without_a_writable_folder_kernels_compile_all_the_same(monkeypatch: pytest.MonkeyPatch):
    def refuse(locator):
        raise PermissionError(locator.get_cache_path())

    monkeypatch.setattr(caching._CacheLocator, "ensure_cache_path", refuse)
    with pytest.raises(RuntimeError, match="no locator"):
        _KernelCache(double)
    assert kernel(double)(21) == 42


def test_a_full_disk_does_not_stop_a_run(monkeypatch: pytest.MonkeyPatch):
    tried = []

    def fail(files, name, data):
        tried.append(name)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(caching.IndexDataCacheFile, "_save_data", fail)
    assert kernel(double)(np.float32(1.5)) == 3
    assert tried


def test_the_interpreter_lock_is_free_while_kernels_run():
    """Another thread computes meanwhile. In processor time, which a busy machine takes from both threads alike."""
    images = np.zeros((10_000, 32, 32, 3), np.uint8)
    draws = draw_autoaugment(np.random.default_rng(0), len(images))
    draws.policy[:] = 2  # twice Sharpness
    draws.chances.uniform[:] = 0
    policies, index = cifar_policies(), draws.policy
    apply_policies(images[:1], policies, index[:1], draws.chances.rows(slice(0, 1)))  # compiles

    def share_of_the_other_thread() -> float:
        begins = threading.Event()

        def timed() -> float:
            begins.set()
            begun = time.thread_time()
            apply_policies(images, policies, index, draws.chances)
            return time.thread_time() - begun

        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(timed)
            begins.wait()
            begun = time.thread_time()
            while not call.done():
                pass
            return (time.thread_time() - begun) / call.result()

    # With the lock held it is below 0.3.
    assert any(share_of_the_other_thread() > 0.6 for _ in range(5))
