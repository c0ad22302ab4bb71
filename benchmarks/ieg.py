"""Time of a training step of each method, as a ratio to plain training in the same run: `make bench-ieg`.

Steps of all methods take turns, so that whatever else the machine does hits them alike. Data are random images: the
time of a step does not depend on what they show. Every method runs in a process of its own that steps on command,
because memory that one frees another would re-use.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator

from benchmarks.machine import described, keep, measures_bfloat16, out_file
from benchmarks.turns import answer, in_turns
from common.flags import Parser
from common.machine import gpus
from ieg.devices.start_tensorflow import prepare_tensorflow

VARIANTS = ("supervised", "fsr", "fsr-reuse", "l2r", "ieg")  # fsr-reuse: with --reuse_features
CAPACITY, QUEUE_BATCH = 2000, 200  # of fsr's queue, the defaults
# Seconds a step of the authors' programs takes: TensorFlow 2.15, resnet29, batch 100, two CPU cores.
ORIGINAL = {"supervised": 0.375, "fsr": 0.76, "fsr-reuse": 0.76, "l2r": 1.63, "ieg": 3.66}


def endless(variant: str, network: str, batch_size: int, precision: str) -> Iterator[None]:
    """Training steps on one random batch, each over when its outputs are there."""
    prepare_tensorflow()
    import numpy as np
    import tensorflow as tf

    from ieg.devices.distribution import distribute
    from ieg.methods import METHODS
    from ieg.methods.step import settings_of
    from ieg.networks.network import build_network
    from ieg.settings.flags import Flags
    from ieg.training.state import TrainState
    from ieg.training.train_step import TrainStep

    method, _, reuse = variant.partition("-")
    network_ = build_network(network, 10, dtype=tf.as_dtype(precision))
    strategy = tf.distribute.get_strategy()
    generator = np.random.default_rng(0)
    settings = settings_of(Flags(method=method, reuse_features=bool(reuse)))
    memory = full_memory(generator, batch_size) if method == "fsr" else None
    state = TrainState(network_, 0, memory)
    step = TrainStep(strategy, network_, METHODS[method], settings, state, momentum=0.9, ema_first=method != "ieg")
    batch = random_batch(generator, method, batch_size)
    while True:
        logs = step(distribute(strategy, batch), tf.constant(0.01), tf.constant(0.9))
        logs["weights"].numpy()
        yield


def full_memory(generator, batch_size: int):
    """The memory of fsr for 10,000 examples of ten classes, its queue full of random images."""
    import numpy as np

    from ieg.methods.fsr_memory import Memory, MemorySettings
    from ieg.settings.pseudo_loss_name import parse_pseudo_loss

    settings = MemorySettings(
        capacity=CAPACITY // 10,
        batch_size=QUEUE_BATCH // 10,
        beta=0.9,
        steps_per_epoch=10000 // batch_size,
        meta_start_epoch=0,
        moving_weight_gamma=0.0,
        meta_moving_end_epoch=0,
        global_batch=batch_size,
        seed=0,
        pseudo_loss=parse_pseudo_loss("all_1_0.1_2"),
    )
    values = np.linspace(-1, 1, 256, dtype=np.float32)
    memory = Memory(np.arange(10000) % 10, 10, (32, 32, 3), values, settings)
    memory.start(lambda chosen: generator.integers(0, 256, (len(chosen), 32, 32, 3), np.uint8))
    return memory


def random_batch(generator, method: str, size: int) -> dict:
    """What the batch source hands to a step, with random content."""
    import numpy as np

    def images():
        return generator.uniform(-1, 1, (size, 32, 32, 3)).astype(np.float32)

    def labels():
        return generator.integers(0, 10, size, dtype=np.int32)

    batch = {"images": images(), "labels": labels()}
    if method == "fsr":
        batch |= {
            "ids": generator.choice(10000, size, replace=False).astype(np.int32),
            "partner": generator.permutation(size).astype(np.int32),
            "uniform": generator.random(size, dtype=np.float32),
        }
    if method in ("l2r", "ieg"):
        batch |= {"probe_images": images(), "probe_labels": labels()}
    if method == "ieg":
        batch |= {
            "strong_images": images(),
            "probe_choice": generator.integers(0, size, size, dtype=np.int32),
            "partner": generator.permutation(3 * size).astype(np.int32),
            "uniform": generator.random(3 * size, dtype=np.float32),
        }
    return batch


def measure(variants: list[tuple[str, str]], network: str, batch_size: int, steps: int, warmup: int) -> dict:
    """{(variant, precision): [answers of `steps` steps]}, the variants taking turns."""
    command = [sys.executable, "-m", "benchmarks.ieg", "--network_name", network, "--batch_size", str(batch_size)]
    commands = {
        (name, precision): [*command, "--worker", name, "--precision", precision] for name, precision in variants
    }
    return in_turns(commands, steps, warmup)


def summarize(answers: dict, compared: bool) -> list[dict]:
    """One row a variant; ratios are medians of the turn-by-turn ratio to supervised and to L2R in float32."""
    rows = []
    seconds_of = {variant: [answer["seconds"] for answer in own] for variant, own in answers.items()}
    for (method, precision), own in answers.items():
        seconds = seconds_of[method, precision]
        low, middle, high = statistics.quantiles(seconds, n=4)
        row = {
            "method": method,
            "precision": precision,
            "steps": len(seconds),
            "median_seconds": round(middle, 6),
            "interquartile_seconds": [round(low, 6), round(high, 6)],
            **{f"ratio_to_{base}": ratio(seconds, seconds_of.get((base, "float32"))) for base in ("supervised", "l2r")},
            "peak_memory_bytes": own[-1]["peak_memory_bytes"],
        }
        if compared:
            row["original_seconds"] = ORIGINAL[method]
            row["speed_against_original"] = round(ORIGINAL[method] / middle, 3)
        rows.append(row)
    return rows


def ratio(seconds: list[float], base: list[float] | None) -> float | None:
    """Median of the turn-by-turn ratio; None where the base was not measured."""
    return round(statistics.median(a / b for a, b in zip(seconds, base, strict=True)), 3) if base else None


def augmentation(seconds: float, batch: int = 100, warmup: int = 20) -> dict[str, int]:
    """Images a second and core, by kind: batch / median time of a batch.

    The median, because a core that others use too stops single batches for many times their length.
    """
    import numpy as np

    from ieg.augmentation.strong import draw_strong, make_strong_copy
    from ieg.augmentation.weak import draw_weak, weak_augment

    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (batch, 32, 32, 3), np.uint8)
    rates = {}
    for kind in ("weak", "autoaug", "randaug"):  # the last two: weak augmentation and the strong copy made from it
        times: list[float] = []
        while len(times) <= warmup or sum(times[warmup:]) < seconds:  # the first batches compile
            begun = time.perf_counter()
            x = weak_augment(images, draw_weak(generator, batch))
            if kind != "weak":
                make_strong_copy(images, x, draw_strong(generator, batch, kind))
            times.append(time.perf_counter() - begun)
        rates[kind] = round(batch / statistics.median(times[warmup:]))
    return rates


def main(argv: list[str] | None = None) -> int:
    """Prints the measurements, and with --out keeps them as JSON."""
    parser = Parser(description="Time of a training step of each method, beside plain training.")
    parser.add_argument("--network_name", default="resnet29")
    parser.add_argument("--batch_size", type=int, default=100)
    parser.add_argument("--steps", type=int, default=20, help="timed steps of each variant (default 20)")
    parser.add_argument("--warmup", type=int, default=3, help="steps before, not counted (default 3)")
    parser.add_argument("--out", type=out_file, help="JSON file to write, e.g. benchmarks/results/ieg.json")
    parser.add_argument("--worker", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.worker:
        answer(endless(options.worker, options.network_name, options.batch_size, options.precision))
        return 0
    if options.steps < 2 or options.warmup < 1:
        parser.error(f"--steps={options.steps} --warmup={options.warmup}: at least 2 timed steps after 1 of warm-up")
    prepare_tensorflow()  # here too: the report names the settings that the workers inherit
    precisions = ("float32", "bfloat16") if measures_bfloat16(on_cpu=not gpus()) else ("float32",)
    variants = [(name, precision) for precision in precisions for name in VARIANTS]
    answers = measure(variants, options.network_name, options.batch_size, options.steps, options.warmup)
    rows = summarize(answers, (options.network_name, options.batch_size) == ("resnet29", 100))
    report = {
        **described("benchmarks.ieg", argv),
        "network": options.network_name,
        "batch_size": options.batch_size,
        "steps": rows,
        "augmentation_images_per_second_and_core": augmentation(3.0),
    }
    for row in rows:
        print(json.dumps(row))
    print(json.dumps(report["augmentation_images_per_second_and_core"]))
    keep(report, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
