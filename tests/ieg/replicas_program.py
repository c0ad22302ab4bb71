"""Started by test_replicas.py: one step of a method on one and on two logical CPU devices, results as a .npz file."""

import sys

import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from ieg.evaluation import Evaluator, distribute  # noqa: E402
from ieg.methods import METHODS  # noqa: E402
from ieg.methods.step import Settings  # noqa: E402
from ieg.networks import build_network  # noqa: E402
from ieg.state import TrainState  # noqa: E402
from ieg.train_step import TrainStep  # noqa: E402

SIZE = 4


def make_batch(seed, stack=3 * SIZE):
    random = np.random.default_rng(seed)

    def images():
        return random.uniform(-1, 1, (SIZE, 8, 8, 3)).astype(np.float32)

    def labels():
        return random.integers(0, 10, SIZE, dtype=np.int32)

    return {
        "images": images(), "strong_images": images(), "probe_images": images(), "labels": labels(),
        "probe_labels": labels(), "probe_choice": random.integers(0, SIZE, SIZE, dtype=np.int32),
        "partner": random.permutation(stack).astype(np.int32), "uniform": random.random(stack, dtype=np.float32),
    }  # fmt: skip


def steps(strategy, method, batches):
    """State after two steps on `batches` joined along the first axis, and the logs of the last."""
    network = build_network("wrn10-1", 10, image_size=8)
    with strategy.scope():
        state = TrainState(network, 0)
    step = TrainStep(strategy, network, METHODS[method], Settings(), state, momentum=0.9, ema_first=method != "ieg")
    batch = {name: np.concatenate([part[name] for part in batches]) for name in batches[0]}
    for rate in (0.1, 0.05):
        logs = step(distribute(strategy, batch), tf.constant(rate), tf.constant(0.5))
    evaluator = Evaluator(strategy, network, np.arange(7 * 192, dtype=np.uint8).reshape(7, 8, 8, 3), np.arange(7), 2)
    outputs = {"accuracy": evaluator.accuracy(state.parameters, state.moving)}
    for name in ("weights", "loss/net"):
        outputs[name] = np.stack([value.numpy() for value in strategy.experimental_local_results(logs[name])])
    return state.arrays() | outputs


def main(path):
    one, two = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    results = {}
    for method in METHODS:
        first, second = make_batch(1), make_batch(2)
        runs = {
            "single": steps(one, method, [first]),
            "twice": steps(two, method, [first, first]),
            "apart": steps(two, method, [first, second]),
            "other": steps(one, method, [second]),
        }
        if method == "supervised":
            runs["joined"] = steps(one, method, [first, second])
        results |= {f"{method}|{run}|{name}": value for run, found in runs.items() for name, value in found.items()}
    np.savez(path, **results)


if __name__ == "__main__":
    main(sys.argv[1])
