"""preprocess/webvision_mini.py, which needs TensorFlow for what it writes."""

import contextlib
import io
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy.io import savemat

from data import webvision
from data.webvision import WNIDS, imagenet_records, list_webvision, probe_records, webvision_root
from ieg.datasets.image_files import read_records
from preprocess.imagenet_source import DEVKIT, TRAIN_ARCHIVE, VAL_ARCHIVE, open_source
from preprocess.webvision_mini import main
from tests.data.helpers import tar_bytes
from tests.ieg.photographs import ROOT, image_tree, webvision_tree


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """WebVision mini and ImageNet in small: data/ and imagenet/."""
    base = tmp_path_factory.mktemp("trees")
    webvision_tree(base / "data", 2)
    image_tree(base / "imagenet", ("train", "val"), 3, first=200)
    return base


@pytest.fixture
def data(trees, tmp_path):
    shutil.copytree(trees / "data", tmp_path / "data")
    return tmp_path / "data"


def run(*arguments, inside=False):
    """Exit code, output and errors of the program; here, or as a process inside its folder."""
    if inside:
        command = [sys.executable, "webvision_mini.py", *map(str, arguments)]
        done = subprocess.run(command, cwd=ROOT / "preprocess", capture_output=True, text=True, timeout=300)
        return done.returncode, done.stdout, done.stderr
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([*map(str, arguments)])
        except SystemExit as stop:
            code = stop.code
    return code, out.getvalue(), err.getvalue()


def test_it_says_what_is_missing_and_how_to_get_it(tmp_path, data):
    code, out, err = run("--dataset_dir", tmp_path, inside=True)
    assert code == 1
    assert "make data-webvision-mini" in err
    assert "--imagenet_path /data/imagenet" in err and "python -m data list imagenet" in err
    assert "probe_500" in err and "imagenet2012-val" in err
    code, out, err = run("--dataset_dir", data, "--decode", "--jobs", "1")
    assert (code, "100 images, 2 to 2 in each of 50 classes" in out) == (1, True)
    assert "make data-webvision-mini" not in err


def test_everything_is_made_once_and_used_again(trees, data):
    arguments = ("--dataset_dir", data, "--imagenet_path", trees / "imagenet", "--probes_per_class", "2")
    code, out, err = run(*arguments)
    assert (code, out.splitlines()[-1]) == (0, "everything is there")
    assert "from the whole of ImageNet it would be 2,500 images" in err
    tests, probes = imagenet_records(data), probe_records(data, 2)
    assert probes.relative_to(data).as_posix() == "probe_100/imagenet2012-probe.tfrecord-1-of-1"
    images, labels = read_records(tests)
    assert labels.tolist() == [k for k in range(50) for _ in range(3)]
    assert images[4] == (trees / "imagenet" / "val" / WNIDS[1] / f"{WNIDS[1]}_1.jpg").read_bytes()
    chosen, labels = read_records(probes)
    assert np.bincount(labels).tolist() == [2] * 50
    there = {path.read_bytes() for path in (trees / "imagenet" / "train" / WNIDS[7]).iterdir()}
    assert {chosen[14], chosen[15]} < there
    stamps = [path.stat().st_mtime_ns for path in (tests, probes)]
    assert run(*arguments)[0] == 0
    assert run("--dataset_dir", data, "--probes_per_class", "2")[0] == 0  # ImageNet itself may be gone by now
    assert [path.stat().st_mtime_ns for path in (tests, probes)] == stamps
    probes.write_bytes(probes.read_bytes()[:-50])
    code, _, err = run("--dataset_dir", data, "--probes_per_class", "2")
    assert (code, "probe_100" in err and "damaged" in err) == (1, True)
    assert run(*arguments)[0] == 0
    assert read_records(probes)[0] == chosen


