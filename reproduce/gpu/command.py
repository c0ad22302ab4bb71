"""`python -m reproduce gpu-evidence`: half an hour of a GPU, in pieces, turned into records.

It needs PyTorch, torchvision (with its Pillow), numpy and the standard library: machines that are lent have no more.
"""

from __future__ import annotations

import argparse
import datetime
import os
import shlex
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from common.errors import UsageError, WorkFailed
from common.flags import Parser, underscored
from common.machine import cpu_name
from common.paths import repo_root
from common.program import guarded
from common.pytorch.gpu import driver_version, require_driver, require_framework
from reproduce.gpu import carrying, packing, summary
from reproduce.gpu.session import NO_GPU, Options, Session

NAME = "gpu-evidence"
HELP = "train SLN at full length on a GPU and time MoCo's kernels, within the minutes given"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.add_argument("--minutes", type=float, default=30.0, help="of all pieces together [30]")
    parser.add_argument("--piece", type=float, help="minutes of this call; the next one resumes [all that are left]")
    parser.add_argument("--out", type=Path, help="folder for results, few files below 15 MiB [$OUT, else the work's]")
    parser.add_argument("--work_dir", type=Path, help="folder for runs and checkpoints [runs/gpu-evidence]")
    parser.add_argument("--earlier", type=Path, help="the --out of a piece on another machine: its work is resumed")
    parser.add_argument("--data_dir", type=Path, help="holds CIFAR-10 [what was packed, else $DATA_DIR]")
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16", help="[bfloat16]")
    parser.add_argument("--epochs", type=int, default=300, help="of each run [300, the published number]")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: to try the command out [cuda]")
    parser.add_argument("--run_flags", type=shlex.split, default=[], help="further flags of every run, in one word")
    parser.add_argument("--dry_run", action="store_true", help="print the plan and stop")
    pack = parser.add_argument_group("packing")
    pack.add_argument("--pack", type=Path, help="only fill this new folder with code and data, at most 64 MiB")
    pack.add_argument("--jpegs", type=Path, help="CIFAR-10 as JPEG: images.bin.xz, index.npz [made from --data_dir]")
    pack.add_argument("--labels", type=Path, help="the authors' noise files [in --data_dir]")
    pack.add_argument("--photographs", type=Path, help="JPEG files for the views of MoCo [pictures that are made]")


def add_commands(commands: Any) -> None:
    """gpu-evidence with its flags, among the commands of `python -m reproduce`."""
    command = commands.add_parser(NAME, help=HELP, description=HELP)
    add_flags(command)
    command.set_defaults(work=work)


def main(words: list[str]) -> int:
    """Exit code 0: all that fits is done; 1: something failed; 2: the user has to do something; 130: interrupted."""
    parser = Parser(prog=f"python -m reproduce {NAME}", description=HELP)
    add_flags(parser)
    arguments = parser.parse_args(underscored(words))
    return guarded(lambda: work(arguments), "interrupted; the same command resumes")


def work(arguments: argparse.Namespace) -> int:
    """Packs, or does a piece, whose minutes begin here."""
    begun = time.monotonic()
    if arguments.pack:
        size = packing.pack(
            arguments.pack, arguments.data_dir, arguments.jpegs, arguments.labels, arguments.photographs
        )
        print(f"{arguments.pack}: {size / 2**20:.1f} MiB; there: python3 -m reproduce {NAME} --piece 10")
        return 0
    for name in ("minutes", "piece"):
        if getattr(arguments, name) is not None and not getattr(arguments, name) > 0:
            raise UsageError(f"--{name}={getattr(arguments, name)}: must be above 0")
    if arguments.epochs < 2:
        raise UsageError(f"--epochs={arguments.epochs}: must be 2 at least, for labels are corrected after the first")
    folder = (arguments.work_dir or repo_root() / "runs" / NAME).absolute()
    options = Options(
        arguments.minutes, arguments.epochs, arguments.device, arguments.precision, tuple(arguments.run_flags)
    )
    if arguments.earlier:
        carrying.unbundle(arguments.earlier, folder)
    if arguments.dry_run:
        _print_plan(Session(folder, Path(), options))
        return 0
    machine = _machine(options.device)
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    session = Session(folder, packing.unpack(repo_root(), arguments.data_dir), options)
    session.state["pieces"].append({"begun": _now(), "command": _command(options), **machine})
    _print_plan(session)
    out = arguments.out or Path(os.environ.get("OUT") or folder)
    try:
        begins = session.piece(60 * (arguments.piece or arguments.minutes) - (time.monotonic() - begun))
    finally:
        session.write()
        found = summary.write(session, out)
        carrying.bundle(folder, out)
    print(summary.table(found) if found["runs"] else "no run has an epoch yet\n", end="")
    if left := found["to_do"]:
        then = (
            "the same command resumes" if begins else "none was begun: this piece is too short, give a longer --piece"
        )
        print(f"left to do in {arguments.minutes:g} minutes: {', '.join(left)}; {then}")
    elif not found["runs"]:
        print(f"no run fits into what is left of {arguments.minutes:g} minutes: give more --minutes")
    print(f"results: {out}; to add them to the clone that packed this, there: python -m reproduce keep --gpu {out}")
    if found["failed"]:
        raise WorkFailed("; ".join(f"{name}: {why}" for name, why in found["failed"].items()))
    return 0


def _machine(device: str) -> dict[str, str]:
    """What a number depends on, by name. Raises: UsageError where there is no such device."""
    if device == "cpu":
        return {"gpu": f"{NO_GPU}{cpu_name()}", "driver": "none", "torch": version("torch")}
    gpus, found = require_driver(), require_framework("torch")
    name = gpus[0].partition(": ")[2].partition(" (UUID")[0]
    return {"gpu": name, "driver": driver_version(), "torch": "{version}, CUDA {cuda}".format(**found)}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _command(options: Options) -> str:
    """The flags that numbers depend on."""
    flags = [f"--{name}={getattr(options, name)}" for name in ("epochs", "precision", "device")]
    more = [f"--run_flags={shlex.join(options.run_flags)}"] if options.run_flags else []
    return shlex.join(["python3", "-m", "reproduce", NAME, f"--minutes={options.minutes:g}", *flags, *more])


def _print_plan(session: Session) -> None:
    to_do = session.to_do()
    print(f"{session.state['used'] / 60:.1f} of {session.options.minutes:g} minutes are used; to do:")
    for item, seconds in to_do:
        print(f"  {item.name:28} about {seconds / 60:5.1f} minutes")
    if not to_do:
        print("  nothing more fits: give more --minutes")
