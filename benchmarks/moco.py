"""Images a second of MoCo's input path, and time of its step with the share spent waiting for data: `make bench-moco`.

Variants take turns in one process, so that whatever else the machine does hits them alike. The input path goes from
JPEG files to normalised views (query, key, one patch view): torchvision's transforms on one Pillow image after the
other, as the authors', against ours. The step is the trainer's own. Without --images the files are made: pictures of
smooth noise, 341 × 256.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path

from benchmarks.device_profile import wait_for
from benchmarks.machine import described, keep, left_out, out_file
from common.flags import Parser
from common.machine import processor
from common.storage.data_folders import files_below

READERS = ("reference", "device")
STEPS: dict[str, dict] = {
    "reference loader, float32": {"loader": "reference", "channels_last": False},
    "float32": {"channels_last": False},
    "float32, channels last": {"channels_last": True},
    "bf16, channels last": {"amp": "bf16", "channels_last": True},
    "bf16, channels last, compiled": {"amp": "bf16", "channels_last": True, "compile": True},
}
MADE = 256


@contextlib.contextmanager
def photographs(folder: Path | None) -> Iterator[list[Path]]:
    """JPEG files below `folder`, or made ones that are gone afterwards."""
    if folder:
        yield sorted(files_below(folder, (".jpeg", ".jpg"), []))
        return
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as made:
        for number in range(MADE):
            coarse = Image.fromarray(rng.integers(0, 256, (86, 114, 3)).astype(np.uint8))
            coarse.resize((341, 256), Image.Resampling.BICUBIC).save(Path(made, f"{number:03}.JPEG"), quality=90)
        yield sorted(Path(made).iterdir())


def make_loader(paths: list[Path], kind: str, options: argparse.Namespace, workers: int, device):
    """A loader of views, for images of one class; it repeats the files where they make no batch."""
    import numpy as np

    from common.pytorch.process_group import Group
    from moco_nonsem.images.image_tree import ImageTree
    from moco_nonsem.images.workers import Reading
    from moco_nonsem.views.loader import ViewLoader
    from moco_nonsem.views.view_recipe import ViewRecipe

    paths = paths * -(-options.batch_size // len(paths))
    tree = ImageTree(tuple(paths), np.zeros(len(paths), np.int64), ("photographs",))
    low, high = min(16, options.size // 3), min(72, options.size // 2)
    recipe = ViewRecipe(size=options.size, robust="patch", patch_ratio=(low, high))
    reading = Reading(batch_size=options.batch_size, workers=workers, seed=0, group=Group(0, 1, device), kind=kind)
    return ViewLoader(tree, recipe, reading)


@contextlib.contextmanager
def on_cores(count: int) -> Iterator[None]:
    """This process, and those that it starts, use the first `count` of its cores."""
    import torch

    before, threads = os.sched_getaffinity(0), torch.get_num_threads()
    os.sched_setaffinity(0, set(sorted(before)[:count]))
    torch.set_num_threads(count)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
        torch.set_num_threads(threads)


def cpu_seconds() -> float:
    """Seconds of all cores that this process and those it waited for have used."""
    return sum(os.times()[:4])


def read(loader, epoch: int, batches: int, device) -> tuple[float, float]:
    """(wall seconds, core seconds) an image of the first batches of an epoch, start of the workers included."""
    count, start, used = 0, time.perf_counter(), cpu_seconds()
    first = max(0, loader.batches_per_epoch - batches)
    for views in loader.batches(epoch, first):
        count += len(views.query)
    wait_for(device)
    del views
    return (time.perf_counter() - start) / count, (cpu_seconds() - used) / count


def input_path(paths: list[Path], options: argparse.Namespace, device) -> list[dict]:
    """Images a second of each reader on each number of cores; ratios are medians over turns."""
    rows = []
    for cores in options.cores:
        with on_cores(cores):
            loaders = {kind: make_loader(paths, kind, options, cores, device) for kind in READERS}
            found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in READERS}
            for turn in range(options.turns + 1):
                for kind, loader in loaders.items():
                    seconds = read(loader, turn, options.batches, device)
                    if turn:  # the first one brings the files into memory
                        found[kind].append(seconds)
                print(f"\rinput, {cores} core(s), turn {turn} of {options.turns}", end="", file=sys.stderr, flush=True)
        rows += summarize_input(found, cores)
    print(file=sys.stderr)
    return rows


def summarize_input(found: dict[str, list[tuple[float, float]]], cores: int) -> list[dict]:
    """One row a reader, from its (wall, core) seconds an image of each turn."""
    rows = []
    for kind, own in found.items():
        ratios = [
            [a / b for a, b in zip(base, mine, strict=True)] for base, mine in zip(found["reference"], own, strict=True)
        ]
        rows.append(
            {
                "loader": kind,
                "cores": cores,
                "turns": len(own),
                "images_per_second": round(1 / statistics.median(wall for wall, _ in own), 1),
                "core_milliseconds_per_image": round(1e3 * statistics.median(core for _, core in own), 2),
                "ratio_to_reference": round(statistics.median(wall for wall, _ in ratios), 2),
                "ratio_to_reference_in_core_time": round(statistics.median(core for _, core in ratios), 2),
            }
        )
    return rows


def make_trainer(paths: list[Path], changes: dict, options: argparse.Namespace, device):
    """The trainer of pre-training with patch negatives."""
    import torch

    from common.pytorch.process_group import Group
    from moco_nonsem.pretraining.config import resolve
    from moco_nonsem.pretraining.trainer import Trainer
    from moco_nonsem.running.flags import PretrainFlags

    flags = PretrainFlags(
        arch=options.arch,
        batch_size=options.batch_size,
        moco_k=options.batch_size * 64,
        moco_t=0.2,
        mlp=True,
        aug_plus=True,
        image_size=options.size,
        robust="patch",
        patch_ratio=(min(16, options.size // 3), min(72, options.size // 2)),
        alpha=2.0,
        bn_splits=2,
        epochs=10**6,
        **changes,
    )
    loader = make_loader(paths, flags.loader, options, options.workers, device)
    torch.backends.cudnn.benchmark = True  # as the program does
    return Trainer(resolve(flags), loader, Group(0, 1, device))


def endless(trainer) -> Generator[None, None, None]:
    """Training steps, epoch after epoch, each over when the device is done with it."""
    while True:
        for _ in trainer.epoch_steps():
            wait_for(trainer.group.device)
            yield
        trainer.end_epoch()


def steps(paths: list[Path], options: argparse.Namespace, device) -> tuple[list[dict], dict[str, str]]:
    """(a row each variant, {variant: why it could not run})."""
    rows, failed = [], {}
    for name in options.variants:
        try:
            trainer = make_trainer(paths, STEPS[name], options, device)
            step = endless(trainer)
            for _ in range(options.warmup):
                next(step)
            waited, seconds = trainer.waiting.seconds, []
            for _ in range(options.steps):
                start = time.perf_counter()
                next(step)
                seconds.append(time.perf_counter() - start)
            step.close()
        except Exception as error:  # a compiler that is missing fails one variant, not the others
            failed[name] = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
            continue
        middle = statistics.median(seconds)
        rows.append(
            {
                "variant": name,
                "steps": len(seconds),
                "median_seconds": round(middle, 6),
                "images_per_second": round(options.batch_size * len(seconds) / sum(seconds), 1),
                "share_waiting_for_data": round((trainer.waiting.seconds - waited) / sum(seconds), 3),
            }
        )
        print(json.dumps(rows[-1]), file=sys.stderr)
    return rows, failed


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The flags; exits with 2 for those that cannot be."""
    parser = Parser(description="Speed of MoCo's input path and of its step.")
    parser.add_argument("--images", type=Path, help="folder of JPEG files, at any depth; left out: they are made")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--size", type=int, help="side of a view; left out: 224, and for the step on a CPU 64")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--cores", type=int, nargs="*", default=[1, 2], help="input path: on so many cores [1 2]")
    parser.add_argument("--turns", type=int, default=5, help="input path: timed turns of each loader [5]")
    parser.add_argument("--batches", type=int, default=8, help="input path: batches a turn [8]")
    parser.add_argument("--arch", help="left out: resnet50 on a GPU, resnet18 on a CPU")
    parser.add_argument("--workers", type=int, default=2, help="step: reading processes [2]")
    parser.add_argument("--steps", type=int, default=20, help="timed steps of each variant, 0: none [20]")
    parser.add_argument("--warmup", type=int, default=3, help="steps before, not counted [3]")
    parser.add_argument("--variants", help=f"of the step, separated by ;, of: {'; '.join(STEPS)}")
    parser.add_argument("--out", type=out_file, help="JSON file to write, e.g. benchmarks/results/moco.json")
    options = parser.parse_args(argv)
    for name, least in (("batch_size", 2), ("turns", 1), ("batches", 1), ("steps", 0), ("warmup", 1), ("workers", 0)):
        if getattr(options, name) < least:
            parser.error(f"--{name}={getattr(options, name)}: at least {least}")
    if options.images and not os.path.isdir(options.images):
        parser.error(f"--images={options.images}: there is no such folder")
    if too_many := [cores for cores in options.cores if not 1 <= cores <= len(os.sched_getaffinity(0))]:
        parser.error(f"--cores={too_many[0]}: 1 to {len(os.sched_getaffinity(0))}, the cores of this process")
    options.variants = options.variants.split(";") if options.variants else []
    if unknown := [name for name in options.variants if name not in STEPS]:
        parser.error(f"--variants: {unknown[0]!r} is none of {'; '.join(STEPS)}")
    return options