def test_a_whole_file_of_other_images_is_neither_taken_nor_replaced(trees, data):
    arguments = ("--dataset_dir", data, "--imagenet_path", trees / "imagenet", "--probes_per_class", "1")
    assert run(*arguments)[0] == 0
    made = probe_records(data, 1).read_bytes()
    code, _, err = run(*arguments, "--seed", "7")
    assert code == 2
    assert f"{probe_records(data, 1)} holds other images than " in err and "--seed 7 selects" in err
    assert probe_records(data, 1).read_bytes() == made
    code, _, err = run("--dataset_dir", data, "--probes_per_class", "1", "--seed", "7")
    assert (code, "--seed 7 selects images of ImageNet: give --imagenet_path too" in err) == (2, True)
    probe_records(data, 1).unlink()
    assert run(*arguments, "--seed", "7")[0] == run(*arguments, "--seed", "7")[0] == 0
    assert probe_records(data, 1).read_bytes() != made


@pytest.mark.slow
def test_stopped_while_writing_nothing_half_is_left(trees, data):
    program = [sys.executable, "-m", "preprocess.webvision_mini"]
    command = [*program, "--dataset_dir", str(data), "--imagenet_path", str(trees / "imagenet")]
    process = subprocess.Popen(
        [*command, "--probes_per_class", "3"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    folder = imagenet_records(data).parent
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None and not folder.exists():
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (0, 130), err  # it may have been done already
    assert "Traceback" not in err
    assert [path.name for path in folder.iterdir()] in ([], [imagenet_records(data).name])
    assert subprocess.run([*command, "--probes_per_class", "3"], cwd=ROOT, capture_output=True).returncode == 0


def test_damaged_images_are_named(data):
    train, _ = list_webvision(data)
    for place in (3, 60):
        file = train.root / train.paths[place]
        file.write_bytes(file.read_bytes()[:600])
    code, _, err = run("--dataset_dir", data, "--decode", "--jobs", "2")
    assert code == 1
    assert "2 of 200 images cannot be decoded" in err
    assert train.paths[3] in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--imagenet_path", "/nowhere"], "neither train/ and val/"),
        (["--probes_per_class", "0"], "--probes_per_class 0"),
        (["--no_such_flag"], "no_such_flag"),
    ],
)
def test_mistakes_end_with_2(arguments, message):
    code, _, err = run(*arguments)
    assert (code, message in err) == (2, True)


def test_too_few_images_for_the_probes(trees, data):
    code, _, err = run("--dataset_dir", data, "--imagenet_path", trees / "imagenet", "--probes_per_class", "4")
    assert (code, "has 3 training images; ask for fewer" in err) == (2, True)


# ---------------------------------------------------------------------- the archives


def image(text):
    """One pixel, and a comment."""
    return f"P6\n# {text}\n1 1\n255\nabc".encode()


@pytest.fixture
def archives(tmp_path):
    """60 classes in the devkit's own order, three training and two validation images of each."""
    wnids = [*WNIDS, *(f"n9000000{k}" for k in range(10))]
    order = np.random.default_rng(0).permutation(60)
    synsets = np.array(
        [(k + 1, wnids[place]) for k, place in enumerate(order)], dtype=[("ILSVRC2012_ID", int), ("WNID", object)]
    )
    meta = io.BytesIO()
    savemat(meta, {"synsets": synsets})
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(60), 2))
    truth = "".join(f"{label + 1}\n" for label in labels).encode()
    folder = tmp_path / "archives"
    folder.mkdir()
    devkit = {"kit/data/meta.mat": meta.getvalue(), "kit/data/ILSVRC2012_validation_ground_truth.txt": truth}
    (folder / DEVKIT).write_bytes(tar_bytes(devkit))
    inner = {
        f"{wnid}.tar": tar_bytes({f"{wnid}_{k}.JPEG": image(f"train {wnid} {k}") for k in range(3)}, "w")
        for wnid in wnids
    }
    (folder / TRAIN_ARCHIVE).write_bytes(tar_bytes(inner, "w"))
    val = {
        f"ILSVRC2012_val_{k + 1:08d}.JPEG": image(f"val {wnids[order[label]]} {k}") for k, label in enumerate(labels)
    }
    (folder / VAL_ARCHIVE).write_bytes(tar_bytes(val, "w"))
    return folder


