"""`make check-gpu` without a GPU: what it says, how it reads what the tests leave, its table and its exit codes."""

import json
import subprocess
import sys

import pytest

from benchmarks import check_gpu
from common.errors import UsageError
from tests.frame.test_make import ROOT

REPORT = """<testsuites><testsuite>
<testcase name="test_a" time="1.5"/>
<testcase name="test_b" time="0.1"><skipped message="one GPU"/></testcase>
<testcase name="test_c" time="2"><failure message="assert 1 == 2&#10;more">long</failure></testcase>
</testsuite></testsuites>"""
ROW = {
    "test": "test_a", "what": "re_sln step", "device": "cuda", "seconds": 0.002, "cpu_seconds": 0.8,
    "peak_bytes": 2**31, "published": ["sln", "sln"], "steps_of_a_run": 117300,
}  # fmt: skip


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with a GPU whose tests leave what is given; returns (exit code, report)."""

    def run(report, rows):
        def tests(python, folder, minutes, into):
            (into / "report.xml").write_text(report)
            return check_gpu.outcomes(into / "report.xml"), rows if "pytorch" in folder else []

        monkeypatch.setattr(check_gpu, "require_driver", lambda: ["GPU 0: NVIDIA H100 (UUID: GPU-secret)"])
        monkeypatch.setattr(check_gpu, "driver_version", lambda: "580.1")
        found = {"version": "2", "cuda": "13.0", "count": 1, "error": ""}
        monkeypatch.setattr(check_gpu, "require_framework", lambda *_: found)
        monkeypatch.setattr(check_gpu, "python_of", lambda _: sys.executable)
        monkeypatch.setattr(check_gpu, "run_tests", tests)
        code = check_gpu.main([f"--out={tmp_path / 'gpu.json'}"])
        return code, json.loads((tmp_path / "gpu.json").read_text())

    return run


def test_a_table_against_the_cpu_and_the_published_hours(machine, capsys):
    code, report = machine(REPORT.replace("failure", "skipped"), [ROW])
    assert code == 0
    assert report["gpus"] == ["GPU 0: NVIDIA H100"]
    (row,) = report["measured"]
    assert row["hours_of_a_run"] == pytest.approx(0.07) and row["published_hours"] == 1.5
    line = "| re_sln step | 0.002 | 0.8 | 400.0 |  | 2.0 | 0.07 | 1.5 (measured on one V100, the published runs) |"
    assert line in capsys.readouterr().out


def test_a_test_that_failed_is_named(machine, capsys):
    code, report = machine(REPORT, [])
    assert code == 1
    assert [test["outcome"] for test in report["tests"]] == ["passed", "skipped", "failed"] * 2
    assert "failed: test_c: assert 1 == 2" in capsys.readouterr().err


def test_tests_that_never_ran_are_no_success(machine):
    assert machine("<testsuites/>", [])[0] == 1


def test_pytest_that_left_no_report_is_a_failure(tmp_path):
    assert [test["outcome"] for test in check_gpu.outcomes(tmp_path / "none.xml")] == ["failed"]


def test_tests_are_run_under_their_mark_and_leave_what_they_measured(tmp_path):
    (tmp_path / "report.xml").write_text("of an earlier part")
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\necho "$@" > "$(dirname "$GPU_MEASURED")/words"\necho \'{"what": "a"}\' >> "$GPU_MEASURED"\n'
    )
    python.chmod(0o755)
    tests, rows = check_gpu.run_tests(str(python), "tests/gpu", 4.5, tmp_path)
    assert rows == [{"what": "a"}] and tests[0]["why"] == "it ended without a report"
    words = (tmp_path / "words").read_text().split()
    assert words[words.index("-m", 2) + 1] == "gpu" and "--minutes=4.50" in words and words[-1] == "tests/gpu"


def test_without_a_gpu_make_says_so_before_anything_is_built(tmp_path):
    (tmp_path / "sh").symlink_to("/bin/sh")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.check_gpu", "--look"],
        cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no NVIDIA GPU here") and "Traceback" not in done.stderr
    rule = (ROOT / "Makefile").read_text().partition("\ncheck-gpu:")[2].splitlines()
    assert "--look" in rule[1] and "env-tensorflow env-pytorch" in rule[2]


def test_an_environment_that_is_not_built_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(check_gpu, "ROOT", tmp_path)
    with pytest.raises(UsageError, match="make env-pytorch"):
        check_gpu.python_of("pytorch")


def test_tests_on_a_gpu_are_skipped_with_a_reason_unless_asked_for():
    def skipped(*flags):
        words = ["-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "tests/gpu/test_marks.py", *flags]
        return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True).stdout

    assert "1 passed, 1 skipped" in skipped("-m", "not slow")
    assert "needs a GPU: make check-gpu" in skipped("-m", "not slow")
    assert "1 passed, 1 deselected" in skipped("-m", "gpu")
