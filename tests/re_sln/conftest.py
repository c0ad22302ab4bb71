"""For every test of re_sln."""

import importlib.util

import pytest

# The other environment, that of ieg, has no torch.
collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["*"]


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Sums are taken in one order then, here and in the processes that tests start."""
    import torch

    torch.set_num_threads(1)
