"""Puts a linear evaluation together from its flags: data, network, record, trainer."""

from __future__ import annotations

import logging
from pathlib import Path

from common.errors import UsageError
from common.paths import user_path
from common.pytorch.process_group import Group
from common.records.record import AnyRecord
from moco_nonsem.images.image_tree import ImageTree, read_tree, readable_images
from moco_nonsem.linear_probe.config import check, record
from moco_nonsem.linear_probe.network import CLASSES, LinearNetwork, check_frozen, load_backbone
from moco_nonsem.linear_probe.trainer import LinearTrainer, load_for_scoring
from moco_nonsem.running import checkpoint
from moco_nonsem.running.flags import LinearFlags
from moco_nonsem.running.run_folder import check_folders, run_folder
from moco_nonsem.running.run_record import is_finished, reading
from moco_nonsem.running.training import print_config, train


def work(flags: LinearFlags, group: Group, command: list[str]) -> int:
    """What one process of the group does. Returns the exit code."""
    check(flags, group.world_size)
    group.warn_of_precision(flags.amp)
    network = LinearNetwork(flags.arch, flags.seed)
    if flags.evaluate:
        return _score_only(flags, network, group)
    folder = group.leader_does(lambda: run_folder(flags, "lincls"))
    given = user_path(flags.pretrained)
    digest = group.leader_does(lambda: checkpoint.fingerprint(flags.pretrained) if given.is_file() else "")
    config = record(flags, digest)
    group.check_same(config)
    # A finished run may outlive the encoder that it was trained on.
    known = {name: value for name, value in config.items() if value or name != "pretrained_sha256"}
    if not flags.check and group.leader_does(lambda: is_finished(folder, known, whole=bool(digest))):
        return 0
    if not flags.check:
        group.leader_does(lambda: check_folders(flags, folder))
    pretrained = group.leader_does(lambda: checkpoint.read_given("--pretrained", flags.pretrained, "state_dict"))
    frozen = load_backbone(network, pretrained, flags.pretrained)
    del pretrained  # key encoder, queue and optimiser need no memory
    train_images, described = group.leader_does(lambda: _images(flags, user_path(flags.data) / "train", "train"))
    val_images, _ = group.leader_does(lambda: _images(flags, val_folder(flags), "val"))
    check_trees(train_images, val_images, flags.batch_size, group.world_size)
    if flags.check:
        return print_config(group, config, described)
    images = reading(flags, group)
    trainer = LinearTrainer(flags, network.to(group.device), train_images, val_images, images, group)
    trainer.frozen = frozen
    run_record = train(trainer, folder, config, described, command, "linear classifier")
    check_frozen(network, frozen)
    if group.leads:
        finish(trainer, run_record)
    return 0


def _score_only(flags: LinearFlags, network: LinearNetwork, group: Group) -> int:
    content = group.leader_does(lambda: checkpoint.read_given("--resume", flags.resume, "state_dict"))
    load_for_scoring(network, content, flags.resume)
    val, _ = group.leader_does(lambda: _images(flags, val_folder(flags), "val"))
    classes = tuple(content.get("classes", val.classes))
    if classes != val.classes:
        raise UsageError(
            f"{val_folder(flags)} holds other classes than --resume was trained on; give its val/ with --val"
        )
    trainer = LinearTrainer(flags, network.to(group.device), val, val, reading(flags, group), group)
    values = trainer.score()
    if group.leads:
        print(" ".join(f"{name} {value:.4f}" for name, value in values.items()))
    return 0


def val_folder(flags: LinearFlags) -> Path:
    """Where the validation images lie."""
    return user_path(flags.val or Path(flags.data) / "val")


def _images(flags: LinearFlags, folder: Path, part: str) -> tuple[ImageTree, dict[str, str]]:
    return readable_images(read_tree(folder), folder.parent, part, flags.skip_unreadable)


def check_trees(train: ImageTree, val: ImageTree, batch_size: int, world_size: int) -> None:
    """Raises: UsageError where the two do not belong together, or a last batch is too small for the processes."""
    if train.classes != val.classes:
        odd = sorted(set(train.classes) ^ set(val.classes))
        raise UsageError(
            f"train/ and val/ hold different classes, {', '.join(odd[:5])} for one; a label is a class's place"
        )
    if len(train.classes) > CLASSES:
        raise UsageError(f"{len(train.classes)} classes: the network tells {CLASSES} apart")
    if 0 < len(train) % batch_size < world_size:
        raise UsageError(
            f"--batch-size={batch_size}: the last batch has {len(train) % batch_size} images for {world_size} "
            "processes, too few; choose another size"
        )


def finish(trainer: LinearTrainer, run_record: AnyRecord) -> None:
    """The last epoch's accuracy is the result; the best over epochs, on the same images, is recorded apart."""
    # DEVIATION: the authors print the best over the epochs, chosen on the very images that are reported; here the last
    # epoch is the result.
    values = trainer.last_values
    metrics = {"accuracy": values["accuracy/val"], "accuracy_top5": values["accuracy/val_top5"]}
    run_record.finish(metrics, trainer.step, {"accuracy": trainer.best}, {"frozen_backbone": "unchanged"})
    logging.info(
        "accuracy %.4f after the last epoch; frozen backbone unchanged (best on val, not a result: %.4f in epoch %d)",
        metrics["accuracy"],
        trainer.best["value"],
        trainer.best["epoch"],
    )
