"""CIFAR as it is, and what passes for it."""

import pytest

from common.errors import UsageError
from ieg.datasets.load import load
from ieg.settings.flags import Flags
from tests.data.standin import write_cifar


def test_a_part_of_cifar_is_refused(tmp_path):
    """Epochs, schedules and probes are counted by the size of the whole."""
    write_cifar(tmp_path, "cifar10", train=1000, test=20)
    flags = Flags(dataset="cifar10_uniform_0.4", dataset_dir=str(tmp_path), allow_unverified=True)
    with pytest.raises(UsageError, match="there are 1000 training images instead of 50,000"):
        load(flags)
