"""Every distinct command of cells.yaml is taken by its program's own --check, on data made up here."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import pytest

from reproduce.cells import load_tables
from tests.data.standin import write_cifar

pytestmark = pytest.mark.slow
NEEDS = {"ieg": "tensorflow", "re_sln": "torch"}
ABSENT = ("webvision", "longtail-noise")  # need files whose form their own tests make up


def commands(sub_project: str) -> list[list[str]]:
    """One command for each cell and sample, its own words only."""
    found = {}
    for table in load_tables().values():
        for cell in table.cells:
            for sample in cell.samples if cell.sub_project == sub_project else ():
                if not any(word in table.name for word in ABSENT):
                    words = cell.command(cell.seeds[0], Path("FOLDER"), sample)
                    found[" ".join(words)] = words
    return list(found.values())


def short(words: list[str]) -> str:
    return " ".join(word for word in words[2:] if not word.startswith(("--checkpoint_path", "--run_dir", "--seed")))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name in ("cifar10", "cifar100"):
        write_cifar(folder, name, train=50000, test=10000)
    return folder


@pytest.mark.parametrize(
    ("project", "words"),
    [pytest.param(project, words, id=short(words)) for project in NEEDS for words in commands(project)],
)
def test_its_program_takes_it(
    project: str, words: list[str], data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec(NEEDS[project]) is None:
        pytest.skip(f"{project} needs {NEEDS[project]}, which is in the other environment")
    if "animal-10n" in " ".join(words):
        from tests.re_sln.stand_ins import write_animal10n

        write_animal10n(tmp_path)
        data_dir = tmp_path
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    program = importlib.import_module(words[2])
    own = [word.replace("FOLDER", str(tmp_path)) for word in words[3:]]
    assert program.main([*own, "--allow_unverified", "--check"]) == 0
