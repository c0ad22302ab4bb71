"""Scores a finished run again, from its weights and its data: what --evaluate does."""

from __future__ import annotations

import json

import numpy as np
import torch

from common.errors import UsageError
from common.records.record_files import read_result
from re_sln.settings.flags import Flags
from re_sln.trained_run import config_of, load_trainer
from re_sln.training.evaluation import accuracy_and_loss
from re_sln.training.run_folder import find_run


def rescore(flags: Flags) -> int:
    """Prints step, metrics and data of the run in --run_dir as one line of JSON. Returns the exit code.

    Raises: UsageError without a folder, for one that holds no finished run, or where the data are not those it learnt
    from.
    """
    if not (flags.run_dir or flags.resume):
        raise UsageError("--evaluate scores a finished run: name its folder with --run_dir")
    folder = find_run(flags.resume or flags.run_dir or "")
    here = config_of(
        folder,
        data_dir=flags.data_dir,
        allow_unverified=flags.allow_unverified,
        device=flags.device,
        loader=flags.loader,
        workers=flags.workers,
    )
    trainer = load_trainer(folder, here)
    labels, images = trainer.data.tests["test"], trainer.test_images["test"]
    logits = trainer.logits(images, np.arange(len(labels)), None, here.task.test_batch)
    accuracy, _ = accuracy_and_loss(logits, torch.from_numpy(labels).to(logits.device))
    step = read_result(folder)["metrics_step"]
    print(json.dumps({"step": step, "metrics": {"accuracy": accuracy}, "dataset": trainer.data.described}))
    return 0
