"""For the tests of re_sln and moco_nonsem on a GPU."""

import pytest

from tests.with_torch import _one_thread, collect_ignore_glob, tree  # noqa: F401


@pytest.fixture(autouse=True)
def _places(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))


@pytest.fixture(autouse=True)
def _settings_of_torch():
    """Programs set these for their process, which here goes on to other tests."""
    import torch

    before = torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled()
    yield
    torch.backends.cudnn.benchmark = before[0]
    torch.use_deterministic_algorithms(before[1])
