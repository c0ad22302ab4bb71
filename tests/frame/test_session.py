"""The options of our own sessions of pytest, which `make test-slow` and CI use."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"
NAMES = ["test_a.py::test_one", "test_a.py::test_two", "test_b.py::test_one", "test_c.py::test_one"]


@pytest.fixture
def session(tmp_path):
    shutil.copy(CONFTEST, tmp_path)
    for name in NAMES:
        file, _, test = name.partition("::")
        with open(tmp_path / file, "a") as out:
            out.write(f"def {test}(): pass\n")

    def run(*options):
        command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *options]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    return run


@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_what_was_not_reached_is_listed_by_name(session, workers):
    done = session("--minutes=0", *workers)
    assert done.returncode == 0
    listed = done.stdout.partition("not reached in the time given: 4")[2]
    assert [line for line in listed.splitlines() if line.startswith("test_")] == NAMES
    assert "4 skipped" in done.stdout


def test_within_the_time_all_is_done(session):
    done = session("--minutes=5")
    assert "4 passed" in done.stdout
    assert "not reached" not in done.stdout


@pytest.mark.parametrize(("begin", "first"), [("0", 0), ("1", 0), ("2", 2), ("7", 3), ("a76f", 3)])
def test_a_session_begins_with_a_whole_file_and_goes_round(session, begin, first):
    order = re.findall(r"^(test_\w+\.py::\w+) PASSED", session(f"--begin={begin}").stdout, re.MULTILINE)
    assert order == NAMES[first:] + NAMES[:first]


def test_a_place_that_is_no_number_is_one_sentence(session):
    done = session("--begin=xyz")
    assert done.returncode == 4
    assert "invalid hexadecimal value: 'xyz'" in done.stderr
    assert "Traceback" not in done.stderr
