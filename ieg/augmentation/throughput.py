"""Measures augmentation: `python -m ieg.augmentation.throughput` prints images a second per core."""

from __future__ import annotations

import itertools
import json
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from common.flags import Parser

KINDS = ("weak", "autoaug", "randaug")  # the last two: weak augmentation and the strong copy made from it
WARM_UP = 20  # batches


def _step(kind: str, seed: int, batch: int, size: int) -> Callable[[], None]:
    """A function that augments one batch, draws included."""
    import numpy as np  # here and below: what --help need not wait for

    from ieg.augmentation.strong import draw_strong, make_strong_copy
    from ieg.augmentation.weak import draw_weak, weak_augment

    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (batch, size, size, 3), np.uint8)

    def step() -> None:
        x = weak_augment(images, draw_weak(generator, batch))
        if kind != "weak":
            make_strong_copy(images, x, draw_strong(generator, batch, kind))

    return step


def _batch_times(step: Callable[[], None], seconds: float) -> list[float]:
    """How long each batch took, for `seconds` seconds."""
    times = [time.perf_counter()]
    while times[-1] < times[0] + seconds:
        step()
        times.append(time.perf_counter())
    return [after - before for before, after in itertools.pairwise(times)]


def images_per_second(kind: str, seconds: float, threads: int = 1, batch: int = 100, size: int = 32) -> float:
    """Images a second of each of `threads` threads: batch / median time of a batch, after a warm-up that compiles.

    The median, because a core that others use too stops single batches for many times their length. Threads that
    wait for the interpreter lock wait in every batch, so that would show.
    """
    steps = [_step(kind, seed, batch, size) for seed in range(threads)]
    for _ in range(WARM_UP):
        steps[0]()
    with ThreadPoolExecutor(threads) as pool:
        times = list(pool.map(lambda step: _batch_times(step, seconds), steps))
    return batch / statistics.median(itertools.chain.from_iterable(times))


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a table, or JSON."""
    parser = Parser(description="Augmentation throughput: images a second per core.")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement (default 3)")
    parser.add_argument("--batch", type=int, default=100, help="images a batch (default 100)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(argv)
    rates = {
        kind: {n: round(images_per_second(kind, arguments.seconds, n, arguments.batch)) for n in (1, 2)}
        for kind in KINDS
    }
    if arguments.json:
        print(json.dumps({kind: {f"threads_{n}": rate for n, rate in by.items()} for kind, by in rates.items()}))
        return
    print(f"{'images/s per core':<18}{'1 thread':>10}{'2 threads':>11}")
    for kind, by in rates.items():
        print(f"{kind:<18}{by[1]:>10,}{by[2]:>11,}")


if __name__ == "__main__":
    main()
