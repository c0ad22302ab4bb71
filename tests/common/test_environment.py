"""What of the user's environment reaches a program: the list of docs/reliability.md, held to what happens."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pytest

from common import environment
from common import machine as machine_module
from common.environment import KEPT, REMOVED, folder_for_ray, leads, settle, short_temporary_folder, torchrun
from common.errors import UsageError
from common.machine import gpus, machine
from common.program import guarded
from common.results.tables import new_figure, picture, save_figure

ROOT = Path(__file__).resolve().parents[2]
PLACE = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """The environment of this process, and what settle changes in it, are those of before afterwards."""
    before, path, temporary = dict(os.environ), list(sys.path), tempfile.tempdir
    for name in PLACE:
        monkeypatch.delenv(name, raising=False)
    yield
    os.environ.clear()
    os.environ.update(before)
    sys.path[:], tempfile.tempdir = path, temporary


@pytest.mark.parametrize("name", [name + "X" if name.endswith("_") else name for name in REMOVED])
def test_what_would_change_numbers_or_end_a_program_is_taken_out(name, monkeypatch, caplog):
    monkeypatch.setenv(name, "1")
    with caplog.at_level("INFO"):
        settle()
    assert name not in os.environ
    assert caplog.messages == [f"variables without effect here: {name}"]


@pytest.mark.parametrize(
    "name", [*KEPT, "OMP_NUM_THREADS", "TF_ENABLE_ONEDNN_OPTS", "TF_CONFIG", "CUDA_VISIBLE_DEVICES"]
)
def test_sizes_and_places_stay(name, monkeypatch, caplog):
    monkeypatch.setenv(name, "1")
    with caplog.at_level("INFO"):
        settle()
    assert os.environ[name] == "1" and caplog.messages == []


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, math.inf),
        ({"cpu.max": "max 100000"}, math.inf),
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4.0),
    ],
)
def test_a_container_has_the_cores_that_it_is_given(files, quota, tmp_path, monkeypatch):
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")
    assert machine_module._quota(tmp_path) == quota
    monkeypatch.setattr(machine_module, "_quota", lambda: quota)
    assert machine_module.cores() == min(len(os.sched_getaffinity(0)), math.ceil(min(quota, 99)))


@pytest.mark.parametrize(("given", "stays"), [("0", True), ("1", False)])
def test_of_tf32_only_that_there_be_none(given, stays, monkeypatch):
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", given)
    settle()
    assert ("NVIDIA_TF32_OVERRIDE" in os.environ) == stays
    assert ("NVIDIA_TF32_OVERRIDE" in machine()) == stays


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("--xla_force_host_platform_device_count=8", None),
        ("--xla_gpu_cuda_data_dir=/cuda", "--xla_gpu_cuda_data_dir=/cuda"),
        ("--xla_nonsense --xla_gpu_cuda_data_dir=/cuda", "--xla_gpu_cuda_data_dir=/cuda"),
    ],
)
def test_of_the_flags_of_xla_only_where_its_compiler_lies(monkeypatch, given, left):
    monkeypatch.setenv("XLA_FLAGS", given)
    settle()
    assert os.environ.get("XLA_FLAGS") == left


def test_every_program_settles_its_environment_first(monkeypatch):
    monkeypatch.setenv("TF_XLA_FLAGS", "--nonsense")
    assert guarded(lambda: int("TF_XLA_FLAGS" in os.environ), "stopped") == 0


def test_a_warning_is_no_error_whatever_pythonwarnings_says(monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settle()
        warnings.warn("a library's remark", DeprecationWarning, stacklevel=1)
    assert "PYTHONWARNINGS" not in os.environ


def test_packages_of_another_python_come_last_and_do_not_reach_children(monkeypatch, tmp_path):
    own = str(ROOT / "tests")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), own]))
    sys.path[:0] = [str(tmp_path), own]
    settle()
    assert sys.path[0] == own and sys.path[-1] == str(tmp_path) and sys.path.count(str(tmp_path)) == 1
    assert os.environ["PYTHONPATH"] == own


def nobody(patch, *names):
    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    patch.setattr(environment.pwd, "getpwuid", unknown)
    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
        patch.delenv(name, raising=False)


def test_a_user_without_an_entry_has_a_name_and_no_home(monkeypatch, tmp_path):
    import getpass

    nobody(monkeypatch)
    settle()
    assert getpass.getuser() == f"uid{os.getuid()}"
    assert Path.home() == Path(environment.NO_HOME)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USER", "given")
    settle()
    assert (os.environ["HOME"], os.environ["USER"]) == (str(tmp_path), "given")


def test_a_long_tmpdir_is_replaced_for_the_sockets_of_workers(monkeypatch, tmp_path):
    long = tmp_path / ("x" * 80)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setattr(tempfile, "tempdir", None)
    settle()
    assert tempfile.gettempdir() == os.environ["TMPDIR"] != str(long)
    assert len(os.environ["TMPDIR"]) <= environment.ROOM_OF_WORKERS


@pytest.mark.parametrize("length", [10, 33, 50, 120])
def test_the_folder_of_ray_is_short_whatever_tmpdir_is(monkeypatch, tmp_path, length):
    long = Path(tempfile.mkdtemp(dir="/tmp")) / ("x" * length)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setenv("RAY_TMPDIR", str(long))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with folder_for_ray() as folder:
        assert "RAY_TMPDIR" not in os.environ
        session = "session_2026-11-26_17-04-32_263872_4194304"
        assert len(f"{folder}/{session}/sockets/plasma_store") <= 107
    assert not os.path.exists(folder)


def test_without_a_short_folder_one_sentence_names_tmpdir(monkeypatch, tmp_path):
    long = tmp_path / ("x" * 40)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(environment, "OTHER_TEMPORARY_FOLDERS", (str(tmp_path / "none"),))
    with pytest.raises(UsageError, match=f"^TMPDIR={long}: .*set TMPDIR to a path of at most 30 bytes$"):
        short_temporary_folder(30)


def test_a_place_among_processes_is_one_that_torchrun_gave(monkeypatch):
    assert torchrun() is None and leads()
    for name, value in PLACE.items():
        monkeypatch.setenv(name, value)
    assert torchrun() == {"RANK": 1, "WORLD_SIZE": 2, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 2}
    assert not leads()
    for missing in PLACE:
        with monkeypatch.context() as patch:
            patch.delenv(missing)
            assert torchrun() is None and leads()


@pytest.mark.parametrize("wrong", [{"RANK": "2"}, {"RANK": "-1"}, {"WORLD_SIZE": "two"}, {"LOCAL_RANK": "7"}])
def test_a_place_that_cannot_be_is_one_sentence(monkeypatch, wrong):
    for name, value in (PLACE | wrong).items():
        monkeypatch.setenv(name, value)
    ((name, value),) = wrong.items()
    with pytest.raises(UsageError, match=f"{name}={value} ?.*: no place among processes; start them with torchrun"):
        torchrun()
    assert leads()  # or nobody would say it


@pytest.mark.parametrize(
    ("chosen", "seen"),
    [
        ("", []),
        ("-1", []),
        ("nonsense", []),
        ("1,nonsense,0", ["1"]),
        ("7", []),
        ("0,1", ["0", "1"]),
        ("GPU-ab", ["GPU-ab"]),
    ],
)
def test_gpus_are_those_that_cuda_sees(monkeypatch, chosen, seen):
    answer = subprocess.CompletedProcess([], 0, "GPU 0: H100\nGPU 1: H100\n", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert gpus() == seen


def test_a_terminal_of_ascii_is_no_end(tmp_path):
    program = "import sys; from common.program import guarded; shown = '75.5 \\xb1 0.2, \\u03c3';"
    program += "sys.exit(guarded(lambda: print(shown), 'stopped'))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "75.5 \\xb1 0.2, \\u03c3\n", "")


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense", "tkagg"])
def test_a_picture_needs_no_backend_and_no_style_of_the_user(tmp_path, backend):
    (tmp_path / "matplotlibrc").write_bytes(b"\xff\xfe no text")
    program = (
        "import sys; from pathlib import Path; from common.results.tables import new_figure, save_figure;"
        "figure = new_figure(1, 1); figure.add_subplot().plot([1, 2]); save_figure(figure, Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "a.png"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={
            **os.environ,
            "MPLBACKEND": backend,
            "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"),
            "PYTHONPATH": str(ROOT),
        },
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_fails_is_a_warning(tmp_path, caplog):
    def draw(path):
        save_figure(new_figure(1, 1), path)

    def fails(path):
        raise ValueError("Key backend:\n 'x' is not valid")

    assert picture(tmp_path / "a.png", draw) == [tmp_path / "a.png"]
    assert caplog.messages == []
    assert picture(tmp_path / "b.png", fails) == []
    assert caplog.messages == [f"{tmp_path / 'b.png'} was not drawn: Key backend: 'x' is not valid"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_every_variable_of_the_list_stands_in_the_documentation():
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    section = page.split("## The environment")[1].split("\n## ")[0]
    said = set(re.findall(r"`([A-Z][A-Z0-9_]+)", section))
    assert {*REMOVED, *KEPT} <= said
