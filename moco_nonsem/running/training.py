"""What pre-training and linear evaluation share: a run from its last state, or its start, to its last epoch."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from common.errors import Interrupted
from common.progress import print_epoch
from common.pytorch.event_files import Scalars
from common.pytorch.process_group import Group
from common.pytorch.torch_files import write_tensors
from common.pytorch.training_loop import Plan, Work, run_epochs
from common.records.config_text import format_config
from common.records.record import AnyRecord
from common.records.saved_state import MARK, Owner
from common.stopping import stop_signals
from common.storage.files import check_places
from moco_nonsem.running import checkpoint
from moco_nonsem.running.flags import LinearFlags, PretrainFlags
from moco_nonsem.running.run_folder import checkpoint_folder, start_of
from moco_nonsem.running.run_record import STATES, SUB_PROJECT, make_record


class Trainer(Work, Protocol):
    """A trainer of either program. logged: the last step that metrics.jsonl holds; checkpoint_names: of its files."""

    logged: int
    last_values: dict[str, float]
    checkpoint_names: tuple[str, ...]

    @property
    def flags(self) -> PretrainFlags | LinearFlags:
        """As given."""

    @property
    def batches_per_epoch(self) -> int:
        """Steps of an epoch."""

    def content(self) -> dict[str, Any]:
        """Everything that the next step depends on. All processes must ask at once."""

    def restore(self, content: Mapping[str, Any], name: str) -> None:
        """Puts everything back as it was. Raises: UsageError, naming `name`, where it does not fit."""

    def checkpoints(self) -> list[str]:
        """Names of the authors' checkpoints that are due after the epoch that is over."""


def print_config(group: Group, config: Mapping[str, Any], described: Mapping[str, str]) -> int:
    """What --check prints. Returns the exit code."""
    if group.leads:
        print(format_config({**config, **{f"data_{key}": value for key, value in described.items()}}), end="")
    return 0


def train(
    trainer: Trainer,
    folder: Path,
    config: Mapping[str, Any],
    described: Mapping[str, str],
    command: list[str],
    name: str,
) -> AnyRecord:
    """Trains to the last epoch. Returns the record of the run in `folder`, which is still to be finished.

    name: of what is trained, for a reader. Raises: Interrupted, saying how to resume; NonFiniteLoss.
    """
    flags, group, checkpoints = trainer.flags, trainer.group, checkpoint_folder(trainer.flags)
    owner = Owner.of(SUB_PROJECT, config, flags.seed, described["fingerprint"])
    saved = _resume(trainer, folder, owner)
    record = make_record(folder, config, flags, described, group, command)
    if group.leads:
        checkpoints.mkdir(parents=True, exist_ok=True)
        if trainer.step == 0 and any(path for names in trainer.checkpoint_names for path in checkpoints.glob(names)):
            logging.warning("%s holds checkpoints already; those of the same epochs will be replaced", checkpoints)
        check_places(checkpoints, trainer.checkpoint_names)
        said = shlex.join(command), name, trainer.epoch, trainer.step, folder
        logging.info("%s\ntraining %s from epoch %d, step %d in %s", *said)
    record.begin(trainer.logged, saved=saved, outputs=STATES)

    def content() -> dict[str, Any]:
        return trainer.content() | {MARK: owner.mark(trainer.step)}

    def save() -> None:
        state = content()
        if group.leads:
            checkpoint.save_state(folder, trainer.step, state)

    def after_epoch(values: dict[str, float]) -> None:
        if group.leads:
            record.log(trainer.step, trainer.epoch - 1, values)
            scalars.write(trainer.step, values)
            print_epoch(trainer.epoch - 1, values)
        names = trainer.checkpoints()
        state = content() if names else {}
        for path in names if group.leads else []:
            write_tensors(checkpoints / path, state)

    plan = Plan(
        name=name,
        last_epoch=flags.epochs - 1,
        steps=flags.epochs * trainer.batches_per_epoch,
        look_every=flags.print_freq,
        save_minutes=flags.save_minutes,
    )
    with closing(Scalars(folder, trainer.step + 1)) as scalars, stop_signals() as stopped:
        try:
            run_epochs(trainer, plan, stopped, save, after_epoch)
        except Interrupted as stop:
            raise Interrupted(f"{stop}; run the same command with --resume {folder} to resume") from None
        finally:
            record.interrupted()
    return record


def _resume(trainer: Trainer, folder: Path, owner: Owner) -> bool | None:
    """Puts the state back that the run starts from. Returns `Start.saved`."""
    start = trainer.group.leader_does(lambda: start_of(trainer.flags, folder, owner))
    if start.content:
        trainer.restore(start.content, start.name)
    return start.saved
