from __future__ import annotations

import collections
import errno
import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BUILD = Path(__file__).resolve().parents[2] / "environments" / "build.py"
EMPTY_LOCK = "# nothing to install\n"


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """environments/build.py with locks that install nothing, so that an environment takes a moment."""
    spec = importlib.util.spec_from_file_location("environment_build", BUILD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.syspath_prepend(BUILD.parent)
    spec.loader.exec_module(module)
    (tmp_path / "environments").mkdir()
    for name in ("bootstrap", "tensorflow-cpu", "tensorflow-gpu", "pytorch"):
        (tmp_path / "environments" / f"{name}.txt").write_text(f"{EMPTY_LOCK}# {name}\n")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "has_gpu", lambda: False)
    # What installs nothing needs no room: a machine with little is no reason to fail.
    monkeypatch.setattr(module, "DISK_NEEDED", dict.fromkeys(module.DISK_NEEDED, 0.0))
    previous = signal.getsignal(signal.SIGTERM)
    yield module
    signal.signal(signal.SIGTERM, previous)


def run(build: ModuleType, home: Path, name: str = "tensorflow") -> int:
    return build.main([name, "--home", str(home)])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, build: ModuleType) -> None:
    """Environments that are a Python and nothing else."""

    def only_a_python(command: list[str], *_: object) -> None:
        if "venv" in command:
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.symlink_to(sys.executable)

    monkeypatch.setattr(build, "run", only_a_python)


