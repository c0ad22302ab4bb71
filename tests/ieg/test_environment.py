"""The user's environment reaches neither the numbers nor the end of a run; case 20; file systems that are not ext4."""

import json
import subprocess
import sys

import pytest
import tensorflow as tf

from common.errors import WorkFailed
from ieg.devices.failures import explained_failures
from ieg.settings.dataset_name import parse_dataset_name
from ieg.training import pictures
from tests.file_systems import check_full_disk, read_only, without_locks, without_sync_of_folders
from tests.hostile_environment import hostile
from tests.ieg.small_runs import MORE, SMALL, folder_of, run
from tests.programs import ROOT, run_as_main

PROGRAM = ["-m", "ieg.main"]
SHORT = [word for word in SMALL if not word.startswith(("--max_iteration", "--deterministic"))]
SHORT += ["--max_iteration=2", "--method=supervised"]


@pytest.mark.slow
def test_in_a_hostile_environment_the_numbers_are_the_same_and_pictures_are_drawn(tmp_path):
    words = [*SMALL, "--method=fsr", *MORE["fsr"]]
    run(*words, f"--checkpoint_path={tmp_path / 'calm'}")
    done = subprocess.run(
        [sys.executable, *PROGRAM, *words, f"--checkpoint_path={tmp_path / 'other'}"],
        cwd=ROOT, env=hostile(tmp_path / "environment"), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    calm, other = folder_of(tmp_path / "calm"), folder_of(tmp_path / "other")
    assert (other / "metrics.jsonl").read_bytes() == (calm / "metrics.jsonl").read_bytes()
    one, two = (json.loads((folder / "result.json").read_text()) for folder in (calm, other))
    assert two["finished"] and (one["metrics"], one["git"]) == (two["metrics"], two["git"])
    assert (other / "queue_purity.png").read_bytes() == (calm / "queue_purity.png").read_bytes()


def test_a_picture_that_fails_is_a_warning(tmp_path, monkeypatch, caplog):
    line = {"step": 1, "epoch": 1.0, "queue/purity": 0.5}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    data = parse_dataset_name("digits_uniform_0.4")
    assert [path.name for path in pictures.draw_pictures(tmp_path, data, 0.6)] == ["queue_purity.png"]

    def fails(*_):
        raise ValueError("Key backend: 'x' is not a valid value")

    monkeypatch.setattr(pictures, "draw_queue_purity", fails)
    assert pictures.draw_pictures(tmp_path, data, 0.6) == []
    assert "queue_purity.png was not drawn" in caplog.text


def test_the_result_is_there_before_the_pictures(tmp_path, monkeypatch, capfd):
    seen = []

    def draw(folder, *_):
        seen.append(json.loads((folder / "result.json").read_text())["finished"])

    monkeypatch.setattr("ieg.training.trainer.draw_pictures", draw)
    calls = [without_locks(monkeypatch), without_sync_of_folders(monkeypatch)]
    assert run_as_main(PROGRAM, *SHORT, f"--checkpoint_path={tmp_path / 'run'}") == 0
    assert seen == [True]
    assert all(calls) and capfd.readouterr().err.count("has no locks") == 1  # and on such a file system it trains


def test_a_read_only_place_is_refused_before_data_are_read(tmp_path, monkeypatch, capfd):
    read_only(monkeypatch, tmp_path)
    monkeypatch.setenv("RUNS_DIR", str(tmp_path / "runs"))
    assert run_as_main(PROGRAM, *SHORT) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error")]
    assert line.startswith(f"error: {tmp_path}: Permission denied")
    assert line.endswith("name another place with --run_dir, --checkpoint_path or RUNS_DIR")


def test_python_without_docstrings_is_refused_in_one_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, "-OO", *PROGRAM, *SHORT, f"--checkpoint_path={tmp_path}"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: PYTHONOPTIMIZE=2 (python -OO) takes the docstrings away")


@pytest.mark.slow
def test_what_keras_reads_in_a_home_is_not_read(tmp_path):
    environment = hostile(tmp_path / "e")
    program = (
        "from ieg.devices.start_tensorflow import prepare_tensorflow; from common.environment import settle;"
        "settle(); prepare_tensorflow(); import tensorflow as tf; k = tf.keras.backend;"
        "print(k.floatx(), k.epsilon(), k.image_data_format())"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["float32", "1e-07", "channels_last"], done.stderr[-2000:]


@pytest.mark.parametrize(
    ("kind", "message", "raised", "said"),
    [
        (
            tf.errors.ResourceExhaustedError,
            "OOM when allocating tensor\nwith shape[9,9]",
            WorkFailed,
            "not memory enough",
        ),
        (tf.errors.ResourceExhaustedError, "/a/b; No space left on device\nFailed", OSError, "No space left on device"),
        (tf.errors.UnknownError, "/a/b; Disk quota exceeded", OSError, "Disk quota exceeded"),
        (tf.errors.UnavailableError, "Socket closed\nmore", OSError, r"another worker is gone \(Socket closed\)"),
        (tf.errors.InvalidArgumentError, "a mistake of ours", tf.errors.InvalidArgumentError, "of ours"),
    ],
)
def test_what_tensorflow_says_of_machines_is_one_sentence(kind, message, raised, said):
    with pytest.raises(raised, match=said) as found, explained_failures():
        raise kind(None, None, message)
    assert "\n" not in str(found.value) or raised is kind


@pytest.mark.slow
def test_a_disk_of_half_a_megabyte(tmp_path):
    words = ["ieg.main", *SHORT, f"--run_dir={tmp_path / 'disk' / 'run'}"]
    check_full_disk(tmp_path / "disk", "256k", " ".join(words))
