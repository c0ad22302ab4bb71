"""Puts a run together from its flags: devices, data, networks, record, trainer."""

from __future__ import annotations

import dataclasses
import logging
import os
import shlex
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import torch

from common.errors import Interrupted, UsageError
from common.paths import user_path
from common.progress import print_epoch
from common.pytorch.event_files import Scalars
from common.pytorch.process_group import Group
from common.pytorch.torch_files import whole_number, write_tensors
from common.records.config_text import format_config
from common.records.record import AnyRecord
from common.records.record_files import check_same_config, finished_result
from common.records.saved_state import MARK, Owner
from common.stopping import stop_signals
from common.storage.files import check_writable
from re_sln.datasets import load as datasets
from re_sln.datasets.training_set import Data, Pictures
from re_sln.images.device_images import DeviceImages, Look
from re_sln.noise.noise_request import needs_predictions
from re_sln.settings.config import Config, without_effect
from re_sln.settings.flags import PLACES, Flags
from re_sln.training import checkpoint
from re_sln.training.distributed import in_group
from re_sln.training.evaluation import Images
from re_sln.training.mean_softmax import mean_softmax, plain_config
from re_sln.training.networks import Networks, check_weights
from re_sln.training.records import make_record, owner_of, recorded
from re_sln.training.run_folder import find_run, new_folder, runs_dir
from re_sln.training.tally import curve_of
from re_sln.training.trainer import Trainer, order_of

OUTPUTS = ("checkpoint_*.pt", "model*.pth")


def run(config: Config, command: list[str]) -> int:
    """Trains, or with --check says what would be trained. Returns the exit code."""
    return in_group(config.flags.device, lambda group: _run(config, group, command))


def _run(config: Config, group: Group, command: list[str]) -> int:
    flags = config.flags
    if flags.network == "resnet50":
        check_weights(flags.weights)
    if flags.cuda_graphs and group.device.type == "cpu":
        raise UsageError("--cuda_graphs needs a GPU; leave it out, or give --device=cuda where there is one")
    group.warn_of_precision(flags.amp)
    for name, what in without_effect(config).items():
        logging.warning("--%s has no effect without %s", name, what)
    group.check_same(config.record())
    if flags.check:
        name, mark = datasets.describe(config)
        if group.leads:
            print(format_config(config.record() | {"data_name": name, "data_fingerprint": mark}), end="")
        return 0
    return train(config, group, group.from_leader(folder_of(flags)), command)


def folder_of(flags: Flags) -> Path:
    """The run's folder."""
    if flags.resume:
        return find_run(flags.resume)
    return user_path(flags.run_dir).absolute() if flags.run_dir else new_folder()


def train(config: Config, group: Group, folder: Path, command: list[str]) -> int:
    """Trains from the newest checkpoint in `folder`, or from the start. Returns the exit code."""
    # What the noise file is, is part of the configuration, but is not known yet.
    finished = group.leader_does(lambda: finished_result(folder, config.record(), "accuracy", whole=False))
    if finished:
        logging.info("%s is finished: accuracy %.4f", folder, finished["metrics"]["accuracy"])
        return 0
    group.leader_does(lambda: check_writable(folder, PLACES))
    settle(config.flags)
    logging.info("%s", shlex.join(command))
    begun = group.leads and bool(checkpoint.FILES.files(folder))
    data = load_data(config, group, make_new=config.flags.make_new_custom_noise and not begun)
    record = make_record(config, data, group, folder, command)
    group.leader_does(lambda: check_same_config(folder, recorded(config, data)))
    trainer, owner = build(config, data, group), owner_of(config, data)
    logged = go_on(trainer, folder, owner)
    if logged is None and group.leads:
        logging.info("training %s for %d epochs in %s", config.model, config.flags.n_epochs, folder)
    record.begin(logged or 0, saved=logged is not None, outputs=OUTPUTS)
    if group.leads and is_selected(trainer):
        write_models(trainer, folder)  # the program may have been killed before it had
    save = Saver(folder, group, owner)
    with closing(Scalars(folder, trainer.epoch, curve_of)) as scalars, stop_signals() as stopped:
        try:
            trainer.train(stopped, save, reporter(record, scalars, folder, save), config.flags.save_minutes)
        except Interrupted as stop:
            logging.warning("%s; resume with --resume %s", stop, folder.name if folder.parent == runs_dir() else folder)
            return 130
        finally:
            record.interrupted()
    if group.leads:
        finish(trainer, record, folder)
    return 0


def go_on(trainer: Trainer, folder: Path, owner: Owner) -> int | None:
    """Puts the newest checkpoint of `owner` back; returns the last step that metrics.jsonl holds, None without one.

    The leader reads it for all processes: on another machine the folder may look otherwise. Raises: UsageError for a
    checkpoint of another run, or one that does not fit.
    """
    newest = trainer.group.leader_does(lambda: checkpoint.newest(folder, owner))
    if newest is None:
        return None
    path, content = newest
    with checkpoint.fitting(path):
        trainer.restore(content)
        last = last_logged(trainer)
        logged = whole_number(content["logged"], last, last, "logged")
    logging.info("resuming in epoch %d after step %d in %s", trainer.epoch, trainer.step, folder)
    return logged


def last_logged(trainer: Trainer) -> int:
    """The last step that metrics.jsonl holds."""
    return int(trainer.scores["last"]["step"]) if trainer.scores else 0


def settle(flags: Flags) -> None:
    """Settings of torch that are global."""
    if flags.deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # other values are nonsense or not deterministic
        torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = not flags.deterministic


