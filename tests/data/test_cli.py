import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.cli import main
from tests.data.helpers import ROOT, members_of, published, run_cli, start_cli, tar_bytes, write_registry
from tests.data.server import Server
from tests.data.standin import write_cifar

BIG = np.random.default_rng(5).integers(0, 256, 2_000_000, dtype=np.uint8).tobytes()
TAR = tar_bytes({"box/big": BIG}, "w")


@pytest.fixture
def options(server: Server, tmp_path: Path, place: Path) -> tuple[str, ...]:
    archive: dict[str, Any] = {
        "file": "box.tar",
        "kind": "tar",
        "root": "box",
        "addresses": [server.add("/box.tar", TAR)],
    }
    archive |= {"members": members_of({"big": BIG}), **published(TAR)}
    folder = write_registry(
        tmp_path / "registry",
        {"name": "box", "archive": [archive]},
        {"name": "paper", "how": "by-hand", "note": "Ask the authors.", "citation": "A. Author. A paper. 2020."},
    )
    return "--registry", str(folder), "--data-dir", str(place)


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.01)


def part_size(place: Path) -> int:
    part = place / ".work" / "box" / "box.tar.part"
    return part.stat().st_size if part.exists() else 0


def test_fetch_list_verify(options, place):
    done = run_cli("fetch", "box", *options)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^box +2 MB +unknown +here, verified \d{4}-", run_cli("list", *options).stdout, re.MULTILINE)
    done = run_cli("verify", *options)
    assert (done.returncode, done.stdout.splitlines()) == (0, [f"box: {place}/box/big: ok", "all files match"])
    (place / "box" / "big").write_bytes(BIG[:-1])
    done = run_cli("verify", "box", *options)
    assert done.returncode == 1
    assert "big: differs" in done.stdout and done.stdout.endswith("1 files do not match\n")


def test_import(options, place, tmp_path, server):
    (tmp_path / "mine").write_bytes(TAR)
    done = run_cli("import", tmp_path / "mine", *options)
    assert done.returncode == 0, done.stderr
    assert (place / "box" / "big").read_bytes() == BIG
    assert server.log == []


def test_list_in_detail(options):
    text = run_cli("list", "box", "paper", *options).stdout
    assert "cite     A. Author. A paper. 2020." in text
    assert published(TAR)["sha256"] in text
    assert re.search(r"md5 +unknown", text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch", "cifar11"], "'cifar11' is not a data set of the registry; choose from: box, paper"),
        (["list", "cifar11"], "'cifar11' is not a data set"),
        (["verify"], "holds no data set: fetch one first"),
        (["fetch", "paper"], "paper is obtained by hand, see http://x.test. Ask the authors. Its place: "),
        (["import", "/nowhere"], "/nowhere is not a file"),
        (["import", __file__, __file__, "--as", "box"], "--as box names one file, but 2 are given"),
        (["import", __file__, "--as", "paper"], "--as paper names no file of the registry"),
    ],
)
def test_wrong_requests(options, arguments, message):
    done = run_cli(*arguments, *options)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and message in done.stderr and "Traceback" not in done.stderr


def test_options_that_do_not_exist():
    assert run_cli("fetch").returncode == 2
    assert run_cli("--wrong").returncode == 2
    assert run_cli("list", "--registry", "/nowhere").returncode == 2


def test_data_dir_from_the_environment_and_both_spellings(options, tmp_path):
    for arguments, environment in [
        ([f"--data_dir={tmp_path / 'one'}"], {}),
        ([f"--data-dir={tmp_path / 'two'}"], {}),
        ([], {"DATA_DIR": str(tmp_path / "three")}),
    ]:
        assert run_cli("fetch", "box", *options[:2], *arguments, **environment).returncode == 0
    assert {path.name for path in tmp_path.iterdir()} >= {"one", "two", "three"}


def test_a_place_that_cannot_be_written(options, tmp_path):
    (tmp_path / "file").write_text("")
    done = run_cli("fetch", "box", *options[:2], "--data_dir", tmp_path / "file" / "x")
    assert done.returncode == 1
    assert "Not a directory: check the path" in done.stderr and "Traceback" not in done.stderr


def test_works_from_any_folder_without_side_effects(tmp_path):

    code = "import data, data.cli, data.fetch, data.cifar; print(data.cli.data_dir())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("DATA_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, text=True, capture_output=True, check=True
    )
    assert done.stdout.strip() == str(ROOT / "data" / "cache")
    assert list(tmp_path.iterdir()) == []


def test_two_processes_fetch_once(options, server, place):
    server.pause = 0.5
    first = start_cli("fetch", "box", *options)
    wait_for(lambda: part_size(place) > 0)
    second = start_cli("fetch", "box", *options)
    assert second.stdout is not None
    assert "another process is at work on it" in second.stdout.readline()
    server.pause = 0
    results = [(process.communicate(timeout=60), process.returncode) for process in (first, second)]
    assert [code for _, code in results] == [0, 0]
    assert "nothing to do" in results[1][0][0]
    assert len(server.log) == 1
    assert (place / "box" / "big").read_bytes() == BIG


