"""One trial of a search for σ: a training run whose test set is the part of the training set that was held out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import torch

from common.errors import Interrupted, UsageError
from common.pytorch.event_files import Scalars
from common.pytorch.process_group import Group
from common.records.record import AnyRecord
from common.records.record_files import check_same_config
from common.storage.locks import is_running
from re_sln.datasets.training_set import Data
from re_sln.datasets.validation_split import hold_out
from re_sln.search.search import Search
from re_sln.settings.config import Config
from re_sln.training import experiment, records
from re_sln.training.distributed import pick_device
from re_sln.training.tally import curve_of
from re_sln.training.trainer import Trainer

STOP = "stop"
WAIT_SECONDS = 120.0


class StopFile:
    """Not empty as soon as a file is there: how the trials of a search, on any machine, learn that they are to stop."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        """1 if the file is there, else 0."""
        return int(self.path.exists())


def run_trial(
    search: Search, sigma: str, command: list[str], on_gpu: bool, threads: int, tell: Callable[[dict], None]
) -> None:
    """Trains from the trial's newest checkpoint, or from the start, until it is done or the search is to stop.

    sigma: one of search.trials; tell: is given step, epoch and accuracy_val after every epoch. Raises: what training
    raises.
    """
    folder, stopped = search.trial_folder(sigma), StopFile(search.folder / STOP)
    if stopped:
        return
    torch.set_num_threads(threads)
    group = Group(0, 1, pick_device(search.flags.device if on_gpu else "cpu", 0))
    config = search.trials[sigma]
    experiment.settle(config.flags)
    # The noise file is there since the search began.
    data = trial_data(search, config, experiment.load_data(config, group, make_new=False))
    wait_for(folder)
    values = search.trial_record(sigma)
    check_same_config(folder, records.recorded(config, data, values))
    record = records.make_record(config, data, group, folder, command, values)
    trainer, owner = experiment.build(config, data, group), records.owner_of(config, data, values)
    logged = experiment.go_on(trainer, folder, owner)
    record.begin(logged or 0, saved=logged is not None, outputs=experiment.OUTPUTS)
    with closing(Scalars(folder, trainer.epoch, curve_of)) as scalars:
        try:
            trainer.train(
                stopped,
                experiment.Saver(folder, group, owner),
                reporter(record, scalars, tell),
                config.flags.save_minutes,
            )
        except Interrupted as stop:
            logging.warning("%s", stop)
            return
        finally:
            record.interrupted()
    last = trainer.scores["last"]
    record.finish({"accuracy_val": last["accuracy"]}, int(last["step"]), {}, {"model": config.model})


def trial_data(search: Search, config: Config, data: Data) -> Data:
    """What a trial trains on, and as its test set what is held out."""
    as_in_training = search.flags.val_transform == "train" and config.augments
    return hold_out(data, search.flags.val_size, config.flags.seed, as_in_training)


def wait_for(folder: Path) -> None:
    """Lets the same trial of a search that was killed a moment ago end. Raises: UsageError if it does not."""
    end = time.monotonic() + WAIT_SECONDS
    while is_running(folder):
        if time.monotonic() > end:
            raise UsageError(f"{folder}: another process is writing this trial; stop it first")
        time.sleep(0.5)


def reporter(
    record: AnyRecord, scalars: Scalars, tell: Callable[[dict], None]
) -> Callable[[Trainer, dict[str, float]], None]:
    """What is done with the metrics of an epoch; none of them is of the test set, so none is called so."""

    def report(trainer: Trainer, values: dict[str, float]) -> None:
        values = {name.replace("/test", "/val"): value for name, value in values.items()}
        record.log(trainer.step, trainer.epoch - 1, values)
        scalars.write(trainer.epoch - 1, values)
        tell({"step": trainer.step, "epoch": trainer.epoch - 1, "accuracy_val": values["accuracy/val"]})

    return report
