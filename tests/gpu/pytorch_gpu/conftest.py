"""For the tests of re_sln and moco_nonsem on a GPU."""

import importlib.util
import signal

import pytest

# The other environment, that of ieg, has no torch.
collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["*"]


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """On a CPU: sums are taken in one order then."""
    import torch

    torch.set_num_threads(1)


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


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """train/ and val/ of three classes of small photographs."""
    from tests.moco_nonsem.small_runs import make_tree

    return make_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture
def stopped_in(monkeypatch):
    """The trainer is interrupted once, in a step."""

    def stop(trainer, number):
        original = trainer.update

        def update(self, *arguments):
            if self.step + 1 == number:
                monkeypatch.setattr(trainer, "update", original)
                signal.raise_signal(signal.SIGINT)
            original(self, *arguments)

        monkeypatch.setattr(trainer, "update", update)

    return stop
