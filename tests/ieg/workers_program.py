"""Started by test_workers.py: steps of each method on two replicas of one machine, or as one of two workers."""

import sys

import numpy as np
import tensorflow as tf

from ieg.devices.distribution import agree, make_strategy, this_worker
from ieg.settings.flags import parse_flags
from tests.ieg.replicas_program import SEEDS, SIZE, make_batch, steps

METHODS = ("supervised", "fsr")


def main(way, path):
    """One batch on each replica; `stop` makes a step join the outputs of all replicas, as several machines need it."""
    if way == "mirrored":
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    else:
        strategy = make_strategy(parse_flags(["--distribution_strategy=multi_worker"]))
    worker = this_worker(strategy)
    results = {"rows": np.array([worker.rows(SIZE).start, worker.rows(SIZE).stop])}
    if worker.several:
        results["agreed"] = np.array(agree(strategy, worker.first + 40))
    for method in METHODS:
        stack = SIZE if method == "fsr" else 3 * SIZE
        batches = [
            make_batch(seed, stack, place) | {"stop": np.full(SIZE, place == 2, np.float32)}
            for place, seed in enumerate((SEEDS[method], 2), 1)
        ]
        results |= {f"{method}|{name}": value for name, value in steps(strategy, method, batches).items()}
    np.savez(path, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
