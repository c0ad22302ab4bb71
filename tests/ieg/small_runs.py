"""Small runs of the program and what they leave behind, for several tests."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.programs import ROOT

SMALL = [
    "--dataset=digits_uniform_0.8", "--image_size=8", "--network_name=wrn10-1", "--probe_dataset_hold_ratio=0.014",
    "--batch_size=100", "--max_iteration=30", "--aug_type=default", "--deterministic",
]  # fmt: skip

MORE = {"fsr": ["--meta_start_epoch=1", "--queue_capacity=200", "--queue_bs=50", "--moving_weight_gamma=0.5"]}


def start(*arguments, cwd=ROOT, program=("-m", "ieg.main")):
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("DATA_DIR", None)
    command = [sys.executable, *program, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(*arguments, code=0, **options):
    process = start(*arguments, **options)
    out, err = process.communicate()
    assert process.returncode == code, err[-3000:]
    return out, err


def folder_of(path):
    (folder,) = [entry for entry in Path(path).iterdir() if (entry / "config.yml").exists()]
    return folder


def last_checkpoint(folder):
    with np.load(sorted(folder.glob("checkpoint_*.npz"))[-1]) as file:
        return {name: file[name].tobytes() for name in file.files}
