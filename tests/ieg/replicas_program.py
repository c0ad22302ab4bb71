"""Started by test_replicas.py: steps of a method on one and on two logical CPU devices, results as a .npz file."""

import sys

import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from ieg.methods import METHODS  # noqa: E402
from ieg.networks.layers import Forward  # noqa: E402
from ieg.networks.network import build_network  # noqa: E402
from ieg.training.evaluation import Evaluator  # noqa: E402
from ieg.training.state import TrainState  # noqa: E402
from tests.ieg.two_steps import SEEDS, SIZE, TESTS, make_batch, runs, steps  # noqa: E402


def distance_from_kinks(method, batch):
    """The least |input of a ReLU| of two steps."""
    relu, found = Forward.relu, []

    def recorded(self, x):
        if len(x) > 1:  # a network is described with one image of zeros
            found.append(np.abs(x.numpy()).min())
        return relu(self, x)

    Forward.relu = recorded
    tf.config.run_functions_eagerly(True)
    steps(tf.distribute.get_strategy(), method, [batch])
    tf.config.run_functions_eagerly(False)
    Forward.relu = relu
    return min(found)


def scores_of_two_classes(strategy):
    """Accuracy of weights that take every image for class 9, and of an average that takes it for class 3."""
    network = build_network("wrn10-1", 10, image_size=8)
    with strategy.scope():
        state = TrainState(network, 0)
    for weights, label in ((state.parameters, 9), (state.ema, 3)):
        weights["classifier/bias"].assign(1e6 * tf.one_hot(label, 10))
    evaluator = Evaluator(strategy, network, TESTS, 2)
    return [evaluator.accuracy(state), evaluator.accuracy(state, averaged=True)]


def main(path):
    one, two = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    results = {"supervised|averaged|accuracies": scores_of_two_classes(two)}
    for method in METHODS:
        stack = SIZE if method == "fsr" else 3 * SIZE
        first, second = make_batch(SEEDS[method], stack, 1), make_batch(2, stack, 2)
        singles, pairs = [[first], [second]], [[first, first], [first, second]]
        alone = runs(one, method, [*singles, [first, second]] if method == "supervised" else singles)
        found = dict(zip(("single", "other", "joined"), alone, strict=False))
        found |= dict(zip(("twice", "apart"), runs(two, method, pairs), strict=True))
        found["kinks"] = {"distance": distance_from_kinks(method, first)}
        results |= {f"{method}|{run}|{name}": value for run, named in found.items() for name, value in named.items()}
    np.savez(path, **results)


if __name__ == "__main__":
    main(sys.argv[1])
