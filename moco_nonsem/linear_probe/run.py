"""Puts a linear evaluation together from its flags: data, network, record, trainer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from common.config_text import format_config
from common.errors import Interrupted, UsageError
from common.files import check_places
from common.machine import cores
from common.paths import user_path
from common.process_group import Group
from common.record import AnyRecord
from common.saved_state import MARK, Owner
from common.stopping import stop_signals
from moco_nonsem.images.image_tree import ImageTree, check_readable, read_tree
from moco_nonsem.images.tree_identity import describe
from moco_nonsem.linear_probe.config import check, mark, record
from moco_nonsem.linear_probe.network import CLASSES, LinearNetwork, check_frozen, load_backbone
from moco_nonsem.linear_probe.trainer import LinearTrainer, load_for_scoring
from moco_nonsem.running import checkpoint
from moco_nonsem.running.distributed import in_group
from moco_nonsem.running.flags import LinearFlags
from moco_nonsem.running.launch import Place
from moco_nonsem.running.program import guarded
from moco_nonsem.running.progress import Progress
from moco_nonsem.running.run_folder import check_folders, checkpoint_folder, run_folder, start_of
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


def work(flags: LinearFlags, place: Place, command: list[str]) -> int:
    """What one process does. Returns the exit code."""
    return guarded(lambda: in_group(place, lambda group: _work(flags, group, command)))


def _work(flags: LinearFlags, group: Group, command: list[str]) -> int:
    check(flags, group.world_size)
    warn_of_precision(flags, group)
    network = LinearNetwork(flags.arch, flags.seed)
    if flags.evaluate:
        return _score_only(flags, network, group)
    folder = group.leader_does(lambda: run_folder(flags, "lincls"))
    given = user_path(flags.pretrained)
    digest = group.leader_does(lambda: checkpoint.fingerprint(flags.pretrained) if given.is_file() else "")
    config = record(flags, digest)
    # A finished run may outlive the encoder that it was trained on.
    known = {name: value for name, value in config.items() if value or name != "pretrained_sha256"}
    if not flags.check and group.leader_does(lambda: is_finished(folder, known, whole=bool(digest))):
        return 0
    if not flags.check:
        group.leader_does(lambda: check_folders(flags, folder))
    pretrained = group.leader_does(lambda: checkpoint.read_given("--pretrained", flags.pretrained, "state_dict"))
    frozen = load_backbone(network, pretrained, flags.pretrained)
    del pretrained  # key encoder, queue and optimiser need not lie about
    train, described = group.leader_does(lambda: _images(flags, user_path(flags.data) / "train", "train"))
    val, _ = group.leader_does(lambda: _images(flags, val_folder(flags), "val"))
    check_trees(train, val, flags.batch_size, group.world_size)
    if flags.check:
        if group.leads:
            print(format_config(config | {f"data_{key}": value for key, value in described.items()}), end="")
        return 0
    trainer = LinearTrainer(flags, network.to(group.device), train, val, reading(flags, group), group)
    owner = Owner.of(SUB_PROJECT, config, flags.seed, described["fingerprint"])
    start = group.leader_does(lambda: start_of(flags, folder, owner))
    if start.content:
        trainer.restore(start.content, start.name)
    record_ = make_record(folder, config, flags, described, group, command)
    code = _train(trainer, folder, record_, owner, is_saved(start))
    check_frozen(network, frozen)
    if group.leads:
        finish(trainer, record_)
    return code


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
    tree, skipped = check_readable(read_tree(folder), cores(), flags.skip_unreadable)
    if skipped:
        logging.warning("%d images of %s cannot be read and are left out", skipped, folder)
    return tree, describe(tree, folder.parent, part)


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


def _train(trainer: LinearTrainer, folder: Path, record_: AnyRecord, owner: Owner, saved: bool | None) -> int:
    flags, group = trainer.flags, trainer.group
    if group.leads:
        checkpoint_folder(flags).mkdir(parents=True, exist_ok=True)
        check_places(checkpoint_folder(flags), ("checkpoint_robust_*.pth.tar", "model_best_*.pth.tar"))
        record_.begin(trainer.logged, saved=saved, outputs=STATES)
        logging.info("linear evaluation from epoch %d, step %d in %s", trainer.epoch, trainer.step, folder)

    def save() -> None:
        content = trainer.content() | {MARK: owner.mark(trainer.step)}
        if group.leads:
            checkpoint.save_state(folder, trainer.step, content)

    with closing(Scalars(folder, trainer.step)) as scalars, stop_signals() as stopped:
        try:
            run_epochs(
                trainer,
                trainer.finite,
                group,
                flags.epochs,
                trainer.batches_per_epoch,
                flags.print_freq,
                stopped,
                save,
                _after_epoch(trainer, record_, scalars, owner),
                flags.save_minutes,
                "linear",
            )
        except Interrupted as stop:
            raise Interrupted(f"{stop}; run the same command with --resume {folder} to resume") from None
        finally:
            record_.interrupted()
    return 0


def _after_epoch(
    trainer: LinearTrainer, record_: AnyRecord, scalars: Scalars, owner: Owner
) -> Callable[[dict[str, float], Progress], None]:
    folder, name = checkpoint_folder(trainer.flags), mark(trainer.flags.pretrained)

    def report(values: dict[str, float], progress: Progress) -> None:
        trainer.logged = trainer.step
        content: dict[str, Any] = trainer.content() | {MARK: owner.mark(trainer.step)}
        if not trainer.group.leads:
            return
        record_.log(trainer.step, trainer.epoch - 1, values)
        scalars.write(trainer.step, values)
        shown = " ".join(f"{key} {value:.4f}" for key, value in sorted(values.items()))
        progress.say(f"epoch {trainer.epoch - 1}: {shown}")
        checkpoint.write(folder / f"checkpoint_robust_{name}.pth.tar", content)
        if trainer.is_best:
            checkpoint.write(folder / f"model_best_{name}.pth.tar", content)

    return report


def finish(trainer: LinearTrainer, record_: AnyRecord) -> None:
    """The last epoch's accuracy is the result; the best over epochs, on the same images, stands apart."""
    # DEVIATION: the authors print the best over the epochs, chosen on the very images that are reported; here the last
    # epoch is the result.
    values = trainer.last_values
    metrics = {"accuracy": values["accuracy/val"], "accuracy_top5": values["accuracy/val_top5"]}
    record_.finish(metrics, trainer.step, {"accuracy": trainer.best}, {"frozen_backbone": "unchanged"})
    logging.info(
        "accuracy %.4f after the last epoch; frozen backbone unchanged (best on val, not a result: %.4f in epoch %d)",
        metrics["accuracy"],
        trainer.best["value"],
        trainer.best["epoch"],
    )