def test_archives_are_read_in_place(archives):
    source = open_source(archives)
    for split, count in (("train", 3), ("val", 2)):
        names = source.names(split, WNIDS)
        assert list(names) == list(WNIDS)
        for wnid, images in names.items():
            assert len(images) == count
            for name in images:
                assert f"# {split} {wnid} " in source.read(split, wnid, name).decode()


def test_archives_make_the_same_files(archives, tmp_path):
    code, _, err = run("--dataset_dir", tmp_path, "--imagenet_path", archives, "--probes_per_class", "1")
    assert code == 1, err  # WebVision itself is not there
    images, labels = read_records(imagenet_records(tmp_path))
    assert [image.decode().split()[3] for image in images] == [WNIDS[label] for label in labels]
    assert len(read_records(probe_records(tmp_path, 1))[0]) == 50


def test_broken_archives_are_refused(archives, tmp_path):
    (archives / DEVKIT).rename(tmp_path / "away")
    code, _, err = run("--dataset_dir", tmp_path, "--imagenet_path", archives)
    assert (code, "holds the validation labels" in err) == (2, True)
    (tmp_path / "away").rename(archives / DEVKIT)
    whole = (archives / VAL_ARCHIVE).read_bytes()
    (archives / VAL_ARCHIVE).write_bytes(whole[: len(whole) // 2])
    code, _, err = run("--dataset_dir", tmp_path, "--imagenet_path", archives)
    assert (code, "download it again" in err and len(err.splitlines()) == 1) == (2, True), err


# ---------------------------------------------------------------------- the tree


def test_ids_are_places_in_the_sorted_tree(data):
    train, val = list_webvision(data)
    assert train.labels == tuple(k for k in range(50) for _ in range(2))
    assert list(train.paths) == sorted(train.paths)
    assert train.paths[2].startswith(WNIDS[1])
    (train.root / WNIDS[0] / ".hidden.jpg").write_text("")
    (train.root / WNIDS[0] / "notes.txt").write_text("")
    assert list_webvision(data)[0] == train
    assert val.root.name == "val"


def test_tensorflow_datasets_reads_the_same_tree(data):
    import tensorflow_datasets as tfds

    builder = tfds.folder_dataset.ImageFolder(str(webvision_root(data)))
    train, _ = list_webvision(data)
    assert builder.info.splits["train"].num_examples == len(train.paths)
    assert builder.info.features["label"].names == list(WNIDS)
    theirs = {
        (str(example["image/filename"].numpy().decode()), int(example["label"]))
        for example in builder.as_dataset(split="train", decoders={"image": tfds.decode.SkipDecoding()})
    }
    assert theirs == set(zip(train.files(), train.labels, strict=True))


def test_numbered_folders_count_by_their_number_and_strangers_are_refused(data):
    for split in ("train", "val"):
        for k, wnid in enumerate(WNIDS):
            (webvision_root(data) / split / wnid).rename(webvision_root(data) / split / str(k))
    train, _ = list_webvision(data)
    assert train.paths[2 * 10].startswith("10/")
    assert train.labels[2 * 10] == 10
    for split in ("train", "val"):
        (webvision_root(data) / split / "49").rename(webvision_root(data) / split / "50")
    with pytest.raises(webvision.DataError, match="as numbers they must be"):
        list_webvision(data)


def test_other_classes_than_imagenets_first_are_refused(data):
    for split in ("train", "val"):
        (webvision_root(data) / split / WNIDS[4]).rename(webvision_root(data) / split / "n09999999")
    with pytest.raises(webvision.DataError, match="n01494475, n09999999"):
        list_webvision(data)
    shutil.rmtree(webvision_root(data) / "train" / "n09999999")
    with pytest.raises(webvision.DataError, match="49 class folders"):
        list_webvision(data)


def test_the_first_classes_are_those_of_the_photographs():
    from tests.ieg.photographs import photographs

    assert [path.name[:9] for path in photographs()[:50]] == list(WNIDS)
