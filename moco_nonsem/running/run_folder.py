"""Where a run's record and checkpoints are, and what a resumed run starts from."""

from __future__ import annotations

import datetime
import logging
from pathlib import Path
from typing import Any, NamedTuple

from common.errors import UsageError
from common.paths import repo_root, runs_dir, user_path
from common.records.saved_state import MARK, Owner
from common.storage.files import check_writable
from moco_nonsem.running import checkpoint
from moco_nonsem.running.flags import PLACES, LinearFlags, PretrainFlags

PlaceFlags = PretrainFlags | LinearFlags


def new_folder(kind: str) -> Path:
    """`<kind>_<date>_<time>-<microseconds>` in the folder of runs."""
    return runs_dir() / "moco_nonsem" / datetime.datetime.now().strftime(f"{kind}_%Y-%m-%d_%H-%M-%S-%f")


def run_folder(flags: PlaceFlags, kind: str) -> Path:
    """--run_dir, or the run folder that --resume names (itself, or that of its state), or a new one.

    Raises: UsageError for a missing --resume.
    """
    resume = user_path(flags.resume)
    if flags.resume and not resume.exists():
        raise UsageError(
            f"--resume={flags.resume}: there is no such checkpoint or run folder; leave it out to train from the start"
        )
    if flags.run_dir:
        folder = user_path(flags.run_dir).absolute()
        if flags.resume and resume.is_dir() and resume.resolve() != folder.resolve():
            raise UsageError(
                f"--resume={flags.resume} and --run_dir={flags.run_dir} are folders of two runs: leave one out"
            )
        return folder
    if flags.resume:
        folder = resume if resume.is_dir() else resume.parent
        if resume.is_dir() or (checkpoint.FILES.step_of(resume) is not None and (folder / "config.yml").is_file()):
            return folder.absolute()
    return new_folder(kind)


class Start(NamedTuple):
    """What a run begins with. content: None to begin anew; name: for messages; own: whether it is this run's state."""

    content: dict[str, Any] | None
    name: str
    own: bool

    @property
    def saved(self) -> bool | None:
        """As `RunRecord.begin` wants to know it: a file of --resume from elsewhere brings no metrics.jsonl along."""
        return self.own if self.own or not self.content else None


def start_of(flags: PlaceFlags, folder: Path, owner: Owner) -> Start:
    """The file of --resume, else the newest state in the run's folder, or nothing.

    A file may be of any run, as the authors' program has it; a state in the run's own folder has to be `owner`'s. Where
    a run that began with a file has states already, the newest counts: a scheduler gives the same command again.
    Raises: UsageError where what was asked for cannot be read, or is another run's.
    """
    resume = user_path(flags.resume)
    if flags.resume and resume.is_file():
        content = checkpoint.read_given("--resume", flags.resume, "epoch", "state_dict", "optimizer")
        step = checkpoint.FILES.step_of(resume)
        own = step is not None and resume.parent.absolute() == folder
        if own and step is not None:
            try:
                owner.check(resume, content.get(MARK), step)
            except (UsageError, ValueError) as error:
                raise UsageError(f"--resume: {error}") from error
        further = None if own else checkpoint.newest(folder, owner)
        if further is None:
            return Start(content, flags.resume, own)
        logging.info("%s is this run's own, later than --resume=%s: training is resumed from it", *further[:1], resume)
        return Start(further[1], str(further[0]), True)
    newest = checkpoint.newest(folder, owner)
    if flags.resume and newest is None:
        raise UsageError(f"--resume={flags.resume}: the folder holds no state_….pth.tar; leave it out to start anew")
    return Start(newest[1], str(newest[0]), True) if newest else Start(None, "", False)


def checkpoint_folder(flags: PlaceFlags) -> Path:
    """--ckpt_path, else --run_dir, else moco_nonsem/ckpts: the authors' ./ckpts as seen from inside the folder."""
    chosen = flags.ckpt_path or flags.run_dir or repo_root() / "moco_nonsem" / "ckpts"
    return user_path(chosen).absolute()


def check_folders(flags: PlaceFlags, folder: Path) -> None:
    """Before images are read. Raises: UsageError where run or checkpoints could not be written."""
    for written in (folder, checkpoint_folder(flags)):
        check_writable(written, PLACES)
