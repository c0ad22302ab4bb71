import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.download import Patience
from tests.data.helpers import ROOT
from tests.data.server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def patience() -> Patience:
    return Patience(attempts=3, read_timeout=0.3, sleep=lambda seconds: None)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the development data are not in {folder}; name their place in $SHARED_DATA")
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The data folder of a test; it does not exist yet."""
    return tmp_path / "cache"
