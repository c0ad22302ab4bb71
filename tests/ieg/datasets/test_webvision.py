"""WebVision through the command line, on small trees of real photographs in the right layout."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from common.errors import UsageError
from data.webvision import imagenet_records, list_webvision, probe_records, webvision_root
from ieg.datasets import load as datasets
from ieg.datasets import webvision
from ieg.datasets.image_files import read_records
from ieg.settings.config import USES_PROBES
from ieg.settings.dataset_name import parse_dataset_name
from ieg.settings.flags import parse_flags
from preprocess.webvision_mini import main as prepare
from tests.ieg.photographs import image_tree, webvision_tree
from tests.ieg.small_runs import folder_of, last_checkpoint, run
from tests.programs import metrics_of

SMALL = [
    "--dataset=webvisionmini_2", "--network_name=resnet18", "--image_size=32", "--batch_size=25", "--max_iteration=3",
    "--val_batch_size=40", "--deterministic",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A prepared data folder: 100 training and validation images, 150 of ImageNet, 2 trusted ones a class."""
    base = tmp_path_factory.mktemp("webvision")
    webvision_tree(base / "data", 2)
    image_tree(base / "imagenet", ("train", "val"), 3, first=200)
    arguments = ["--dataset_dir", base / "data", "--imagenet_path", base / "imagenet", "--probes_per_class", "2"]
    assert prepare([str(argument) for argument in arguments]) == 0
    return base / "data"


def flags(folder, *more):
    return parse_flags([*SMALL, f"--dataset_dir={folder}", *more])


def load(given):
    return webvision.load(given, given.method in USES_PROBES, parse_dataset_name(given.dataset))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["supervised", "l2r", "ieg", "fsr"])
def test_every_method_trains_on_both_test_sets(folder, tmp_path, method):
    extra = ["--queue_capacity=100", "--queue_bs=50", "--meta_start_epoch=0"] if method == "fsr" else []
    arguments = [
        *SMALL, f"--method={method}", "--use_imagenet_as_eval", f"--dataset_dir={folder}",
        f"--checkpoint_path={tmp_path}", *extra,
    ]  # fmt: skip
    run(*arguments)
    place = folder_of(tmp_path)
    result = json.loads((place / "result.json").read_text())
    assert result["finished"]
    assert result["dataset"]["name"] == "webvision-mini"
    assert result["notes"]["probe_images"] == (100 if method in USES_PROBES else 0)
    assert "noise_rate" not in result["notes"]
    last = metrics_of(place)[-1]
    assert {"acc/eval", "acc/ema_eval", "acc/eval_imagenet", "acc/ema_eval_imagenet"} <= last.keys()
    assert not {"weights/clean", "queue/purity", "labels/recovered"} & last.keys()  # nobody knows the true labels
    assert {"accuracy", "accuracy_imagenet_raw", "webvision_top1", "imagenet_top1"} <= result["metrics"].keys()
    out, _ = run(*arguments, "--mode=evaluation")
    assert "on 100 test images of webvision-mini" in out
    assert "on 150 test images of imagenet" in out


@pytest.mark.slow
def test_a_run_goes_on_where_it_was_and_refuses_other_images(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "data")
    arguments = [*SMALL, "--method=supervised", f"--dataset_dir={tmp_path / 'data'}", "--eval_freq=2"]
    run(*arguments, f"--checkpoint_path={tmp_path / 'once'}")
    shutil.copytree(tmp_path / "once", tmp_path / "twice")
    place = folder_of(tmp_path / "twice")
    (place / "checkpoint_00000003.npz").unlink()  # as after a kill -9 in the third step
    result = json.loads((place / "result.json").read_text())
    (place / "result.json").write_text(json.dumps(result | {"finished": False}))
    _, err = run(*arguments, f"--checkpoint_path={tmp_path / 'twice'}")
    assert "resuming after step 2" in err
    assert last_checkpoint(place) == last_checkpoint(folder_of(tmp_path / "once"))
    (place / "result.json").write_text(json.dumps(result | {"finished": False}))
    train, _ = list_webvision(tmp_path / "data")
    (train.root / train.paths[2]).rename(train.root / train.paths[2].replace("_0", "_7"))
    _, err = run(*arguments, f"--checkpoint_path={tmp_path / 'twice'}", code=2)
    assert "belongs to a run" in err and "on other data" in err and "bring the old data back" in err


