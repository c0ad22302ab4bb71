"""--weights that users bring, and models of runs: one sentence for what is not finite, and for objects. Case 11, 12."""

import argparse

import numpy as np
import pytest
import torch

from common.errors import UsageError, WorkFailed
from common.pytorch.process_group import Group, run_in
from re_sln.training.networks import pretrained_resnet50


@pytest.fixture(scope="module")
def weights():
    return pretrained_resnet50("none", 14, 0).state_dict()


def test_numbers_of_numpy_beside_the_weights_do_not_stop_the_reading(weights, tmp_path):
    torch.save(weights | {"epoch": np.int64(3)}, tmp_path / "a.pth")
    with pytest.raises(
        UsageError, match="holds no ResNet-50 of torchvision"
    ):  # one key too many, and no pickle's words
        pretrained_resnet50(str(tmp_path / "a.pth"), 14, 0)


def test_weights_that_are_not_finite_are_found_when_loading(weights, tmp_path):
    torch.save(weights | {"conv1.weight": weights["conv1.weight"] * float("nan")}, tmp_path / "a.pth")
    with pytest.raises(UsageError, match=r"--weights=.*: 1 of its \d+ tensors are not finite, such as conv1\.weight;"):
        pretrained_resnet50(str(tmp_path / "a.pth"), 14, 0)


def test_an_object_is_named(weights, tmp_path):
    torch.save({"model": weights, "args": argparse.Namespace(a=1)}, tmp_path / "a.pth")
    with pytest.raises(UsageError, match=r"--weights=.*argparse\.Namespace, beside its tensors.*save a plain copy"):
        pretrained_resnet50(str(tmp_path / "a.pth"), 14, 0)


CUDA = (
    "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79.10 GiB, 1.2 GiB is free.\n"
    "Of the allocated memory 70 GiB is allocated by PyTorch. If reserved but unallocated memory is large try setting …"
)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (
            lambda _: torch.empty(10**15),
            "this machine has not memory enough (you tried to allocate 4000000000000000 bytes)",
        ),
        (lambda _: (_ for _ in ()).throw(torch.OutOfMemoryError(CUDA)), "(Tried to allocate 2.50 GiB)"),
    ],
    ids=["CPU", "GPU"],
)
def test_too_little_memory_is_one_sentence(work, said):
    with pytest.raises(WorkFailed) as raised:
        run_in(Group(0, 1, torch.device("cpu")), work, "gloo")
    line = str(raised.value)
    assert said in line and "give a smaller --batch_size" in line and "\n" not in line and len(line) < 300
