"""eval_robustness.py: the columns against a loop over images, shape bias, what is refused."""

import csv
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from common.errors import UsageError
from common.pytorch.torch_files import read_tensors, write_tensors
from data.imagenet100 import WNIDS
from data.imagenet_c import CORRUPTIONS, SEVERITIES
from moco_nonsem import eval_robustness
from moco_nonsem.images.image_tree import ImageTree, read_tree
from moco_nonsem.images.normalisation import normalise
from moco_nonsem.linear_probe.network import LinearNetwork
from moco_nonsem.robustness.score import relabelled, three_accuracies
from moco_nonsem.robustness.shape_bias import cue_metrics, texture_numbers, textures_of
from tests.moco_nonsem.small_runs import CLASSES, make_tree
from tests.programs import ROOT, metrics_of, result_of, start

SIZE = 16
SMALL = ["--arch=resnet10-small", f"--image-size={SIZE}", "--batch-size=4", "--workers=0"]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A network that has learnt nothing; its logits of classes that are never right are large now and then."""
    path = tmp_path_factory.mktemp("classifier") / "checkpoint_robust_0000.pth.tar"
    network = LinearNetwork("resnet10-small", 1)
    with torch.no_grad():
        network.classifier.weight.normal_(0, 1, generator=torch.Generator().manual_seed(1))
        network.classifier.weight[3:].mul_(0.4)
    write_tensors(path, {"epoch": 1, "arch": "resnet10-small", "state_dict": network.state(), "classes": list(CLASSES)})
    return path


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """val/, a sketch tree with two of three classes and a strange one, and 75 small corrupted trees."""
    root = tmp_path_factory.mktemp("sets")
    make_tree(root / "data", train=1, val=4)
    for name, classes in {"sketch": ("n01", "n03"), "rendition": ("n02",)}.items():
        for place in classes:
            shutil.copytree(root / "data" / "val" / place, root / name / place)
    shutil.copytree(root / "data" / "val" / "n02", root / "sketch" / "n99")
    (root / "sketch" / "n99" / "damaged.JPEG").write_bytes(b"no image")  # of a class that is not scored
    rng = np.random.default_rng(2)
    for corruption in CORRUPTIONS:
        for severity in SEVERITIES:
            for name in CLASSES[:2]:
                folder = root / "c" / corruption / str(severity) / name
                folder.mkdir(parents=True)
                Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)).save(folder / "1.png")
    cues = root / "cues"
    # More of the later shapes: else a network that takes every image for one class follows both cues as often.
    for shape, count in zip(CLASSES, (2, 3, 5), strict=True):
        (cues / shape).mkdir(parents=True)
        for texture in CLASSES:
            for number in range(count):
                image = Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8))
                image.save(cues / shape / f"{shape}_{texture}_{number}.png")
    return root


def logits_of(path, network, resize):
    """One image, by Pillow; small images are not resized here, so their pixels are exact."""
    from torchvision.transforms import v2

    image = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)
    if resize:
        image = v2.Resize(round(SIZE * 256 / 224), antialias=True)(image)
    image = v2.CenterCrop(SIZE)(image)
    return network.logits(normalise(image[None].float()))[0]


@pytest.fixture(scope="module")
def run(classifier, sets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("robustness") / "run"
    assert eval_robustness.main([
        str(classifier), *SMALL, f"--val={sets / 'data' / 'val'}", f"--sketch={sets / 'sketch'}",
        f"--rendition={sets / 'rendition'}", f"--imagenet-c={sets / 'c'}", f"--cue-conflict={sets / 'cues'}",
        f"--run_dir={folder}",
    ]) == 0  # fmt: skip
    return folder


def slow_accuracies(network, folder, resize, known=CLASSES):
    """Image by image: over the trained classes, all logits, the classes present."""
    counts, total = [0, 0, 0], 0
    present = [place for place, name in enumerate(known) if (folder / name).is_dir()]
    for place in present:
        for path in (folder / known[place]).iterdir():
            row = logits_of(path, network, resize).tolist()
            counts[0] += max(range(3), key=row.__getitem__) == place
            counts[1] += max(range(1000), key=row.__getitem__) == place
            counts[2] += max(present, key=row.__getitem__) == place
            total += 1
    return [count / total for count in counts]


def test_the_columns_are_those_of_a_loop_over_images(run, classifier, sets):
    network = LinearNetwork("resnet10-small", 0)
    network.restore(read_tensors(classifier)["state_dict"], "x")
    (found,) = metrics_of(run)
    for name, folder in {"in100": "data/val", "sketch": "sketch", "rendition": "rendition"}.items():
        expected = slow_accuracies(network, sets / folder, resize=True)
        assert [found[name + end] for end in ("", "/all_logits", "/present")] == pytest.approx(expected), name
    corrupted = [
        slow_accuracies(network, sets / "c" / name / str(level), resize=False)
        for name in CORRUPTIONS
        for level in SEVERITIES
    ]
    assert [found["c" + end] for end in ("", "/all_logits", "/present")] == pytest.approx(np.mean(corrupted, axis=0))
    with open(run / "corruptions.csv") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows[1:]] == list(CORRUPTIONS)
    table = [[float(value) for value in row[1:6]] for row in rows[1:]]
    assert np.reshape(table, -1) == pytest.approx([values[0] for values in corrupted])
    assert [float(row[6]) for row in rows[1:]] == pytest.approx(np.mean(table, axis=1))


def test_the_record_and_the_printed_tables(run, classifier):
    result = result_of(run)
    (line,) = metrics_of(run)
    assert result["finished"]
    assert result["metrics"] == {name: value for name, value in line.items() if name not in ("step", "epoch")}
    fingerprint = hashlib.sha256(classifier.read_bytes()).hexdigest()
    assert f'checkpoint_sha256: "{fingerprint}"' in (run / "config.yml").read_text()
    assert result["notes"]["scored"]["sketch"] == {"images": 8, "classes": 2, "left_out": 1}
    text = (run / "robustness.md").read_text()
    for word in (
        "over all 1,000",
        "over the classes present",
        "Sketch: 8 images of 2 classes",
        "jpeg_compression",
        "shape_bias",
    ):
        assert word in text


def test_shape_bias_against_a_loop(run, classifier, sets):
    network = LinearNetwork("resnet10-small", 0)
    network.restore(read_tensors(classifier)["state_dict"], "x")
    by_shape = by_texture = conflicts = agree = agreeing = 0
    for path in sorted((sets / "cues").rglob("*.png")):
        shape, texture, _ = path.stem.split("_")
        row = logits_of(path, network, resize=True)[:3].tolist()
        guess = CLASSES[row.index(max(row))]
        if shape == texture:
            agreeing, agree = agreeing + 1, agree + (guess == shape)
        else:
            conflicts += 1
            by_shape, by_texture = by_shape + (guess == shape), by_texture + (guess == texture)
    (found,) = metrics_of(run)
    assert (agreeing, conflicts) == (10, 20) and by_shape != by_texture
    assert found["cue_agree"] == pytest.approx(agree / agreeing)
    assert found["cue_conflict"] == pytest.approx(by_shape / conflicts)
    assert found["cue_texture"] == pytest.approx(by_texture / conflicts)
    assert found["shape_bias"] == pytest.approx(by_shape / (by_shape + by_texture))


def test_cue_metrics_by_hand():
    decisions, shapes, textures = (np.array(values) for values in ([0, 1, 2, 2, 0], [0, 1, 1, 0, 2], [0, 2, 2, 1, 0]))
    assert cue_metrics(decisions, shapes, textures) == {
        "cue_agree": 1.0, "cue_conflict": 0.25, "cue_texture": 0.5, "shape_bias": pytest.approx(1 / 3),
    }  # fmt: skip
    assert cue_metrics(np.array([2]), np.array([0]), np.array([1])) == {"cue_conflict": 0.0, "cue_texture": 0.0}
    assert cue_metrics(np.array([0]), np.array([0]), np.array([0])) == {"cue_agree": 1.0}


def test_labels_are_places_among_the_trained_classes_not_of_folders(sets):
    known, left_out = relabelled(read_tree(sets / "sketch"), CLASSES)
    assert left_out == 1 and known.labels.tolist() == [0] * 4 + [2] * 4
    assert {path.parent.name for path in known.paths} == {"n01", "n03"}


def test_three_ways_of_counting():
    logits = torch.zeros(2, 1000)
    logits[0, [0, 1, 700]] = torch.tensor([1.0, 2.0, 3.0])
    logits[1, 2] = 1.0
    assert three_accuracies(logits, torch.tensor([0, 2]), 3) == (0.5, 0.5, 1.0)
    assert three_accuracies(logits, torch.tensor([1, 2]), 3) == (1.0, 0.5, 1.0)


def test_the_classes_of_a_file_of_the_authors_are_imagenet100s(classifier, sets, tmp_path, capfd):
    """By place in the sorted list, whatever folders there are."""
    content = read_tensors(classifier)
    del content["classes"]
    given = tmp_path / "authors.pth.tar"
    torch.save(content, given, _use_new_zipfile_serialization=False)
    for source, wnid in (("n01", WNIDS[1]), ("n02", WNIDS[40])):
        shutil.copytree(sets / "data" / "val" / source, tmp_path / "sketch" / wnid)
    common = [str(given), *SMALL, f"--run_dir={tmp_path / 'run'}"]
    assert eval_robustness.main([*common, f"--sketch={sets / 'sketch'}"]) == 2
    assert "100 classes" in capfd.readouterr().err
    assert eval_robustness.main([*common, f"--sketch={tmp_path / 'sketch'}"]) == 0
    network = LinearNetwork("resnet10-small", 0)
    network.restore(content["state_dict"], "x")
    right = 0
    for place in (1, 40):
        for path in (tmp_path / "sketch" / WNIDS[place]).iterdir():
            right += logits_of(path, network, resize=True)[:100].argmax().item() == place
    assert result_of(tmp_path / "run")["metrics"]["sketch"] == pytest.approx(right / 8)


def test_mistakes_are_one_sentence(classifier, sets, tmp_path, capfd):
    lacking = tmp_path / "c"
    shutil.copytree(sets / "c", lacking)
    shutil.rmtree(lacking / "fog" / "3")
    strange = tmp_path / "cues"
    (strange / "n01").mkdir(parents=True)
    shutil.copy(next((sets / "cues" / "n01").iterdir()), strange / "n01" / "picture.png")
    other = tmp_path / "other"
    shutil.copytree(sets / "data" / "val" / "n01", other / "n77")
    for arguments, words in [
        ([], ["nothing to score", "--val"]),
        ([f"--imagenet-c={lacking}"], ["lacks 1 of 75", "fog/3"]),
        ([f"--cue-conflict={strange}"], ["picture.png", "n01_TEXTURE_NUMBER.png"]),
        ([f"--sketch={other}"], ["n77", "3 classes"]),
        ([f"--sketch={tmp_path / 'nowhere'}"], ["nowhere"]),
        ([f"--imagenet-c={sets / 'c'}", "--image-size=32"], ["--c-resize"]),
    ]:
        assert eval_robustness.main([str(classifier), *SMALL, f"--run_dir={tmp_path / 'run'}", *arguments]) == 2
        (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
        assert all(word in line for word in words), line
    assert eval_robustness.main([str(tmp_path / "no.pth.tar"), *SMALL, f"--sketch={other}"]) == 2
    assert "no.pth.tar" in capfd.readouterr().err


@pytest.mark.parametrize("flag", ["--amp=bf16", "--compile", "--channels-last", "--save-minutes=1"])
def test_a_flag_of_training_is_refused_instead_of_ignored(flag, classifier, capsys):
    with pytest.raises(SystemExit) as stop:
        eval_robustness.main([str(classifier), *SMALL, "--val=x", flag])
    assert stop.value.code == 2 and f"unrecognized arguments: {flag}" in capsys.readouterr().err


def test_textures_are_read_from_names_with_underscores():
    """They are named as a class, or by what is in the names of images that agree."""
    classes = ("a_b", "c_d")

    def tree(*paths):
        return ImageTree(tuple(map(Path, paths)), np.array([0, 1]), classes)

    assert textures_of(tree("a_b_c_d_12.png", "c_d_c_d_0.png"), texture_numbers(classes, None)).tolist() == [1, 1]
    known = texture_numbers(classes, tree("a_b_wave_s_0.png", "c_d_dots_1.png"))
    assert textures_of(tree("a_b_dots_3.png", "c_d_wave_s_4.png"), known).tolist() == [1, 0]
    assert texture_numbers(classes, tree("a_b_7.png", "photograph.png")) == {"a_b": 0, "c_d": 1}
    with pytest.raises(UsageError, match="dots goes with a_b"):
        texture_numbers(classes, tree("a_b_dots_0.png", "c_d_dots_1.png"))


def test_the_embedded_set_is_understood(classifier, tmp_path):
    """shapes-textures as preprocess makes it: agreeing images in val/, conflicting ones in conflict/."""
    from preprocess import shapes_textures

    root = tmp_path / "shapes"
    assert shapes_textures.main([f"--path={root}", "--train=8", "--val=16", "--conflict=16", "--size=32"]) == 0
    content = read_tensors(classifier)
    content["classes"] = sorted(path.name for path in (root / "val").iterdir())
    torch.save(content, tmp_path / "shapes.pth.tar")
    run = tmp_path / "run"
    sets = [f"--val={root / 'val'}", f"--cue-conflict={root / 'conflict'}", f"--run_dir={run}"]
    assert eval_robustness.main([str(tmp_path / "shapes.pth.tar"), *SMALL, *sets]) == 0
    metrics = result_of(run)["metrics"]
    assert "cue_agree" not in metrics and 0 <= metrics["cue_conflict"] + metrics["cue_texture"] <= 1
    assert eval_robustness.main([str(tmp_path / "shapes.pth.tar"), *SMALL, *sets[1:2], f"--run_dir={run}-2"]) == 2


def test_check_and_the_program_from_inside_its_folder(classifier, sets, capsys):
    val = f"--val={sets / 'data' / 'val'}"
    assert eval_robustness.main([str(classifier), *SMALL, val, "--check"]) == 0
    assert 'program: "eval_robustness"' in capsys.readouterr().out
    process = start(["eval_robustness.py"], "--help", cwd=ROOT / "moco_nonsem")
    out, err = process.communicate()
    assert process.returncode == 0 and "--cue-conflict" in out, err


@pytest.mark.parametrize("part", ["c", "data"])
def test_check_reads_the_images_of_every_set(classifier, sets, tmp_path, capfd, part):
    shutil.copytree(sets, tmp_path / "sets")
    image = sorted(path for path in (tmp_path / "sets" / part).rglob("*") if path.suffix)[-1]
    image.write_bytes(image.read_bytes()[:-30])
    flags = [f"--imagenet-c={tmp_path / 'sets' / 'c'}", f"--val={tmp_path / 'sets' / 'data' / 'val'}"]
    assert eval_robustness.main([str(classifier), *SMALL, *flags, "--check"]) == 2
    assert f"1 file(s) cannot be read as images: {image} (" in capfd.readouterr().err
    assert eval_robustness.main([str(classifier), *SMALL, *flags, "--check", "--skip-unreadable"]) == 0


def test_one_ctrl_c_ends_it_before_the_next_batch(classifier, sets, tmp_path, monkeypatch, capfd):
    """The runner sends one SIGINT and waits; there are 75 sets, and the signal comes while the third is scored."""
    original, scored = LinearNetwork.logits, []

    def logits(self, images):
        scored.append(len(images))
        if len(scored) == 3:
            signal.raise_signal(signal.SIGINT)
        return original(self, images)

    monkeypatch.setattr(LinearNetwork, "logits", logits)
    command = [str(classifier), *SMALL, "--batch-size=1", f"--imagenet-c={sets / 'c'}", f"--run_dir={tmp_path / 'run'}"]
    assert eval_robustness.main(command) == 130
    assert len(scored) == 3
    err = capfd.readouterr().err
    assert "stopped while gaussian_noise-2 was scored" in err and "starts from the first set" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_two_processes_stop_together_at_the_runners_one_sigint(classifier, sets, tmp_path):
    """Sent to the whole group of processes, as the runner does."""
    distributed = ["--multiprocessing-distributed", "--processes=2", "--device=cpu", "--dist-backend=gloo"]
    arguments = [*SMALL, *distributed, "--batch-size=2", f"--imagenet-c={sets / 'c'}", f"--run_dir={tmp_path / 'run'}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "moco_nonsem.eval_robustness", str(classifier), *arguments], cwd=ROOT, text=True,
        stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "gaussian_noise 1: " in line:
            break
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert err.count("stopped while") == 1 and "Traceback" not in err
    assert "jpeg_compression 5: " not in err and not (tmp_path / "run").exists()
