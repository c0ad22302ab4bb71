"""For every test of `ieg/`: TensorFlow is loaded as its programs load it."""

import pytest

from ieg.devices.start_tensorflow import prepare_tensorflow
from tests.data.standin import write_cifar

prepare_tensorflow()


@pytest.fixture(scope="session")
def standins(tmp_path_factory):
    """CIFAR-10 and CIFAR-100 of the official layout, as many training images as there, made up here."""
    folder = tmp_path_factory.mktemp("standins")
    for name in ("cifar10", "cifar100"):
        write_cifar(folder, name, train=50000, test=200)
    return folder
