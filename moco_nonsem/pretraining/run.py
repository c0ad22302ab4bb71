"""Puts a pre-training run together from its flags: processes, data, networks, record, trainer."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import torch

from common.config_text import format_config
from common.errors import Interrupted, UsageError
from common.files import check_places
from common.machine import cores
from common.paths import user_path
from common.process_group import Group
from common.record import AnyRecord
from common.saved_state import MARK, Owner
from common.stopping import stop_signals
from moco_nonsem.images.image_tree import TEXTURE_TREE, ImageTree, check_readable, read_tree, training_tree
from moco_nonsem.images.tree_identity import describe
from moco_nonsem.images.workers import Reading
from moco_nonsem.pretraining.config import PretrainConfig, resolve
from moco_nonsem.pretraining.neighbours import Neighbours
from moco_nonsem.pretraining.trainer import Trainer
from moco_nonsem.running import checkpoint
from moco_nonsem.running.distributed import in_group
from moco_nonsem.running.flags import PretrainFlags
from moco_nonsem.running.launch import Place
from moco_nonsem.running.program import guarded
from moco_nonsem.running.progress import Progress
from moco_nonsem.running.run_folder import (
    check_folders,
    checkpoint_folder,
    make_checkpoint_folder,
    run_folder,
    start_of,
)
from moco_nonsem.running.run_record import (
    STATES,
    SUB_PROJECT,
    is_finished,
    is_saved,
    make_record,
    reading,
    warn_of_precision,
)
from moco_nonsem.running.scalars import Scalars
from moco_nonsem.running.step_loop import run_epochs
from moco_nonsem.views.loader import ViewLoader


def work(flags: PretrainFlags, place: Place, command: list[str]) -> int:
    """What one process does. Returns the exit code."""
    return guarded(lambda: in_group(place, lambda group: _work(flags, group, command)))


def _work(flags: PretrainFlags, group: Group, command: list[str]) -> int:
    config = resolve(flags, group.world_size)
    warn(config, group)
    folder = group.leader_does(lambda: run_folder(flags, "pretrain"))
    if not flags.check and group.leader_does(lambda: is_finished(folder, config.record())):
        return 0
    if not flags.check:
        group.leader_does(lambda: check_folders(flags, folder))
    tree, described = group.leader_does(lambda: images(flags))
    views = ViewLoader(tree, config.recipe, reading(flags, group, flags.loader))
    neighbours = monitor(flags, config, tree, views.reading, group)
    if flags.check:
        if group.leads:
            print(format_config(config.record() | {f"data_{key}": value for key, value in described.items()}), end="")
        return 0
    owner = Owner.of(SUB_PROJECT, config.record(), flags.seed, described["fingerprint"])
    start = group.leader_does(lambda: start_of(flags, folder, owner))
    trainer = Trainer(config, views, group)
    trainer.neighbour_accuracy = neighbours
    if start.content:
        trainer.restore(start.content, start.name)
    saved = is_saved(start)
    del start
    return train(trainer, folder, described, command, owner, saved)


def warn(config: PretrainConfig, group: Group) -> None:
    """Says what a user may not expect."""
    flags = config.flags
    warn_of_precision(flags, group)
    if config.leaks:
        logging.warning(
            "one process without --bn-splits: batch norm sees all keys of a batch at once, in which the key of a query "
            "can be told from the others (it leaks the key); give --bn-splits 2 or more, or train in several processes"
        )
    if config.recipe.robust == "texture" and flags.patch_ratio:
        logging.warning("--patch-ratio has no meaning with --robust %s", flags.robust)
    if flags.workers > cores() and group.leads:
        logging.info("-j %d is more than this machine's %d cores: %d are used", flags.workers, cores(), cores())


def images(flags: PretrainFlags) -> tuple[ImageTree, dict[str, str]]:
    """The training images, all of which can be read, and what the record says of them. Raises: UsageError."""
    data = user_path(flags.data)
    tree = training_tree(data, resolve(flags).recipe.robust)
    tree, skipped = check_readable(tree, cores(), flags.skip_unreadable)
    if skipped:
        logging.warning("%d images cannot be read and are left out", skipped)
    described = describe(tree, data, "train")
    if skipped:
        described["version"] += f", {skipped} unreadable ones left out"
    return tree, described


def monitor(
    flags: PretrainFlags, config: PretrainConfig, train: ImageTree, reading: Reading, group: Group
) -> Neighbours | None:
    """The nearest neighbours among train/ of the images of val/, where --knn-every asks for it. Raises: UsageError."""
    if not flags.knn_every:
        return None
    data = user_path(flags.data).absolute()
    if config.recipe.robust == "texture":
        data = data.with_name(data.name.removesuffix(TEXTURE_TREE))
    val, _ = group.leader_does(lambda: check_readable(read_tree(data / "val"), cores(), flags.skip_unreadable))
    if val.classes != train.classes:
        raise UsageError(f"--knn-every: {data} holds other classes in val/ than in train/; leave it out")
    return Neighbours(train, val, flags.knn_per_class, flags.image_size, reading, group)


def train(
    trainer: Trainer,
    folder: Path,
    described: Mapping[str, str],
    command: list[str],
    owner: Owner,
    saved: bool | None,
) -> int:
    """Trains from where the trainer stands. Returns the exit code."""
    config, group = trainer.config, trainer.group
    flags = config.flags
    torch.backends.cudnn.benchmark = True
    record = make_record(folder, config.record(), flags, described, group, command)
    if group.leads:
        make_checkpoint_folder(checkpoint_folder(flags), new_run=trainer.step == 0)
        check_places(checkpoint_folder(flags), ("checkpoint_*.pth.tar",))
        record.begin(trainer.logged, saved=saved, outputs=STATES)
        logging.info(
            "%s\npre-training from epoch %d, step %d in %s", shlex.join(command), trainer.epoch, trainer.step, folder
        )
    with closing(Scalars(folder, trainer.step)) as scalars, stop_signals() as stopped:
        try:
            run_epochs(
                trainer,
                trainer.finite,
                group,
                flags.epochs,
                trainer.views.batches_per_epoch,
                flags.print_freq,
                stopped,
                lambda: save(trainer, folder, owner),
                after_epoch(trainer, record, scalars, checkpoint_folder(flags), owner),
                flags.save_minutes,
                f"MoCo {config.recipe.robust}",
            )
        except Interrupted as stop:
            raise Interrupted(f"{stop}; run the same command with --resume {folder} to resume") from None
        finally:
            record.interrupted()
    if group.leads:
        waited = {"seconds_waiting_for_data": round(trainer.waited[0], 1)}
        record.finish(trainer.last_values, trainer.step, {}, waited)
        logging.info("%s", " ".join(f"{name} {value:.4f}" for name, value in sorted(trainer.last_values.items())))
    return 0


def save(trainer: Trainer, folder: Path, owner: Owner) -> None:
    """A state in the run's folder: all processes gather, the leader writes."""
    content = trainer.content() | {MARK: owner.mark(trainer.step)}
    if trainer.group.leads:
        checkpoint.save_state(folder, trainer.step, content)


def after_epoch(
    trainer: Trainer, record: AnyRecord, scalars: Scalars, checkpoints: Path, owner: Owner
) -> Callable[[dict[str, float], Progress], None]:
    """What is done with the metrics of an epoch, and the authors' checkpoint where one is due."""

    def report(values: dict[str, float], progress: Progress) -> None:
        flags, done = trainer.config.flags, trainer.epoch
        trainer.logged = trainer.step
        if trainer.group.leads:
            record.log(trainer.step, done - 1, values)
            scalars.write(trainer.step, values)
            progress.say(
                f"epoch {done - 1}: " + " ".join(f"{name} {value:.4f}" for name, value in sorted(values.items()))
            )
        # DEVIATION: the authors' program saves nothing of a run shorter than --save-freq; here the last epoch
        # is saved too.
        if done % flags.save_freq == 0 or done == flags.epochs:
            content = trainer.content() | {MARK: owner.mark(trainer.step)}
            if trainer.group.leads:
                checkpoint.write(checkpoint.epoch_path(checkpoints, done - 1), content)

    return report