def main(argv: list[str] | None = None) -> int:
    """Prints the measurements, and with --out keeps them as JSON."""
    options = parse(argv)
    import torch

    on_cpu = options.device == "cpu" or (options.device == "auto" and not torch.cuda.is_available())
    device = torch.device("cpu" if on_cpu else "cuda")
    options.arch = options.arch or ("resnet18" if on_cpu else "resnet50")
    given, options.size = options.size, options.size or 224
    with photographs(options.images) as paths:
        if not paths:
            print(f"error: {options.images} holds no .JPEG or .jpg file; name another folder", file=sys.stderr)
            return 2
        read_rows = input_path(paths, options, device) if options.cores else []
        options.size = given or (64 if on_cpu else 224)
        skipped = left_out(STEPS, on_cpu) if options.steps and not options.variants else {}
        options.variants = options.variants or [name for name in STEPS if name not in skipped]
        step_rows, failed = steps(paths, options, device) if options.steps else ([], {})
    report = {
        **described("benchmarks.moco", argv),
        "torch": torch.__version__,
        "device": processor() if on_cpu else torch.cuda.get_device_name(),
        "images": f"{len(paths)} {'photographs' if options.images else 'made pictures'}",
        "batch_size": options.batch_size,
        "input_size": given or 224,
        "input": read_rows,
        "network": options.arch,
        "step_size": options.size,
        "workers": options.workers,
        "steps": step_rows,
        "not_run": skipped | failed,
    }
    for row in [*read_rows, *step_rows]:
        print(json.dumps(row))
    print(json.dumps({"not_run": report["not_run"]}))
    keep(report, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
