"""What every test with torch needs, for the conftest.py of each of its folders."""

import importlib.util

import pytest

# The other environment, that of ieg, has no torch.
collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["*"]


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Sums are taken in one order then, here and in the processes that tests start."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """train/ and val/ of three classes of small photographs that differ in colour and grain."""
    from tests.moco_nonsem.small_runs import make_tree

    return make_tree(tmp_path_factory.mktemp("tree"))