def load_data(config: Config, group: Group, make_new: bool) -> Data:
    """The data of a run. A custom noise file that is missing is made by the leader, the others read it.

    make_new: whether an existing file is made again; not for a resumed run.
    """
    loaded: list[Data] = []

    def lead() -> tuple[str, str | None]:
        loaded.append(_load_and_make_noise(_with_make_new(config, make_new), group.device))
        return loaded[0].fingerprint, loaded[0].noise_sha256

    marks = group.leader_does(lead)  # the others wait here until the file is there
    data = loaded[0] if group.leads else datasets.load(_with_make_new(config, False))
    if (data.fingerprint, data.noise_sha256) != marks:
        raise UsageError(
            f"process {group.rank} reads other data or labels than the first one: give both machines the same files in "
            "--data_dir"
        )
    left_over = len(order_of(config, data, 1)) % config.flags.batch_size
    if 0 < left_over < group.world_size:
        raise UsageError(
            f"--batch_size={config.flags.batch_size}: the last batch of the training set has {left_over} images for "
            f"{group.world_size} processes; choose another size"
        )
    return data


def _with_make_new(config: Config, make_new: bool) -> Config:
    return dataclasses.replace(config, flags=dataclasses.replace(config.flags, make_new_custom_noise=make_new))


def _load_and_make_noise(config: Config, device: torch.device) -> Data:
    predictions = None
    if config.noise and needs_predictions(config.noise):
        plain = plain_config(config)
        predictions = mean_softmax(build(plain, datasets.load(plain), Group(0, 1, device)))
    return datasets.load(config, predictions)


def build(config: Config, data: Data, group: Group) -> Trainer:
    """A trainer before its first step."""
    flags, task = config.flags, config.task
    padding = min(task.padding, config.image_size // 8)
    look = Look(config.image_size, padding, task.resize, data.mean, data.std, group.channels_last(flags.channels_last))
    networks = Networks(config, data.num_classes, group)
    train_images = images_of(data.train, look, flags, group)
    tests = {
        name: images_of(
            pictures, look if name in data.augmented_tests else dataclasses.replace(look, padding=0), flags, group
        )
        for name, pictures in data.test_images.items()
    }
    return Trainer(config, data, networks, train_images, tests, group)


def images_of(pictures: Pictures, look: Look, flags: Flags, group: Group) -> Images:
    """Where the images of a set are stored."""
    if isinstance(pictures, np.ndarray) and flags.loader != "dataloader":
        return DeviceImages(pictures, look, group.device)
    from re_sln.images.loader_images import LoaderImages  # it needs torchvision, whose import takes longer than torch's

    return LoaderImages(pictures, look, group.device, flags.workers, group.local_size)


class Saver:
    """Checkpoints of a run; with each goes the last step that metrics.jsonl holds."""

    def __init__(self, folder: Path, group: Group, owner: Owner) -> None:
        self._folder, self._group, self._owner = folder, group, owner

    def __call__(self, trainer: Trainer) -> None:
        """All processes gather, the leader writes."""
        content = trainer.content() | {"logged": last_logged(trainer), MARK: self._owner.mark(trainer.step)}
        if self._group.leads:
            checkpoint.save(self._folder, trainer.step, content)


def reporter(
    record: AnyRecord, scalars: Scalars, folder: Path, save: Saver
) -> Callable[[Trainer, dict[str, float]], None]:
    """What is done with the metrics of an epoch."""

    def report(trainer: Trainer, values: dict[str, float]) -> None:
        leads, epoch = trainer.group.leads, trainer.epoch - 1
        if leads:
            record.log(trainer.step, epoch, values)
            scalars.write(epoch, values)
            print_epoch(epoch, values)
        if is_selected(trainer):
            save(trainer)  # first: a run that resumed before this epoch might select another, and keep these weights
            if leads:
                write_models(trainer, folder)

    return report


def is_selected(trainer: Trainer) -> bool:
    """Whether the weights are those of the epoch that is best on clean validation images, which has just ended."""
    return "selected" in trainer.scores and trainer.scores["selected"]["step"] == trainer.step


def write_models(trainer: Trainer, folder: Path) -> None:
    """model.pth, and model_ema.pth where there is an average."""
    write_tensors(folder / "model.pth", trainer.networks.model.state_dict())
    if trainer.networks.average is not None:
        write_tensors(folder / "model_ema.pth", trainer.networks.average.state_dict())


def finish(trainer: Trainer, record: AnyRecord, folder: Path) -> None:
    """Weights and result: the accuracy of the last epoch, or of the one that is best on clean validation images."""
    config, scores = trainer.config, trainer.scores
    chosen = scores.get("selected", scores["last"])
    if not config.task.select_on_validation:
        write_models(trainer, folder)
    notes: dict[str, object] = {"model": config.model}
    if trainer.data.knows_noise:
        notes["noise_rate"] = float(trainer.data.is_noisy.mean())
    if trainer.data.noise_sha256:
        notes["noise_sha256"] = trainer.data.noise_sha256
    if config.flags.limit_train_examples:
        notes["shortened"] = f"the first {config.flags.limit_train_examples} training examples only"
    metrics = {"accuracy": chosen["accuracy"], "accuracy_last_epoch": scores["last"]["accuracy"]}
    best = {"value": scores["best"]["accuracy"], "step": scores["best"]["step"], "epoch": scores["best"]["epoch"]}
    record.finish(metrics, int(chosen["step"]), {"accuracy": best}, notes)
    logging.info(
        "accuracy %.4f after epoch %d in %s (best on test, not a result: %.4f in epoch %d)",
        chosen["accuracy"],
        chosen["epoch"],
        folder,
        best["value"],
        best["epoch"],
    )
