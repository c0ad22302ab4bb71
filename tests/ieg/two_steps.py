"""Two steps of a method on images of 8×8 pixels under any strategy, for several tests."""

import numpy as np
import tensorflow as tf

from ieg.datasets.test_set import ImageArray
from ieg.devices.distribution import distribute
from ieg.methods import METHODS
from ieg.methods.fsr_memory import Memory, MemorySettings
from ieg.networks.network import build_network
from ieg.settings.pseudo_loss_name import PseudoLoss
from ieg.training.evaluation import Evaluator
from ieg.training.state import TrainState
from ieg.training.train_step import TrainStep
from tests.ieg.step_settings import step_settings

SIZE = 4
# Rounding differs between one device and two, and where the input of a ReLU is nearer to 0 than that, its gradient is 0
# on one and 1 on the other: 4 images are too few for this to drown. So every method has a batch without such an input.
SEEDS = {"supervised": 31, "l2r": 31, "ieg": 42, "fsr": 29}
TESTS = ImageArray(np.arange(7 * 192, dtype=np.uint8).reshape(7, 8, 8, 3), np.arange(7))


def make_batch(seed, stack, place):
    """The examples number SIZE × place and on."""
    random = np.random.default_rng(seed)

    def images():
        return random.uniform(-1, 1, (SIZE, 8, 8, 3)).astype(np.float32)

    def labels():
        return random.integers(0, 10, SIZE, dtype=np.int32)

    return {
        "images": images(), "strong_images": images(), "probe_images": images(), "labels": labels(),
        "probe_labels": labels(), "probe_choice": random.integers(0, SIZE, SIZE, dtype=np.int32),
        "partner": random.permutation(stack).astype(np.int32), "uniform": random.random(stack, dtype=np.float32),
        "ids": np.arange(SIZE, dtype=np.int32) + SIZE * place,
    }  # fmt: skip


def fsr_parts():
    """Settings and memory of fsr with everything switched on from the first step."""
    pseudo = PseudoLoss("all", 1.0, 0.1, 2.0)
    settings = MemorySettings(
        capacity=3, batch_size=1, beta=0.9, steps_per_epoch=10, meta_start_epoch=0, moving_weight_gamma=0.5,
        meta_moving_end_epoch=0, global_batch=SIZE, seed=5, pseudo_loss=pseudo,
    )  # fmt: skip
    memory = Memory(np.arange(40) % 10, 10, (8, 8, 3), np.linspace(-1, 1, 256, dtype=np.float32), settings)
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), np.uint8)
    memory.start(lambda chosen: images[: len(chosen)])
    return step_settings(meta_partial_level=0, moving_weight_gamma=0.5, pseudo_loss=pseudo), memory


def runs(strategy, method, several):
    """For each of `several` lists of batches: the state after two steps from the same weights on these batches joined
    along the first axis, and the logs of the last. One step is traced for all of them."""
    network = build_network("wrn10-1", 10, image_size=8)
    with strategy.scope():
        settings, memory = fsr_parts() if method == "fsr" else (step_settings(), None)
        state = TrainState(network, 0, memory)
    step = TrainStep(strategy, network, METHODS[method], settings, state, momentum=0.9, ema_first=method != "ieg")
    evaluator, start, outputs = Evaluator(strategy, network, TESTS, 2), state.arrays(), []
    for batches in several:
        state.restore(start)
        batch = {name: np.concatenate([part[name] for part in batches]) for name in batches[0]}
        for rate in (0.1, 0.05):
            logs = step(distribute(strategy, batch), tf.constant(rate), tf.constant(0.5))
        found = {"accuracy": evaluator.accuracy(state)}
        for name in ("weights", "loss/net"):
            found[name] = np.stack([value.numpy() for value in strategy.experimental_local_results(logs[name])])
        copies = [strategy.experimental_local_results(variable) for variable in state.variables().values()]
        found["equal"] = np.all([np.array_equal(copy, first) for first, *others in copies for copy in others])
        outputs.append(state.arrays() | found)
    return outputs


def steps(strategy, method, batches):
    """State after two steps on `batches` joined along the first axis, and the logs of the last."""
    return runs(strategy, method, [batches])[0]
