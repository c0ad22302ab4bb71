"""ieg.main on a device: XLA, bfloat16, memory growth, and the time of a step."""

import itertools
import json
import statistics
import subprocess
import sys
import time

import numpy as np
import pytest

from benchmarks import ieg
from tests.ieg.small_runs import MORE, SMALL, run
from tests.programs import ROOT, metrics_of

GPU = pytest.mark.gpu
ON_EITHER = [pytest.param("cpu", marks=pytest.mark.slow), pytest.param("cuda", marks=GPU)]
FLAGS = {"plain": [], "XLA": ["--jit_compile"], "bfloat16": ["--precision=bfloat16"]}
MEMORY = """
from ieg.devices.start_tensorflow import prepare_tensorflow
prepare_tensorflow()
import json
import tensorflow as tf
from ieg.devices.distribution import make_strategy
from ieg.settings.flags import Flags
with make_strategy(Flags()).scope():
    tf.Variable(tf.ones([1024, 1024]))
gpus = tf.config.list_physical_devices("GPU")
grows = [tf.config.experimental.get_memory_growth(gpu) for gpu in gpus]
print(json.dumps({"grows": grows, "peak": tf.config.experimental.get_memory_info("GPU:0")["peak"]}))
"""


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("method", ["supervised", "l2r", "ieg", "fsr"])
@pytest.mark.parametrize("device", ON_EITHER)
def test_a_run(device, method, flags, tmp_path, monkeypatch, measured):
    if device == "cpu":
        if flags != "plain":
            pytest.skip("the suite has these on a CPU elsewhere")
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    begun = time.perf_counter()
    words = [word for word in SMALL if not word.startswith(("--max_iteration", "--deterministic"))]
    run(
        *words,
        *MORE.get(method, []),
        *FLAGS[flags],
        f"--method={method}",
        "--max_iteration=20",
        f"--run_dir={tmp_path / 'run'}",
    )
    measured(f"ieg.main --method={method}, {flags}", device, whole_seconds=time.perf_counter() - begun)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["finished"] and result["device"].startswith("CPU") == (device == "cpu")
    assert all(np.isfinite(list(line.values())).all() for line in metrics_of(tmp_path / "run"))


@GPU
def test_memory_is_taken_as_it_is_needed():
    done = subprocess.run([sys.executable, "-c", MEMORY], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["grows"] and all(found["grows"])
    assert 4 * 2**20 <= found["peak"] < 2**30


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", ["supervised", "fsr", "l2r", "ieg"])
@pytest.mark.parametrize("device", ON_EITHER)
def test_a_step(device, method, precision, measured):
    if device == "cpu" and (method, precision) != ("supervised", "float32"):
        pytest.skip("make bench-ieg has these on a CPU")
    network, size, count = ("resnet29", 100, 20) if device == "cuda" else ("wrn10-1", 8, 2)
    found, begun = [], time.perf_counter()
    for _ in itertools.islice(ieg.endless(method, network, size, precision), 3 + count):
        found.append(time.perf_counter() - begun)
        begun = time.perf_counter()
    published = {"published": ("ieg", "resnet29 ieg"), "steps_of_a_run": 200000} if method == "ieg" else {}
    seconds = statistics.median(found[3:])
    measured(f"ieg step, {method}, {network}, batch {size}, {precision}", device, seconds=seconds, **published)
    assert seconds > 0