def test_built_once(build: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "a home"
    assert run(build, home) == 0
    python = home / "tensorflow" / "bin" / "python"
    stamp = (home / "tensorflow" / "lock.sha256").read_text()
    assert subprocess.run([python, "-c", "import sys; assert sys.prefix != sys.base_prefix"]).returncode == 0
    assert "built" in capsys.readouterr().out
    assert stamp.strip() == hashlib.sha256(f"{EMPTY_LOCK}# tensorflow-cpu\n".encode()).hexdigest()
    assert run(build, home) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("quick")
def test_built_again_only_when_its_lock_changed(build: ModuleType, tmp_path: Path) -> None:
    mark = tmp_path / "tensorflow" / "mark"
    assert run(build, tmp_path) == 0
    mark.touch()
    (tmp_path / "environments" / "pytorch.txt").write_text(EMPTY_LOCK + "# another lock\n")
    assert run(build, tmp_path) == 0
    assert mark.exists()
    (tmp_path / "environments" / "tensorflow-cpu.txt").write_text(EMPTY_LOCK + "# changed\n")
    assert run(build, tmp_path) == 0
    assert not mark.exists()


@pytest.mark.usefixtures("quick")
def test_one_without_a_stamp_or_with_a_dead_python_is_built_again(build: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "half").touch()
    assert run(build, tmp_path) == 0
    assert not (tmp_path / "tensorflow" / "half").exists()
    (tmp_path / "tensorflow" / "bin" / "python").unlink()
    assert run(build, tmp_path) == 0
    assert (tmp_path / "tensorflow" / "bin" / "python").exists()


def test_the_gpu_lock_where_there_is_a_gpu(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert build.lock_names("tensorflow") == ["tensorflow-cpu", "tensorflow-gpu"]
    monkeypatch.setattr(build, "has_gpu", lambda: True)
    assert build.lock_names("tensorflow") == ["tensorflow-gpu"]
    assert build.lock_names("pytorch") == ["pytorch"]
    for asked, names in {"0": ["tensorflow-cpu"], "1": ["tensorflow-gpu"]}.items():
        monkeypatch.setenv("GPU", asked)
        assert build.lock_names("tensorflow") == names


def test_a_node_without_a_gpu_keeps_the_environment_of_those_with_one(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "environments" / "tensorflow-gpu.txt").write_text("# of the GPU\n")
    monkeypatch.setattr(build, "has_gpu", lambda: True)
    assert run(build, tmp_path / "home") == 0
    stamp = (tmp_path / "home" / "tensorflow" / build.STAMP).read_text()
    monkeypatch.setattr(build, "has_gpu", lambda: False)
    capsys.readouterr()
    assert run(build, tmp_path / "home") == 0 and not capsys.readouterr().out
    assert (tmp_path / "home" / "tensorflow" / build.STAMP).read_text() == stamp


def test_an_environment_of_another_lock_stays_until_the_new_one_stands(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    assert run(build, home) == 0
    stamp = (home / "tensorflow" / build.STAMP).read_text()
    (tmp_path / "environments" / "tensorflow-cpu.txt").write_text("nothing-of-that-name==1.0\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    assert run(build, home) == 2
    assert (home / "tensorflow" / build.STAMP).read_text() == stamp
    assert subprocess.run([home / "tensorflow" / "bin" / "pip", "--version"]).returncode == 0
    assert {path.name for path in home.iterdir()} == {"tensorflow", "tensorflow.log", "tensorflow.building"}


def test_where_there_is_no_room_for_the_new_one_the_environment_stays(
    build: ModuleType, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(build, tmp_path / "home") == 0
    (tmp_path / "environments" / "tensorflow-cpu.txt").write_text("# another lock\n")

    def full(*_: object) -> None:
        raise build.BuildError("not enough disk")

    monkeypatch.setattr(build, "check_disk", full)
    assert run(build, tmp_path / "home") == 2
    assert (tmp_path / "home" / "tensorflow" / build.STAMP).exists()


def test_a_users_settings_of_pip_do_not_lead_elsewhere(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in build.ELSEWHERE:
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.delenv("PYTHONHOME")
    seen: list[dict[str, str]] = []

    def popen(*_: object, env: dict[str, str], **__: object) -> Ended:
        seen.append(env)
        return Ended()

    monkeypatch.setattr(build.subprocess, "Popen", popen)
    with open(tmp_path / "log", "w") as log:
        build.run(["pip"], log, build.Progress("x"), str, log, tmp_path)
    assert not set(build.ELSEWHERE) & set(seen[0])
    assert (seen[0]["PIP_USER"], seen[0]["TMPDIR"]) == ("0", str(tmp_path))


class Ended:
    def wait(self, timeout: float) -> int:
        return 0


def test_what_pip_did_not_install_is_missed(
    build: ModuleType, tmp_path: Path, quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "environments" / "tensorflow-cpu.txt").write_text("numpy==1.0\n")
    assert run(build, tmp_path / "home") == 2
    assert "has 0 of 1 packages" in capsys.readouterr().err
    assert not (tmp_path / "home" / "tensorflow").exists()


def test_no_network_is_one_sentence_and_leaves_nothing(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    lock = tmp_path / "environments" / "bootstrap.txt"
    lock.write_text("wheel==0.48.0 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    assert run(build, tmp_path) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: no network: pip could not fetch what tensorflow-cpu.txt names.")
    assert error.count("\n") == 1
    assert not (tmp_path / "tensorflow").exists()
    assert "127.0.0.1" in (tmp_path / "tensorflow.log").read_text()


def test_a_full_disk_is_told_before_and_during(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = collections.namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(build.shutil, "disk_usage", lambda _: usage(10**10, 9 * 10**9, 10**9))
        patch.setitem(build.DISK_NEEDED, "tensorflow-cpu", 3.5)
        assert run(build, tmp_path) == 2
    assert "not enough disk" in (error := capsys.readouterr().err)
    assert "1.0 GB free and the environment needs about 3.5 GB" in error

    def full(command: list[str], log: object, *_: object) -> None:
        (tmp_path / "tensorflow").mkdir()
        log.write("ERROR: Could not install packages: [Errno 28] No space left on device\n")  # type: ignore[attr-defined]
        log.flush()  # type: ignore[attr-defined]
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(build, "run", full)
    assert run(build, tmp_path) == 2
    assert "the disk filled up" in capsys.readouterr().err
    assert not (tmp_path / "tensorflow").exists()


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "purge"),
        ("error: something new\n", "could not be installed: error: something new"),
    ],
)
def test_other_failures(build: ModuleType, tmp_path: Path, log: str, message: str) -> None:
    (tmp_path / "log").write_text(log)
    assert message in build.explain(subprocess.CalledProcessError(1, ["pip"]), tmp_path / "log", "x.txt", 1.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_leaves_nothing_half_built(build: ModuleType, tmp_path: Path, number: int) -> None:
    for name in ("build.py", "pip_progress.py"):
        (tmp_path / "environments" / name).write_text((BUILD.parent / name).read_text())
    code = "import sys, build; build.DISK_NEEDED['pytorch'] = 0.0; sys.exit(build.main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "environments")}
    command = [sys.executable, "-c", code, "pytorch", "--home", str(tmp_path / "home")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        deadline = time.monotonic() + 30
        while not (tmp_path / "home" / "pytorch").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        process.send_signal(number)
        _, error = process.communicate()
    assert process.returncode == 130
    assert "nothing half-built" in error
    assert not (tmp_path / "home" / "pytorch").exists()


OUTPUT = """Collecting numpy==1.26.4
  Downloading numpy-1.26.4-cp311.whl (18.2 MB)
Processing /wheels/six-1.17.0.whl
Collecting tensorflow-cpu==2.15.1
  Downloading tensorflow_cpu-2.15.1-cp311.whl (207.2 MB)
"""


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("", "0 of 94 packages fetched"),
        (OUTPUT, "2 of 94 packages fetched, 18 MB; now tensorflow-cpu==2.15.1 (207.2 MB)"),
        (
            OUTPUT.replace("18.2 MB", "1.8 GB"),
            "2 of 94 packages fetched, 1.8 GB; now tensorflow-cpu==2.15.1 (207.2 MB)",
        ),
        (OUTPUT + "Installing collected packages: numpy, six\n", "installing, 5 of 94 packages"),
    ],
)
def test_what_pip_is_at_in_words(build: ModuleType, output: str, line: str) -> None:
    assert build.doing(output, 94, 5) == line


def test_a_log_gets_a_line_now_and_then(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pip_progress.SECONDS_BETWEEN_LINES", 0.05)
    enough, said = tmp_path / "enough", []

    def fetched() -> str:
        said.append("23 of 89 packages fetched")
        if len(said) > 3:
            enough.touch()  # until then, pip is at work
        return said[-1]

    code = f"import os, time; print('pip', flush=True)\nwhile not os.path.exists({str(enough)!r}): time.sleep(0.01)"
    with open(tmp_path / "log", "w") as log:
        build.run([sys.executable, "-S", "-c", code], log, build.Progress("pytorch"), fetched, log)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 2
    assert lines[0] == "pytorch, 0 s: 23 of 89 packages fetched"
    assert (tmp_path / "log").read_text() == "pip\n"


def test_an_unknown_environment_is_named(build: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(build, tmp_path, "jax") == 2
    assert "no environment 'jax'; there are: tensorflow, pytorch" in capsys.readouterr().err


def test_an_older_python_could_read_the_builder() -> None:
    import ast

    ast.parse(BUILD.read_text(), feature_version=(3, 6))


@pytest.mark.parametrize(
    ("place", "is_folder", "said"),
    [
        ("home", False, "has to be a folder that can be written to"),
        ("home/tensorflow", False, "is no folder of this program's"),
        ("home/tensorflow.building", True, "is no file of this program's"),
        ("home/tensorflow.log", True, "is no file of this program's"),
    ],
)
def test_what_is_somebody_elses_is_not_removed(
    build: ModuleType, tmp_path: Path, place: str, is_folder: bool, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.mkdir() if is_folder else path.write_text("mine")
    assert run(build, tmp_path / "home") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and said in error and error.count("\n") == 1
    assert path.is_dir() if is_folder else path.read_text() == "mine"


def test_a_link_to_another_folder_is_not_emptied(build: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "tensorflow").symlink_to(tmp_path / "mine")
    assert run(build, tmp_path / "home") == 2
    assert (tmp_path / "mine" / "file").read_text() == "mine"


@pytest.mark.usefixtures("quick")
def test_checkouts_may_share_an_environment_through_a_link(build: ModuleType, tmp_path: Path) -> None:
    assert run(build, tmp_path / "one") == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "tensorflow").symlink_to(tmp_path / "one" / "tensorflow")
    assert run(build, tmp_path / "other") == 0
    (tmp_path / "environments" / "tensorflow-cpu.txt").write_text(EMPTY_LOCK + "# another lock\n")
    assert run(build, tmp_path / "other") == 2


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(build.fcntl, "flock", flock)
    assert run(build, tmp_path / "home") == 0
    assert "start one make at a time" in capsys.readouterr().err


def test_where_the_builder_was_killed_the_next_one_waits_for_its_pip(build: ModuleType, tmp_path: Path) -> None:
    lock, begun, go, done = (tmp_path / name for name in ("x.building", "begun", "go", "done"))
    code = (
        f"import os, time; open({str(begun)!r}, 'w')\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
        f"open({str(done)!r}, 'w')"
    )
    step = [sys.executable, "-S", "-c", code]
    builder = (
        "import os, sys; from pathlib import Path\n"
        "from importlib.util import module_from_spec, spec_from_file_location\n"
        f"sys.path.append({str(BUILD.parent)!r})\n"
        f"spec = spec_from_file_location('build', {str(BUILD)!r})\n"
        "build = module_from_spec(spec); spec.loader.exec_module(build)\n"
        f"with build.one_at_a_time(Path({str(lock)!r})) as file, open(os.devnull, 'w') as log:\n"
        f"    build.run({step!r}, log, build.Progress('x'), str, file)"
    )
    with subprocess.Popen([sys.executable, "-c", builder]) as killed:
        deadline = time.monotonic() + 60
        while not begun.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        killed.kill()
    assert not done.exists()
    threading.Timer(0.2, go.touch).start()
    with build.one_at_a_time(lock):
        assert done.exists()
