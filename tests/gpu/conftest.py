"""Each test body runs on a CPU in the ordinary suite, where that means something, and on a GPU for `make check-gpu`."""

import json
import os

import pytest

ON_GPU = pytest.param("cuda", marks=pytest.mark.gpu, id="gpu")


@pytest.fixture(params=["cpu", ON_GPU])
def device(request):
    """The device under test."""
    return request.param


@pytest.fixture
def measured(request):
    """measured(what, device, seconds=…, …): a line for the table of `make check-gpu`, which names the file."""

    def keep(what, device, **values):
        row = {"test": request.node.name, "what": what, "device": device} | values
        if "GPU_MEASURED" in os.environ:
            with open(os.environ["GPU_MEASURED"], "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        return row

    return keep
