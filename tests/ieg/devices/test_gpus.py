"""What a run says of GPUs before its first step."""

import pytest

from ieg.devices import distribution
from ieg.devices.distribution import start_on_gpus

BUILT = {"is_cuda_build": True, "cuda_compute_capabilities": ["sm_50", "sm_75", "compute_80"]}


@pytest.mark.parametrize(
    "capabilities, said",
    [([(8, 6)], ""), ([(7, 5), (8, 9)], ""), ([(9, 0)], "first steps"), ([(8, 0), (12, 0)], "~/.nv")],
)
def test_kernels_for_a_gpu_newer_than_tensorflow(capabilities, said):
    found = start_on_gpus([{"device_name": "a GPU", "compute_capability": value} for value in capabilities], BUILT)
    assert (said in found) if said else found == ""


@pytest.mark.parametrize(
    "built, there", [(BUILT, "TensorFlow finds none: computing"), ({}, "was built without them: computing")]
)
def test_a_gpu_that_tensorflow_does_not_find(built, there, monkeypatch):
    monkeypatch.setattr(distribution, "visible_gpus", lambda: ["0"])
    assert there in start_on_gpus([], built)
    monkeypatch.setattr(distribution, "visible_gpus", list)
    assert start_on_gpus([], built) == ""
