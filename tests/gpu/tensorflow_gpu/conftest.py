"""For the tests of ieg on a GPU: TensorFlow is loaded as its programs load it, and shares the GPU with them."""

import importlib.util
import os

import pytest

from ieg.devices.start_tensorflow import prepare_tensorflow

# The other environment has no TensorFlow.
collect_ignore_glob = [] if importlib.util.find_spec("tensorflow") else ["*"]

prepare_tensorflow()
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


@pytest.fixture(autouse=True, scope="session")
def _memory_grows():
    """Before the first test uses a GPU: whichever program asks for it after that is too late."""
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
