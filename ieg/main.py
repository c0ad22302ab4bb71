"""Trains supervised, L2R, IEG and FSR on noisy labels: CIFAR, WebVision mini and the embedded digits.

python -m ieg.main --dataset=cifar100_uniform_0.8 --network_name=wrn28-10 --checkpoint_path=runs/ieg
"""

from __future__ import annotations

import dataclasses
import glob
import logging
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in (None, ""):  # started as a script from inside the folder
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    sys.path.remove(str(Path(__file__).resolve().parent))

from common.errors import UsageError
from common.machine import warn_of_slow_bfloat16
from common.paths import runs_dir, user_path
from common.program import guarded, start_log
from common.records.config_text import config_hash, format_config
from common.records.record_files import CONFIG, read_config
from common.storage.files import check_writable
from ieg.devices.start_tensorflow import prepare_tensorflow
from ieg.settings.flags import Flags, parse_flags

if TYPE_CHECKING:
    from ieg.settings.config import Config

PLACES = "--run_dir, --checkpoint_path or RUNS_DIR"
DEVICES = ("num_devices", "distribution_strategy", "tpu")


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 training failed, 2 a mistake in flags or data, 130 stopped by the user."""
    arguments = sys.argv[1:] if argv is None else argv
    flags = parse_flags(arguments)  # answers --help, before even numpy is loaded

    def work() -> int:
        from ieg.settings.config import resolve

        resolve(flags, flags.num_devices or 1)  # refuses what it can before TensorFlow is loaded
        return run(flags, ["python", "-m", "ieg.main", *arguments])

    start_log()
    return guarded(
        work,
        "interrupted; run the same command to resume from the last checkpoint",
        places=PLACES,
    )


def run(flags: Flags, command: list[str]) -> int:
    """Does what good flags ask for. Returns the exit code."""
    prepare_tensorflow()
    from ieg.datasets import load as datasets
    from ieg.devices.distribution import make_strategy, on_cpu
    from ieg.devices.failures import explained_failures
    from ieg.settings.config import EPOCH, resolve, without_effect

    strategy = make_strategy(flags)
    described = datasets.describe(flags)
    config = resolve(flags, strategy.num_replicas_in_sync, described.num_images)
    for name, choice in without_effect(flags).items():
        logging.warning("--%s has no effect with %s", name, choice)
    if flags.eval_freq == EPOCH:
        logging.warning(
            "--eval_freq=%d means once an epoch, as in the authors' program: every %d steps; leave it out, or give %d",
            *(EPOCH, config.eval_every, EPOCH + 1),
        )
    if flags.precision == "bfloat16" and on_cpu(flags):
        warn_of_slow_bfloat16("--precision=bfloat16")
    if flags.check:
        print(
            format_config(
                config.record()
                | {
                    "data_name": described.name,
                    "data_fingerprint": described.fingerprint,
                    "run_folder": str(run_folder(config)),
                }
            ),
            end="",
        )
        return 0
    if flags.mode != "evaluation":
        check_writable(run_folder(config), PLACES)
    from ieg import experiment  # its kernels need Numba, --check does not

    logging.info("%s", shlex.join(command))
    with explained_failures():
        if flags.mode == "evaluation":
            config = as_trained(flags, config, described.num_images)
            return experiment.evaluate(config, strategy, run_folder(config))
        return experiment.train(config, strategy, run_folder(config), command, described.fingerprint)


def as_trained(flags: Flags, config: Config, num_images: int | None) -> Config:
    """The run that is to be scored: `config`, or where that was not trained, the same command's on other devices.

    Raises: UsageError where there are several of the latter.
    """
    own = run_folder(config)
    if flags.run_dir or (own / CONFIG).exists():
        return trained_in(own, flags, num_images) or config
    folders = sorted(own.parent.glob(f"{glob.escape(own.name[:-8])}*"))
    found = {folder: run for folder in folders if (run := trained_in(folder, flags, num_images))}
    if len(found) > 1:
        raise UsageError(
            f"--mode=evaluation: this was trained on other devices in {', '.join(map(str, found))}: name the folder "
            "that is meant with --run_dir"
        )
    return next(iter(found.values()), config)


def trained_in(folder: Path, flags: Flags, num_images: int | None) -> Config | None:
    """What `flags` are on the devices that config.yml in `folder` names; None where it is not of that run."""
    from ieg.settings.config import resolve

    there = read_config(folder) if (folder / CONFIG).exists() else {}
    devices = {name: there[name] for name in DEVICES if type(there.get(name)) is type(getattr(flags, name))}
    replicas = there.get("resolved_replicas")
    if not isinstance(replicas, int) or replicas < 1:
        return None
    try:
        run = resolve(dataclasses.replace(flags, **devices), replicas, num_images)
    except UsageError:  # on that many devices these flags are none
        return None
    return run if config_hash(run.record()) == config_hash(there) else None


def run_folder(config: Config) -> Path:
    """--run_dir, or <checkpoint_path>/<dataset>_<network>_<method>_seed<seed>_<8 hex of the configuration>."""
    flags = config.flags
    if flags.run_dir:
        return user_path(flags.run_dir)
    # DEVIATION: the authors' methods share a folder and resume each other's checkpoints; here no two runs share one.
    base = user_path(flags.checkpoint_path) if flags.checkpoint_path else runs_dir() / "ieg"
    name = f"{flags.dataset}_{flags.network_name}_{flags.method}_seed{flags.seed}_{config_hash(config.record())[:8]}"
    return base / name


if __name__ == "__main__":
    sys.exit(main())
