"""Worker processes that read batches: what they tell of others that are gone."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
ROOT = Path(__file__).resolve().parents[3]

HANDED_OUT = """
import multiprocessing, sys, time
from multiprocessing import connection, resource_sharer
from common.pytorch.readers import become_reader
become_reader(0)
address, _ = resource_sharer.DupFd(0)._id
connection.Client(address, authkey=multiprocessing.current_process().authkey).close()
time.sleep(0.5)
sys.excepthook(ValueError, ValueError("another one is told"), None)
"""


def test_a_batch_that_nobody_fetches_any_more_is_no_traceback() -> None:
    done = subprocess.run([sys.executable, "-c", HANDED_OUT], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stderr.splitlines() == ["ValueError: another one is told"]
