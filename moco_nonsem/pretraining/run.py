"""Puts a pre-training run together from its flags: processes, data, networks, record, trainer."""

from __future__ import annotations

import logging

import torch

from common.errors import UsageError
from common.machine import cores
from common.paths import user_path
from common.pytorch.process_group import Group
from moco_nonsem.images.image_tree import TEXTURE_TREE, ImageTree, read_tree, readable_images, training_tree
from moco_nonsem.images.workers import Reading
from moco_nonsem.pretraining.config import PretrainConfig, resolve
from moco_nonsem.pretraining.neighbours import Neighbours
from moco_nonsem.pretraining.trainer import Trainer
from moco_nonsem.running.flags import PretrainFlags
from moco_nonsem.running.run_folder import check_folders, run_folder
from moco_nonsem.running.run_record import is_finished, reading
from moco_nonsem.running.training import print_config, train
from moco_nonsem.views.loader import ViewLoader


def work(flags: PretrainFlags, group: Group, command: list[str]) -> int:
    """What one process of the group does. Returns the exit code."""
    config = resolve(flags, group.world_size)
    group.check_same(config.record())
    warn(config, group)
    folder = group.leader_does(lambda: run_folder(flags, "pretrain"))
    if not flags.check and group.leader_does(lambda: is_finished(folder, config.record())):
        return 0
    if not flags.check:
        group.leader_does(lambda: check_folders(flags, folder))
    data = user_path(flags.data)
    tree, described = group.leader_does(
        lambda: readable_images(training_tree(data, config.recipe.robust), data, "train", flags.skip_unreadable)
    )
    views = ViewLoader(tree, config.recipe, reading(flags, group, flags.loader))
    neighbours = monitor(config, tree, views.reading, group)
    if flags.check:
        return print_config(group, config.record(), described)
    torch.backends.cudnn.benchmark = True
    trainer = Trainer(config, views, group, neighbours)
    record = train(trainer, folder, config.record(), described, command, f"MoCo {config.recipe.robust}")
    if group.leads:
        waited = {"seconds_waiting_for_data": round(trainer.waiting.seconds, 1)}
        record.finish(trainer.last_values, trainer.step, {}, waited)
        logging.info("%s", " ".join(f"{name} {value:.4f}" for name, value in sorted(trainer.last_values.items())))
    return 0


def warn(config: PretrainConfig, group: Group) -> None:
    """Says what a user may not expect."""
    flags = config.flags
    group.warn_of_precision(flags.amp)
    if config.leaks:
        logging.warning(
            "one process without --bn-splits: batch norm sees all keys of a batch at once, in which the key of a query "
            "can be told from the others (it leaks the key); give --bn-splits 2 or more, or train in several processes"
        )
    if config.recipe.robust == "texture" and flags.patch_ratio:
        logging.warning("--patch-ratio has no meaning with --robust %s", flags.robust)
    if flags.workers > cores() and group.leads:
        logging.info("-j %d is more than this machine's %d cores: %d are used", flags.workers, cores(), cores())


def monitor(config: PretrainConfig, train: ImageTree, reading: Reading, group: Group) -> Neighbours | None:
    """The nearest neighbours among train/ of the images of val/, where --knn-every asks for it. Raises: UsageError."""
    flags = config.flags
    if not flags.knn_every:
        return None
    data = user_path(flags.data).absolute()
    if config.recipe.robust == "texture":
        data = data.with_name(data.name.removesuffix(TEXTURE_TREE))
    val, _ = group.leader_does(lambda: readable_images(read_tree(data / "val"), data, "val", flags.skip_unreadable))
    if val.classes != train.classes:
        raise UsageError(f"--knn-every: {data} holds other classes in val/ than in train/; leave it out")
    return Neighbours(train, val, flags.knn_per_class, flags.image_size, reading, group)
