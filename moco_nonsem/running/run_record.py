"""What every program of moco_nonsem says of a run and takes from the machine: record, device, reading processes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision

from common.machine import cores
from common.pytorch.process_group import Group
from common.records.record import AnyRecord, NullRecord, RunRecord
from common.records.record_files import finished_result
from moco_nonsem.images.workers import Reading
from moco_nonsem.running.flags import Common, Distributed, LinearFlags, PretrainFlags, RobustnessFlags

SUB_PROJECT, STATES = "moco_nonsem", ("state_*.pth.tar",)


def is_finished(folder: Path, config: Mapping[str, Any], whole: bool = True) -> bool:
    """Whether the result of this run is there; says it. config, whole: see `finished_result`."""
    result = finished_result(folder, config, whole=whole)
    if result:
        logging.info("%s is finished: %s", folder, result["metrics"])
    return result is not None


def workers(flags: Distributed, group: Group) -> int:
    """Reading processes of this one: its part of -j, which is capped at the cores; at least 1 unless -j is 0."""
    if flags.workers == 0:
        return 0
    return max(1, min(flags.workers, cores()) // group.local_size)


def reading(flags: PretrainFlags | LinearFlags | RobustnessFlags, group: Group, kind: str = "device") -> Reading:
    """How this process reads images. kind: see `Reading`."""
    return Reading(batch_size=flags.batch_size, workers=workers(flags, group), seed=flags.seed, group=group, kind=kind)


def make_record(
    folder: Path,
    config: Mapping[str, Any],
    flags: Common,
    described: Mapping[str, str],
    group: Group,
    command: list[str],
) -> AnyRecord:
    """The record of a run, which the leader writes."""
    if not group.leads:
        return NullRecord()
    return RunRecord(
        folder,
        sub_project=SUB_PROJECT,
        command=command,
        config=config,
        seed=flags.seed,
        dataset=described,
        device=group.device_name,
        world_size=group.world_size,
        libraries={"torch": torch.__version__, "torchvision": torchvision.__version__, "numpy": np.__version__},
    )
