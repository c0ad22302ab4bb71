"""How fast, how much of the time the device computes, and how much memory: on a GPU with bounds, on a CPU the code."""

import argparse
import json
import statistics
import time

import pytest
import torch

from benchmarks import moco, moco_kernels, sln
from benchmarks.device_profile import profiled
from common.machine import cores

ON_GPU = pytest.mark.gpu
SLN_VARIANTS = (
    "float32, channels last",
    "bf16, channels last",
    "bf16, channels last, captured",
    "bf16, compiled, captured",
)
GIB = 2**30


def seconds_of(step, count):
    """The median of some steps, after as many as a capture needs."""
    found = []
    for _ in range(10 + count):
        begun = time.perf_counter()
        next(step)
        found.append(time.perf_counter() - begun)
    return statistics.median(found[10:])


@pytest.fixture(scope="module")
def step_on_a_cpu():
    """Seconds of SLN's step here on the CPU, at the papers' size."""
    step = sln.endless(sln.make_trainer({"channels_last": True}, "wrn-28-2", 128, "cpu"))
    next(step)
    begun = time.perf_counter()
    next(step)
    return time.perf_counter() - begun


@ON_GPU
@pytest.mark.parametrize("variant", SLN_VARIANTS)
def test_a_step_of_sln(variant, step_on_a_cpu, measured):
    torch.cuda.reset_peak_memory_stats()
    seconds = seconds_of(sln.endless(sln.make_trainer(sln.VARIANTS[variant], "wrn-28-2", 128, "cuda")), 50)
    peak = torch.cuda.max_memory_allocated()
    measured(
        f"re_sln step, WRN-28-2, batch 128, {variant}", "cuda", seconds=seconds, peak_bytes=peak,
        cpu_seconds=step_on_a_cpu, published=("sln", "sln"), steps_of_a_run=117300,
    )  # fmt: skip
    assert seconds < step_on_a_cpu / 3
    assert peak < 8 * GIB


def test_a_captured_epoch_keeps_the_device_busy(device, measured):
    size = ("wrn-28-2", 128) if device == "cuda" else ("wrn-10-1", 64)
    options = {"channels_last": True} | ({"capture_steps": True, "amp": "bf16"} if device == "cuda" else {})
    trainer = sln.make_trainer(options, *size, device)
    steps = iter(trainer.epoch_steps())
    for _ in range(5):
        next(steps)
    found = profiled(lambda: [next(steps) for _ in range(30 if device == "cuda" else 2)], trainer.group.device)
    measured("re_sln, captured steps in a row", device, waits=1 - found["busy_share"])
    assert found["kernels"]
    if device == "cuda":
        assert found["busy_share"] > 0.95, found


def test_moco_never_waits_for_its_images(device, measured, tmp_path):
    sizes = {"arch": "resnet50", "size": 224, "batch_size": 128} if device == "cuda" else {}
    small = {"arch": "resnet10-small", "size": 16, "batch_size": 4}
    workers = cores() if sizes else 0
    options = argparse.Namespace(**(sizes or small), workers=workers, warmup=3, steps=20 if sizes else 2, variants=[])
    options.variants = ["bf16, channels last"] if sizes else ["float32"]
    with moco.photographs(None) as paths:
        rows, failed = moco.steps(paths[:8] if not sizes else paths, options, torch.device(device))
    assert not failed
    (row,) = rows
    measured(
        f"moco_nonsem step, {options.arch}, {options.size} px, batch {options.batch_size}", device,
        seconds=row["median_seconds"], waits=row["share_waiting_for_data"], published=("moco", "moco nonsem"),
        steps_of_a_run=197800,
    )  # fmt: skip
    if device == "cuda":
        assert torch.cuda.max_memory_allocated() < 60 * GIB
        assert row["share_waiting_for_data"] < 0.05, f"{workers} cores decode too slowly for this GPU"


def test_no_step_of_pretraining_waits_for_the_device(device):
    small = argparse.Namespace(arch="resnet10-small", size=16, batch_size=4, workers=0)
    with moco.photographs(None) as paths:
        trainer = moco.make_trainer(paths[:8], {"amp": "bf16"}, small, torch.device(device))
        for mode in ("default", "error"):  # the first epoch makes constants and chooses kernels
            if device == "cuda":
                torch.cuda.set_sync_debug_mode(mode)
            try:
                assert len(list(trainer.epoch_steps())) == 2
            finally:
                if device == "cuda":
                    torch.cuda.set_sync_debug_mode("default")
            trainer.end_epoch()


def test_the_parts_of_a_moco_step(device, measured, tmp_path):
    small = ["--arch=resnet10-small", "--size=16", "--batch_size=4", "--turns=2", "--warmup=1"]
    out = tmp_path / "kernels.json"
    assert moco_kernels.main([f"--device={device}", f"--out={out}", *(small if device == "cpu" else [])]) == 0
    found = json.loads(out.read_text())
    assert set(found["median_seconds"]) == set(moco_kernels.NAMES) and found["update"]["kernels"]
    for name, seconds in found["median_seconds"].items():
        measured(f"moco_nonsem, {name}, batch {found['batch_size']}", device, seconds=seconds)
