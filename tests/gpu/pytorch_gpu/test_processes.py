"""nccl (gloo on a CPU) with one process and with one for each GPU."""

import os
import subprocess
import sys

import pytest
import torch
import torch.distributed as dist

from tests.programs import ROOT, result_of
from tests.re_sln.small_runs import DIGITS, MODELS

SLN = [*DIGITS, *MODELS["sln-mo"], "--n_epochs=2"]


def test_a_group_of_one(device, tmp_path):
    backend = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=f"file://{tmp_path / 'meet'}", world_size=1, rank=0)
    try:
        values = torch.arange(4, device=device)
        dist.all_reduce(values)
        dist.broadcast(values, src=0)
        assert values.tolist() == [0, 1, 2, 3]
        box = [{"a": 1}]
        dist.broadcast_object_list(box, src=0)
        assert box == [{"a": 1}]
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize(
    "device", [pytest.param("cpu", marks=pytest.mark.slow), pytest.param("cuda", marks=pytest.mark.gpu)]
)
def test_a_process_for_each_gpu(device, tmp_path, measured):
    count = torch.cuda.device_count() if device == "cuda" else 2
    if count < 2:
        pytest.skip(f"one GPU: two processes would not have one each ({count})")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"]
    program = ["-m", "--", "re_sln.train_cifar", *SLN, f"--device={device}", f"--run_dir={tmp_path / 'run'}"]
    done = subprocess.run(
        [*launch, *program], cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert result_of(tmp_path / "run")["world_size"] == count
    measured("re_sln.train_cifar, a process for each", device, processes=count)