@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_stopped_in_the_middle_and_resumed(options, server, place, how, code):
    server.pause = 0.2  # seconds are left of the download, on a busy machine too
    process = start_cli("fetch", "box", *options)
    wait_for(lambda: part_size(place) > 200_000)
    process.send_signal(how)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert how != signal.SIGINT or ("run the same command to resume" in err and "Traceback" not in err)
    assert not (place / "box").exists()
    kept = part_size(place)
    assert "partial download" in run_cli("list", *options).stdout
    server.pause = 0
    assert run_cli("fetch", "box", *options).returncode == 0
    assert server.log[-1][1] == f"bytes={kept}-"
    assert (place / "box" / "big").read_bytes() == BIG


def test_killed_while_unpacking(options, server, place):
    """The process is stopped with the data half unpacked; nothing of it shows in the data's place."""
    code = (
        "import os, signal, data.install as install\n"
        "install.sync_files = lambda paths: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"from data.cli import main\nmain({['fetch', 'box', *options]!r})"
    )

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True).returncode == -9
    assert not (place / "box").exists()
    assert (place / ".work" / "box" / "stage").exists()
    assert run_cli("fetch", "box", *options).returncode == 0
    assert (place / "box" / "big").read_bytes() == BIG
    assert not (place / ".work" / "box" / "stage").exists()
    assert len(server.log) == 1  # the download was complete


def test_an_unofficial_folder_is_left_alone_by_fetch(tmp_path):
    folder = write_cifar(tmp_path, "cifar10", train=10, test=10)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = run_cli("fetch", "cifar10", "--data_dir", tmp_path)
    assert done.returncode == 1
    assert "batches.meta differs" in done.stderr and "Move or delete it" in done.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert run_cli("verify", "cifar10", "--data_dir", tmp_path).returncode == 1


def test_the_published_noise_files_are_imported(shared_data, tmp_path):
    files = sorted((shared_data / "sln-label-noise").glob("*/*.csv"))
    done = run_cli("import", *files, "--data_dir", tmp_path)
    assert done.returncode == 0, done.stderr
    for file in files:
        copy = tmp_path / "label_noisy" / file.parent.name.lower() / file.name
        assert copy.read_bytes() == file.read_bytes()
    assert run_cli("verify", "sln-noise", "--data_dir", tmp_path).returncode == 0


def test_the_published_noise_files_are_fetched(shared_data, server, tmp_path, place):
    """The content of the real download through the whole path, from a server that breaks off."""
    archives: list[dict[str, Any]] = []
    for file in sorted((shared_data / "sln-label-noise").glob("*/*.csv")):
        name = f"{file.parent.name}-{file.name}"
        address = server.add(f"/{name}", file.read_bytes(), *(["drop"] if not archives else []))
        archives.append({"file": name, "addresses": [address], **published(file.read_bytes())})
    folder = write_registry(tmp_path / "registry", {"name": "noise", "archive": archives})
    done = run_cli("fetch", "noise", "--registry", folder, "--data_dir", place)
    assert done.returncode == 0, done.stderr
    assert len(list((place / "noise").iterdir())) == 6
    assert len(server.log) == 7


def test_help_says_what_the_program_does():
    done = run_cli("--help")
    assert done.returncode == 0 and "\n\nFetch, verify, list and import data sets.\n" in done.stdout


def test_what_a_killed_command_left_half_written_is_removed(tmp_path, capsys):
    from data.cli import main

    process = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    leftover = tmp_path / f".toy.record.json.{process.stdout.strip()}.tmp"
    leftover.touch()
    own = tmp_path / f".toy.sha256.{os.getpid()}.tmp"
    own.touch()
    note = tmp_path / ".work" / "toy" / f".box.part.json.{process.stdout.strip()}.tmp"
    note.parent.mkdir(parents=True)
    note.touch()
    assert main(["list", "--data_dir", str(tmp_path)]) == 0
    assert not leftover.exists() and not note.exists() and own.exists()


def test_how_much_is_taken_of_unknown_length_can_be_said(options, monkeypatch, capsys):
    taken = []
    monkeypatch.setattr("data.fetch.fetch", lambda entry, folder, patience: taken.append(patience.most_unannounced))
    assert main(["fetch", "box", *options]) == 0
    assert main(["fetch", "box", "--most_gb=2.5", *options]) == 0
    assert taken == [10**9, 2_500_000_000]
    for wrong in ("0", "-1", "nan", "inf", "many"):
        with pytest.raises(SystemExit, match="2"):
            main(["fetch", "box", f"--most_gb={wrong}", *options])
        assert f"argument --most_gb: {wrong!r} is no number of gigabytes" in capsys.readouterr().err
