"""A run that was killed, and the same command again: the same bits as a run that was not."""

import json
import time

import numpy as np
import pytest

from tests.ieg.small_runs import MORE, SMALL, folder_of, last_checkpoint, run, start
from tests.programs import metrics_of

# The program, its checkpoints so slow that it is killed before its last one on a busy machine, too.
SLOWED = """
import sys, time
from ieg.checkpoints import checkpoint
save = checkpoint.save
checkpoint.save = lambda *arguments: (save(*arguments), time.sleep(0.1))
from ieg.main import main
sys.exit(main())
"""


def step_of(folder):
    """Of the newest checkpoint; 0 where there is none."""
    return max((int(path.stem.rpartition("_")[2]) for path in folder.glob("*/checkpoint_*.npz")), default=0)


@pytest.mark.parametrize("method", ["ieg", pytest.param("fsr", marks=pytest.mark.slow)])
def test_kill_9_and_the_same_command_give_the_same_bits(tmp_path, method):
    arguments = [*SMALL, f"--method={method}", *MORE.get(method, []), "--save_minutes=0"]
    whole = start(*arguments, f"--checkpoint_path={tmp_path / 'whole'}")
    killed = start(*arguments, f"--checkpoint_path={tmp_path / 'killed'}", program=("-c", SLOWED))
    chosen = np.random.default_rng().integers(1, 20)  # no moment in particular
    while killed.poll() is None and step_of(tmp_path / "killed") < chosen:
        time.sleep(0.001)
    killed.kill()
    killed.communicate()
    folder = folder_of(tmp_path / "killed")
    assert not json.loads((folder / "result.json").read_text())["finished"]
    assert chosen <= step_of(tmp_path / "killed") < 30
    _, err = run(*arguments, f"--checkpoint_path={tmp_path / 'killed'}")
    assert "resuming after step" in err
    _, err = whole.communicate()
    assert whole.returncode == 0, err[-3000:]
    whole_folder = folder_of(tmp_path / "whole")
    assert last_checkpoint(folder) == last_checkpoint(whole_folder)
    assert (folder / "metrics.jsonl").read_bytes() == (whole_folder / "metrics.jsonl").read_bytes()
    assert [line["step"] for line in metrics_of(folder)] == [14, 28, 30]
