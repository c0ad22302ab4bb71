"""re_sln and `reproduce gpu-evidence` where Python has PyTorch, torchvision, numpy and what these need, and no more."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reproduce.gpu import packing
from tests.data.standin import write_cifar
from tests.programs import ROOT, metrics_of, result_of
from tests.re_sln.small_runs import DIGITS

# Every module of another package is missing in a program that is started with this on its path.
BLOCK = """
import sys
THERE = {
    "torch", "torchvision", "numpy", "PIL", "typing_extensions", "sympy", "mpmath", "networkx", "jinja2", "markupsafe",
    "fsspec", "filelock", "triton", "nvidia", "cuda", "torchgen", "functorch", "setuptools", "_distutils_hack",
}
OURS = {"common", "data", "re_sln", "reproduce", "benchmarks", "moco_nonsem", "sitecustomize"}
class Without:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, *rest):
        top = name.partition(".")[0]
        there = top in THERE | OURS | sys.stdlib_module_names or top.startswith("_")
        return self.finder.find_spec(name, *rest) if there else None
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""


@pytest.fixture
def bare(tmp_path):
    """Starts a program so, in a folder; returns what it printed."""
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "sitecustomize.py").write_text(BLOCK)

    def run(*words, cwd=ROOT, code=0, **environment):
        kept = {name: value for name, value in os.environ.items() if name not in ("OUT", "DATA_DIR", "RUNS_DIR")}
        done = subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=cwd,
            env=kept | {"PYTHONPATH": str(tmp_path / "bare"), "OMP_NUM_THREADS": "1"} | environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_the_blocking_blocks(bare):
    assert "No module named 'yaml'" in bare("-c", "import yaml", code=1)


def test_a_run_without_tqdm_tensorboard_or_yaml(bare, tmp_path):
    flags = [*DIGITS, "--p=0", "--sigma=0", "--n_epochs=1", "--capture_steps", f"--run_dir={tmp_path / 'run'}"]
    said = bare("-c", WITHOUT_DIGITS, *flags)
    assert "TensorBoard is not installed" in said
    assert result_of(tmp_path / "run")["finished"] and len(metrics_of(tmp_path / "run")) == 1


# The digits are scikit-learn's: random ones take their place.
WITHOUT_DIGITS = """
import sys
import numpy as np
from data.dataset import ImageDataset
from re_sln.datasets import load
images = np.random.default_rng(0).integers(0, 256, (200, 8, 8, 3), np.uint8)
labels = np.arange(200) % 10
load.load_digits = lambda size: ImageDataset(images, labels, images, labels, tuple("0123456789"), "none", "0", "0")
from re_sln.train_cifar import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_packed_folder_makes_evidence_in_pieces(bare, tmp_path):
    data = tmp_path / "data"
    write_cifar(data, train=300, test=40)
    labels = data / "label_noisy" / "cifar10"
    labels.mkdir(parents=True)
    for noise in packing.NOISES:
        (labels / f"{noise}0.4.csv").write_text("label,label_noisy\n")
    packed = tmp_path / "packed"
    bare("-m", "reproduce", "gpu-evidence", f"--pack={packed}", f"--data_dir={data}")
    flags = "--network=wrn-10-1 --custom_noise --batch_size=100"
    command = ["-m", "reproduce", "gpu-evidence", "--device=cpu", "--epochs=4", f"--run_flags={flags}"]
    first = bare(*command, "--minutes=6", "--piece=1.3", cwd=packed, OUT=str(tmp_path / "out"))
    assert "sym-ce/seed_123: captured" in first or "as it is" in first
    found = json.loads((tmp_path / "out" / "evidence.json").read_text())
    assert found["runs"] and found["runs"][0]["dataset"] == "cifar10-jpeg"
    assert len(list((tmp_path / "out").iterdir())) <= 8
    # Another machine: nothing but the packed folder and what came back.
    (packed / "runs").rename(tmp_path / "gone")
    again = bare(
        *command, "--minutes=6", "--piece=1.3", f"--earlier={tmp_path / 'out'}", cwd=packed, OUT=str(tmp_path / "two")
    )
    later = json.loads((tmp_path / "two" / "evidence.json").read_text())
    assert later["used_seconds"] > found["used_seconds"], again
    assert len(later["runs"]) >= len(found["runs"])
    run = next(path for path in Path(packed / "runs" / "gpu-evidence" / "runs").rglob("result.json"))
    assert json.loads(run.read_text())["git"] == json.loads((packed / "packed_commit.json").read_text())


def test_the_parts_of_a_moco_step_are_measured(bare, tmp_path):
    small = ["--device=cpu", "--arch=resnet10-small", "--size=16", "--batch_size=4", "--turns=2", "--warmup=1"]
    bare("-m", "benchmarks.moco_kernels", *small, f"--out={tmp_path / 'kernels.json'}")
    assert json.loads((tmp_path / "kernels.json").read_text())["median_seconds"]


def test_without_a_gpu_the_command_says_so(bare, tmp_path):
    said = bare("-m", "reproduce", "gpu-evidence", f"--work_dir={tmp_path / 'w'}", code=2, CUDA_VISIBLE_DEVICES="")
    assert said.startswith("error: CUDA_VISIBLE_DEVICES='' hides every GPU") and "Traceback" not in said
    short = ["--device=cpu", "--epochs=1", f"--work_dir={tmp_path / 'w'}"]
    assert "error: --epochs=1: must be 2 at least" in bare("-m", "reproduce", "gpu-evidence", *short, code=2)
    assert not (tmp_path / "w").exists()
