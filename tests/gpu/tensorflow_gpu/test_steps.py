"""A step of each method on a device is the step of the CPU."""

import numpy as np
import pytest
import tensorflow as tf

from ieg.methods import METHODS
from tests.ieg.two_steps import SEEDS, SIZE, make_batch, steps

ON_GPU = [pytest.param("cuda", method, marks=pytest.mark.gpu) for method in METHODS]
ON_CPU = [pytest.param("cpu", method, marks=pytest.mark.slow) for method in METHODS if method != "supervised"]
EVERYWHERE = [("cpu", "supervised"), *ON_CPU, *ON_GPU]


@pytest.fixture(autouse=True, scope="module")
def _float32_is_float32():
    """Not the shorter TensorFloat-32 of recent GPUs."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    yield
    tf.config.experimental.enable_tensor_float_32_execution(before)


def names_of(device):
    """TensorFlow's names of the devices of that kind."""
    kind = "GPU" if device == "cuda" else "CPU"
    return [f"{kind}:{number}" for number in range(len(tf.config.list_physical_devices(kind)))]


def batch_of(method):
    return make_batch(SEEDS[method], SIZE if method == "fsr" else 3 * SIZE, 1)


@pytest.fixture(scope="module")
def on_the_cpu():
    """What two steps of a method leave on the CPU, once for each."""
    kept = {}

    def steps_of(method):
        if method not in kept:
            kept[method] = steps(tf.distribute.OneDeviceStrategy("CPU:0"), method, [batch_of(method)])
        return kept[method]

    return steps_of


def same(found, expected):
    for name, value in expected.items():
        if ":" in name:
            np.testing.assert_allclose(found[name], value, rtol=2e-3, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("device, method", EVERYWHERE)
def test_one_device(device, method, on_the_cpu):
    found = steps(tf.distribute.OneDeviceStrategy(names_of(device)[0]), method, [batch_of(method)])
    same(found, on_the_cpu(method))
    np.testing.assert_allclose(found["weights"], on_the_cpu(method)["weights"], rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("device, method", EVERYWHERE)
def test_all_devices_of_a_kind_with_the_same_examples_each(device, method, on_the_cpu):
    """Losses are divided by the replicas and gradients summed: the same share on each adds up to one whole step."""
    names = names_of(device)
    found = steps(tf.distribute.MirroredStrategy(names), method, [batch_of(method)] * len(names))
    assert found["equal"]
    same(found, on_the_cpu(method))