def test_what_is_missing_is_said_before_training(folder, tmp_path):
    shutil.copytree(folder / "tensorflow_datasets", tmp_path / "tensorflow_datasets")
    with pytest.raises(UsageError, match=r"--use_imagenet_as_eval: .*python -m preprocess\.webvision_mini"):
        load(flags(tmp_path, "--method=fsr", "--use_imagenet_as_eval"))
    with pytest.raises(UsageError, match=r"probe_100.*2 trusted images of each class.*--probes_per_class 2"):
        load(flags(tmp_path, "--method=ieg"))
    assert load(flags(tmp_path, "--method=fsr")).fingerprint == load(flags(folder, "--method=fsr")).fingerprint
    with pytest.raises(webvision.DataError, match="make data-webvision-mini"):
        load(flags(tmp_path / "nowhere", "--method=supervised"))


def test_the_command_line_says_how_to_get_imagenet(folder, tmp_path):
    shutil.copytree(folder / "tensorflow_datasets", tmp_path / "tensorflow_datasets")
    arguments = [*SMALL, "--method=fsr", "--queue_capacity=100", "--queue_bs=50", "--use_imagenet_as_eval"]
    _, err = run(*arguments, f"--dataset_dir={tmp_path}", code=2)
    assert "python -m data list imagenet" in err and "Traceback" not in err


def test_probes_of_another_number_are_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "data")
    probe_records(tmp_path / "data", 3).parent.mkdir()
    shutil.copy(probe_records(folder, 2), probe_records(tmp_path / "data", 3))
    with pytest.raises(UsageError, match="holds 100 images, 2 to 2 a class; webvisionmini_3 has 3"):
        load(flags(tmp_path / "data", "--method=l2r", "--dataset=webvisionmini_3"))


def test_probes_are_interleaved_by_class(folder):
    images, labels = webvision.probes(folder, parse_dataset_name("webvisionmini_2"))
    np.testing.assert_array_equal(labels, [*range(50), *range(50)])
    stored, classes = read_records(probe_records(folder, 2))
    assert images[50 + 7] == stored[int(np.flatnonzero(classes == 7)[1])]


def test_an_imagenet_test_set_without_all_classes_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "data")
    path = imagenet_records(tmp_path / "data")
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))][:30]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    given = flags(tmp_path / "data", "--method=fsr", "--use_imagenet_as_eval")
    with pytest.raises(UsageError, match="holds 30 images"):
        webvision.test_sets(given, load(given), 32)


def test_the_size_of_the_set_is_that_of_the_folder(folder):
    described = datasets.describe(flags(folder, "--method=supervised"))
    assert (described.name, described.num_images) == ("webvision-mini", 100)


def test_other_probes_and_other_test_images_have_another_fingerprint(folder, tmp_path):
    """Of runs that look at them; by the content, not by name and size."""
    shutil.copytree(folder, tmp_path / "data")
    methods = ("--method=l2r",), ("--method=fsr", "--use_imagenet_as_eval"), ("--method=fsr",)

    def prints():
        return [load(flags(tmp_path / "data", *method)).fingerprint for method in methods]

    before = prints()
    assert len(set(before)) == 3
    for path in (probe_records(tmp_path / "data", 2), imagenet_records(tmp_path / "data")):
        records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in reversed(records):
                writer.write(record)
    assert [after == was for after, was in zip(prints(), before, strict=True)] == [False, False, True]


def test_an_image_that_was_cut_off_late_is_named_before_training(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "data")
    train, val = list_webvision(tmp_path / "data")
    cut, longer = train.files()[3], val.files()[5]
    Path(cut).write_bytes(Path(cut).read_bytes()[:-3])
    with open(longer, "ab") as file:
        file.write(b"\r\n")
    with pytest.raises(webvision.DataError, match=rf"^1 of 200 files cannot be read as images: {cut} \(.*truncated"):
        datasets.describe(flags(tmp_path / "data", "--method=supervised"))


def test_another_tree_has_another_fingerprint(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "data")
    before = load(flags(folder, "--method=supervised"))
    train, _ = list_webvision(tmp_path / "data")
    (train.root / train.paths[5]).rename(train.root / train.paths[5].replace("_1", "_9"))
    assert load(flags(tmp_path / "data", "--method=supervised")).fingerprint != before.fingerprint
    assert webvision_root(folder).is_dir()
