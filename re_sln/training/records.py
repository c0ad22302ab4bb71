"""The record of a run, and whose its checkpoints are."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from common.pytorch.process_group import Group
from common.records.record import AnyRecord, NullRecord, RunRecord
from common.records.saved_state import Owner
from re_sln.datasets.training_set import Data
from re_sln.settings.config import Config


def owner_of(config: Config, data: Data, values: dict | None = None) -> Owner:
    """Whose the checkpoints of a run are; arguments as those of `make_record`."""
    return Owner.of("re_sln", recorded(config, data, values), config.flags.seed, data.fingerprint)


def recorded(config: Config, data: Data, values: dict | None = None) -> dict:
    """What config.yml is to hold: the configuration's own record, or `values`, and the noise that was given out."""
    return (values or config.record()) | ({"noise_sha256": data.noise_sha256} if data.noise_sha256 else {})


def make_record(
    config: Config, data: Data, group: Group, folder: Path, command: list[str], values: dict | None = None
) -> AnyRecord:
    """The record of a run. values: what config.yml is to hold, where that is not the configuration's own record."""
    if not group.leads:
        return NullRecord()
    return RunRecord(
        folder,
        sub_project="re_sln",
        command=command,
        config=recorded(config, data, values),
        seed=config.flags.seed,
        dataset=data.described,
        device=group.device_name,
        world_size=group.world_size,
        libraries={"torch": torch.__version__, "torchvision": version("torchvision"), "numpy": np.__version__},
    )
