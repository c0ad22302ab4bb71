"""Time of a training step of SLN in each arithmetic, and of the input path: `make bench-sln`.

The variants take turns in one process, so that whatever else the machine does hits them alike. A step is the trainer's
own: cropping, normalising, forward, backward, optimiser and tally. Data are random images: the time of a step does not
depend on what they show.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator

from benchmarks.device_profile import wait_for
from benchmarks.machine import described, keep, left_out, out_file
from common.flags import Parser
from common.machine import processor

# Seconds a step of the re-implementation takes: eager float32, WRN-28-2, batch 128, two CPU cores.
ORIGINAL = 1.44
VARIANTS: dict[str, dict] = {
    "float32": {"channels_last": False},
    "float32, channels last": {"channels_last": True},
    "bf16": {"amp": "bf16", "channels_last": False},
    "bf16, channels last": {"amp": "bf16", "channels_last": True},
    "float32, compiled": {"compile": True, "channels_last": False},
    "bf16, compiled": {"amp": "bf16", "compile": True, "channels_last": True},
    "float32, channels last, captured": {"channels_last": True, "capture_steps": True},
    "float32, compiled, captured": {"channels_last": True, "compile": True, "capture_steps": True},
    "bf16, channels last, captured": {"amp": "bf16", "channels_last": True, "capture_steps": True},
    "bf16, compiled, captured": {"amp": "bf16", "channels_last": True, "compile": True, "capture_steps": True},
    "bf16, compiled, CUDA graphs": {"amp": "bf16", "compile": True, "channels_last": True, "cuda_graphs": True},
}
EXAMPLES = 12800


def make_trainer(options: dict, network: str, batch_size: int, device: str):
    """A trainer of SLN on random images of CIFAR's size."""
    import numpy as np

    from common.pytorch.process_group import Group
    from re_sln.datasets.training_set import Data
    from re_sln.settings.config import resolve
    from re_sln.settings.flags import PROGRAMS, Flags
    from re_sln.training.distributed import pick_device
    from re_sln.training.experiment import build, settle

    group = Group(0, 1, pick_device(device, 0))
    if group.device.type == "cpu" and (options.get("cuda_graphs") or options.get("capture_steps")):
        raise RuntimeError("CUDA graphs need a GPU")
    flags = Flags(network=network, batch_size=batch_size, n_epochs=10**6, sigma=1.0, p=0.0, **options)
    settle(flags)
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (EXAMPLES, 32, 32, 3), dtype=np.uint8)
    data = Data(
        train=images,
        given=generator.integers(0, 10, EXAMPLES),
        is_noisy=np.zeros(EXAMPLES, bool),
        knows_noise=True,
        test_images={"test": images[:128]},
        tests={"test": np.zeros(128, np.int64)},
        class_names=tuple("0123456789"),
        mean=np.full(3, 0.5),
        std=np.full(3, 0.25),
        name="random",
        version="random",
        fingerprint="random",
    )
    return build(resolve(PROGRAMS["train_cifar"], flags), data, group)


def endless(trainer) -> Iterator[None]:
    """Training steps, epoch after epoch, each over when the device is done with it."""
    while True:
        for _ in trainer.epoch_steps():
            wait_for(trainer.group.device)
            yield
        trainer.epoch, trainer.batch = trainer.epoch + 1, 0


def measure(names: list[str], options: argparse.Namespace) -> tuple[dict[str, list[float]], dict[str, str]]:
    """({variant: seconds of its steps}, {variant: why it could not run})."""
    steps, failed = {}, {}
    for name in names:
        try:
            steps[name] = endless(make_trainer(VARIANTS[name], options.network, options.batch_size, options.device))
            for _ in range(options.warmup):
                next(steps[name])
        except Exception as error:  # a compiler that is missing fails one variant, not the others
            failed[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
            steps.pop(name, None)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(options.steps):
        for name, step in steps.items():
            start = time.perf_counter()
            next(step)
            seconds[name].append(time.perf_counter() - start)
        print(f"\rturn {turn + 1} of {options.steps}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return seconds, failed


def summarize(seconds: dict[str, list[float]], compared: bool) -> list[dict]:
    """One row a variant; ratios are medians of the turn-by-turn ratio to the first variant."""
    base = next(iter(seconds.values()))
    rows = []
    for name, own in seconds.items():
        low, middle, high = statistics.quantiles(own, n=4)
        ratios = sorted(a / b for a, b in zip(own, base, strict=True))
        quartiles = statistics.quantiles(ratios, n=4)
        row: dict = {
            "variant": name,
            "steps": len(own),
            "median_seconds": round(middle, 6),
            "interquartile_seconds": [round(low, 6), round(high, 6)],
            "ratio_to_float32": round(quartiles[1], 3),
            "interquartile_ratio": [round(quartiles[0], 3), round(quartiles[2], 3)],
        }
        if compared:
            row |= {"original_seconds": ORIGINAL, "share_of_original": round(middle / ORIGINAL, 3)}
        rows.append(row)
    return rows


def input_path(device: str, threads: int, seconds: float = 3.0) -> float:
    """Images a second that are cropped, mirrored and normalised on the device, by `threads` CPU threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        trainer = make_trainer({}, "wrn-10-1", 128, device)
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            order = trainer.order(trainer.epoch)
            batches = [order[place : place + 128] for place in range(0, len(order), 128)]
            for images in trainer.train_images.batches(batches, trainer.crops("crops", trainer.epoch)):
                count += len(images)
            wait_for(trainer.group.device)
        return count / (time.perf_counter() - start)
    finally:
        torch.set_num_threads(before)


def main(argv: list[str] | None = None) -> int:
    """Prints the measurements, and with --out keeps them as JSON."""
    parser = Parser(description="Time of a training step of SLN in each arithmetic.")
    parser.add_argument("--network", default="wrn-28-2")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--steps", type=int, default=20, help="timed steps of each variant (default 20)")
    parser.add_argument("--warmup", type=int, default=3, help="steps before, not counted (default 3)")
    parser.add_argument("--variants", help=f"separated by ;, of: {'; '.join(VARIANTS)}; the first is the base")
    parser.add_argument("--out", type=out_file, help="JSON file to write, e.g. benchmarks/results/sln.json")
    options = parser.parse_args(argv)
    if options.steps < 2 or options.warmup < 1:
        parser.error(f"--steps={options.steps} --warmup={options.warmup}: at least 2 timed steps after 1 of warm-up")
    names = options.variants.split(";") if options.variants else list(VARIANTS)
    if unknown := [name for name in names if name not in VARIANTS]:
        parser.error(f"--variants: {unknown[0]!r} is none of {'; '.join(VARIANTS)}")
    import torch

    on_cpu = options.device == "cpu" or not torch.cuda.is_available()
    skipped = {} if options.variants else left_out(VARIANTS, on_cpu)
    seconds, failed = measure([name for name in names if name not in skipped], options)
    compared = on_cpu and (options.network, options.batch_size) == ("wrn-28-2", 128)
    rows = summarize(seconds, compared)
    report = {
        **described("benchmarks.sln", argv),
        "torch": torch.__version__,
        "device": processor() if on_cpu else torch.cuda.get_device_name(),
        "network": options.network,
        "batch_size": options.batch_size,
        "steps": rows,
        "not_run": skipped | failed,
        "input_images_per_second": {
            "one thread": round(input_path(options.device, 1)),
            "all threads": round(input_path(options.device, torch.get_num_threads())),
        },
    }
    for row in rows:
        print(json.dumps(row))
    print(json.dumps({"not_run": report["not_run"], "input_images_per_second": report["input_images_per_second"]}))
    keep(report, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
