"""docs/extending.md, followed step by step in a copy of the repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "extending.md"
COPIED = ("common", "data", "ieg", "reproduce", "pyproject.toml")
FILE_NAME = re.compile(r"# ([\w./]+\.(?:py|yaml))\n")


def blocks() -> list[tuple[str, str]]:
    """Language and text of every code block, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def write_file(copy: Path, text: str) -> None:
    """A block that begins with the name of a new file."""
    named = FILE_NAME.match(text)
    assert named, text
    path = copy / named[1]
    assert not path.exists(), path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text[named.end() :], encoding="utf-8")


def change_file(copy: Path, text: str) -> None:
    """A diff without line numbers: what it removes and keeps is there exactly once."""
    head, _, body = text.partition("\n")
    path = copy / head.removeprefix("--- ")
    content = path.read_text(encoding="utf-8")
    for hunk in body.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        assert content.count(old) == 1, (path, old)
        content = content.replace(old, new)
    path.write_text(content, encoding="utf-8")


def run_commands(copy: Path, text: str) -> str:
    """What the commands print; each must succeed."""
    environment = {name: value for name, value in os.environ.items() if name not in ("DATA_DIR", "RUNS_DIR")}
    done = subprocess.run(
        ["sh", "-ec", text.replace("python -", f"{sys.executable} -")],
        cwd=copy,
        env=environment | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


STEPS = {"python": write_file, "yaml": write_file, "diff": change_file, "sh": run_commands}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The repository after all steps of the page, and what its commands printed."""
    folder = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        if (ROOT / name).is_file():
            shutil.copy2(ROOT / name, folder)
        else:
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("cache"))
    printed = [STEPS[language](folder, text) or "" for language, text in blocks()]
    return folder, "\n".join(printed)


def test_the_commands_train_the_new_method_on_the_new_data_with_the_new_noise(copy: tuple[Path, str]) -> None:
    (found,) = copy[0].glob("runs/ieg/mine-gce-pair/seed_0/*/result.json")
    result = json.loads(found.read_text(encoding="utf-8"))
    assert result["finished"]
    assert result["dataset"]["name"] == "my-images"
    assert 0.3 < result["notes"]["noise_rate"] < 0.5
    assert 'data_name: "my-images_imbal_0.1"' in copy[1]


def test_the_cell_is_in_its_table(copy: tuple[Path, str]) -> None:
    (table,) = copy[0].glob("runs/tables/*.md")
    assert re.search(r"\| GCE +\| \d+\.\d \(n = 1\)", table.read_text(encoding="utf-8"))


def test_a_folder_of_images_gives_arrays(copy: tuple[Path, str], tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\nfrom PIL import Image\nfrom data.my_images import read_folder\n"
        f"root = Path({str(tmp_path)!r})\n"
        "for name, grey in (('b', 200), ('a', 100)):\n"
        "    (root / name).mkdir()\n"
        "    Image.new('RGB', (4, 4), (grey,) * 3).save(root / name / 'one.png')\n"
        "images, labels = read_folder(root, 2)\n"
        "print(images.shape, images[:, 0, 0, 0].tolist(), labels.tolist(), images.dtype)\n"
    )
    assert run_commands(copy[0], f"python - <<'END'\n{script}END\n") == "(2, 2, 2, 3) [100, 200] [0, 1] uint8\n"


@pytest.mark.parametrize("check", [("check",), ("format", "--check")])
def test_the_code_keeps_to_the_rules_of_lint(copy: tuple[Path, str], check: tuple[str, ...]) -> None:
    names = [found[1] for language, text in blocks() if language == "python" and (found := FILE_NAME.match(text))]
    assert len(names) == 4
    command = [sys.executable, "-m", "ruff", *check, "--no-cache", *names]
    done = subprocess.run(command, cwd=copy[0], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)\s#]+)", PAGE.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (PAGE.parent / link).exists()] == []
