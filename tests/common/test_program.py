"""What ends a program early becomes one line on stderr and an exit code."""

import io
import logging
import subprocess
import sys

import pytest

from common.errors import DataError, Interrupted, NonFiniteLoss, RecordError, UsageError, UserError, WorkFailed
from common.foreign_text import LONGEST
from common.program import FAILURES, guarded, guarded_training


def raising(error: BaseException):
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("no"), 2, "error: no\n"),
        (UsageError("no such flag"), 2, "error: no such flag\n"),
        (RecordError("another run"), 2, "error: another run\n"),
        (DataError("no data"), 2, "error: no data\n"),
        (WorkFailed("half done"), 1, "error: half done\n"),
        (NonFiniteLoss("nan"), 1, "error: nan\n"),
        (
            PermissionError(13, "Permission denied", "/a"),
            1,
            "error: /a: Permission denied: change the permissions, or, if it is a place to write to, name another "
            "place with --out\n",
        ),
        (Interrupted("saved"), 130, "saved\n"),
        (KeyboardInterrupt(), 130, "stopped\n"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_an_error_is_one_line_and_an_exit_code(capsys, error, code, said):
    assert guarded(raising(error), "stopped", places="--out") == code
    assert capsys.readouterr().err == said


def test_a_message_with_a_long_value_keeps_its_beginning_and_its_end(capsys):
    assert guarded(raising(UsageError(f"--out={'x' * 5000} is no file; name another")), "stopped") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: --out=xxx") and said.endswith("x is no file; name another\n")
    assert len(said) <= LONGEST + 1


def test_a_name_that_is_no_text_is_printed_all_the_same(monkeypatch):
    with io.TextIOWrapper(io.BytesIO(), "utf-8") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        assert guarded(lambda: print("folder/\udcff.png"), "stopped") == 0
        terminal.flush()
        assert terminal.buffer.getvalue() == b"folder/\\udcff.png\n"


def test_an_error_of_the_program_itself_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        guarded(lambda: 1 // 0, "stopped")


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (3, 3)])
def test_the_work_gives_the_code(returned, code):
    assert guarded(lambda: returned, "stopped") == code


def test_a_program_may_count_an_error_among_the_failures(capsys):
    assert guarded(raising(DataError("no data")), "stopped", failures=(DataError, *FAILURES)) == 1
    assert guarded(raising(UsageError("no")), "stopped", failures=(DataError, *FAILURES)) == 2


@pytest.mark.parametrize(("rank", "said", "level"), [("0", "error: no\n", logging.INFO), ("1", "", logging.ERROR)])
def test_the_first_process_speaks_for_all(monkeypatch, capsys, rank, said, level):
    levels = []
    monkeypatch.setattr(logging, "basicConfig", lambda **settings: levels.append(settings["level"]))
    for name, value in {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500", "RANK": rank}.items():
        monkeypatch.setenv(name, value)
    assert guarded_training(raising(UsageError("no")), "stopped") == 2
    assert capsys.readouterr().err == said
    assert levels == [level]


def test_a_reader_that_has_seen_enough_is_no_error():
    work = "lambda: [print(n, flush=True) for n in range(100000)] and 1"
    program = f"import sys; from common.program import printed; sys.exit(printed({work}))"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0
