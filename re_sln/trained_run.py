"""A run that is over, put together again from its folder: its configuration, its data, the model that was tested."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import RecordError, UsageError
from common.records.record_files import read_config, read_result
from re_sln.noise.noise_request import needs_predictions
from re_sln.settings.config import Config, resolve
from re_sln.settings.flags import PROGRAMS, Flags
from re_sln.training.run_folder import settings_of

if TYPE_CHECKING:
    from re_sln.training.trainer import Trainer


def weights_of(folder: Path) -> Path:
    """The file with the weights of the model that was tested. Raises: UsageError."""
    name = "model_ema.pth" if read_config(folder).get("mo") else "model.pth"
    if not (folder / name).is_file():
        raise UsageError(f"{folder} holds no {name}: only a training run that is finished has its weights")
    return folder / name


def config_of(folder: Path, **changes: Any) -> Config:
    """The configuration of the run, to be used again on one device. changes: flags of this machine.

    Raises: UsageError where the folder holds no training run.
    """
    name = read_config(folder).get("program")
    if not isinstance(name, str) or name not in PROGRAMS:
        raise UsageError(f"{folder} is not a training run: it was made by {name}")
    program = PROGRAMS[name]
    # The run's own weights are loaded later, and whatever made steps faster is not needed here.
    here = {"weights": "none", "compile": False, "cuda_graphs": False, **changes}
    return resolve(program, Flags(**{**program.defaults, **settings_of(folder, program), **here}))


def load_trainer(folder: Path, config: Config) -> Trainer:
    """The run's trainer with the weights in the model that is tested, and all data in reach.

    Raises: UsageError where data or noise are not those that the run learnt from, or the weights do not fit.
    """
    from common.pytorch.process_group import Group
    from common.pytorch.torch_files import MISFITS, load_weights, read_tensors, words_of
    from re_sln.datasets import load as datasets
    from re_sln.training import experiment
    from re_sln.training.distributed import pick_device

    weights = weights_of(folder)
    if config.noise and needs_predictions(config.noise):
        raise UsageError("the noise file of the run is not here; say with --data_dir where it is")
    data = datasets.load(config)
    check_same_data(folder, data.fingerprint, data.noise_sha256)
    trainer = experiment.build(config, data, Group(0, 1, pick_device(config.flags.device, 0)))
    try:
        load_weights(trainer.networks.tested, read_tensors(weights))
    except MISFITS as error:
        raise UsageError(f"{weights} does not fit the run's network: {words_of(error)}") from error
    return trainer


def check_same_data(folder: Path, fingerprint: str, noise_sha256: str | None) -> None:
    """Raises: UsageError where these are not the data and labels of the run."""
    try:
        learnt = read_result(folder)["dataset"]
    except RecordError as error:
        raise UsageError(f"{folder} does not say what it learnt from: {error}") from error
    if learnt["fingerprint"] != fingerprint:
        raise UsageError(
            f"the data here are not those of {folder}, {learnt['name']}: say with --data_dir where they are"
        )
    if read_config(folder).get("noise_sha256") != noise_sha256:
        raise UsageError(f"the noise file here is not that of {folder}: say with --data_dir where that is")
