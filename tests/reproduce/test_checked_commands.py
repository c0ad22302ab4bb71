"""Every distinct command of the papers' tables is taken by its program's own --check, on data made up here.

A program is imported once for all of its commands. Folders and seeds do not make commands distinct.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import pytest
import yaml

from reproduce.cells import load_tables
from tests.data.standin import write_cifar

NEEDS = {"ieg": "tensorflow", "re_sln": "torch", "moco_nonsem": "torch"}
EVERY = [cell for table in load_tables().values() for cell in table.cells]


def commands(sub_project: str) -> dict[str, tuple[list[str], dict[str, object]]]:
    """Each distinct command, and the flags that its cell gives that stage."""
    found: dict[str, tuple[list[str], dict[str, object]]] = {}
    for cell in EVERY:
        for sample in cell.samples if cell.sub_project == sub_project else ():
            stages = cell.commands(cell.seeds[0], Path("FOLDER"), sample, Path("DATA"))
            for stage, words in zip(cell.stages, stages, strict=True):
                flags = cell.flags[stage.name] if stage.name else cell.flags
                found[" ".join(words)] = (words, {**stage.flags, **flags})
    return found


def cases(sub_project: str) -> list[object]:
    return [
        pytest.param(words, flags, id=line.removeprefix("python -m ").partition(" --checkpoint_path=")[0])
        for line, (words, flags) in commands(sub_project).items()
    ]


def installed(sub_project: str) -> None:
    if importlib.util.find_spec(NEEDS[sub_project]) is None:
        pytest.skip(f"{sub_project} needs {NEEDS[sub_project]}, which is in the other environment")


def checked(words: list[str], folder: Path, data_dir: Path, *more: str) -> int:
    own = [word.replace("FOLDER", str(folder)).replace("DATA", str(data_dir)) for word in words]
    return importlib.import_module(own[2]).main([*own[3:], *more, "--check"])


def said(capfd: pytest.CaptureFixture[str], flags: dict[str, object]) -> None:
    """The config.yml that was printed has what the cell says, as far as it keeps these flags."""
    config = yaml.safe_load(capfd.readouterr().out)
    names = {name: name.replace("-", "_") for name in flags}
    kept = {name: config[names[name]] for name in flags if names[name] in config}
    assert len(kept) >= 1
    for name, value in kept.items():
        given = flags[name]
        same = value == given or str(value).lower() == str(given).lower()
        assert same or float(value) == float(str(given)), f"{name}: {value} there, {given} in the cell"


@pytest.fixture(scope="module")
def cifar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    installed("ieg")
    folder = tmp_path_factory.mktemp("cifar")
    for name in ("cifar10", "cifar100"):
        write_cifar(folder, name)
    return folder


@pytest.fixture(scope="module")
def webvision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """WebVision mini with ImageNet's images of its classes, in small."""
    installed("ieg")
    from preprocess.webvision_mini import main as prepare
    from tests.ieg.photographs import image_tree, webvision_tree

    folder = tmp_path_factory.mktemp("webvision")
    webvision_tree(folder / "data", 2)
    image_tree(folder / "imagenet", ("train", "val"), 10, first=200)
    assert prepare(["--dataset_dir", str(folder / "data"), "--imagenet_path", str(folder / "imagenet")]) == 0
    return folder / "data"


@pytest.mark.parametrize(("words", "flags"), cases("ieg"))
def test_ieg(
    words: list[str],
    flags: dict[str, object],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    place = request.getfixturevalue("webvision" if "--dataset=webvisionmini" in words else "cifar")
    monkeypatch.setenv("DATA_DIR", str(place))
    capfd.readouterr()  # what was said while the data was made
    assert checked(words, tmp_path, place, "--allow_unverified") == 0
    said(capfd, flags)


@pytest.fixture(scope="module")
def sln_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    installed("re_sln")
    from tests.re_sln.stand_ins import write_all

    folder = tmp_path_factory.mktemp("re_sln")
    write_all(folder)
    return folder


@pytest.mark.parametrize(("words", "flags"), cases("re_sln"))
def test_re_sln(
    words: list[str],
    flags: dict[str, object],
    sln_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATA_DIR", str(sln_data))
    more = ["--weights=none"] if "clothing1m" in words[2] else []  # of 98 MB, which the program asks for
    assert checked(words, tmp_path, sln_data, "--allow_unverified", *more) == 0
    said(capfd, flags)


@pytest.fixture(scope="module")
def moco_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/: the sets of ImageNet-100, one batch of 512 in training; and the networks that earlier stages leave."""
    installed("moco_nonsem")
    from common.pytorch.torch_files import write_tensors
    from data.imagenet100 import WNIDS
    from data.imagenet_c import CORRUPTIONS, SEVERITIES
    from moco_nonsem.linear_probe.network import LinearNetwork
    from moco_nonsem.model.encoder import build_encoder
    from moco_nonsem.running import checkpoint
    from tests.moco_nonsem.photographs import picture

    root = tmp_path_factory.mktemp("moco_nonsem")
    counts = {"imagenet100/train": 6, "imagenet100/val": 1, "imagenet100-texture/train": 6}
    counts |= dict.fromkeys(("imagenet100-sketch", "imagenet100-stylized", "imagenet100-r"), 1)
    for name, count in counts.items():
        for wnid in WNIDS:
            folder = root / "data" / name / wnid
            folder.mkdir(parents=True)
            for number in range(count):
                picture(number).save(folder / f"{wnid}_{number}.{'png' if 'texture' in name else 'JPEG'}")
    for corruption in CORRUPTIONS:
        for severity in SEVERITIES:
            for wnid in WNIDS:
                folder = root / "data" / "imagenet100-c" / corruption / str(severity) / wnid
                folder.mkdir(parents=True)
                (folder / "0.JPEG").hardlink_to(root / "data" / "imagenet100" / "val" / wnid / f"{wnid}_0.JPEG")
    encoder = {f"encoder_q.{key}": value for key, value in build_encoder("resnet50", 128, True, 0).state_dict().items()}
    networks = {
        "pretrain/checkpoint_0199.pth.tar": checkpoint.prefixed(encoder),
        "lincls/checkpoint_robust_0199.pth.tar": LinearNetwork("resnet50", 0).state(),
    }
    for name, state in networks.items():
        (root / name).parent.mkdir()
        write_tensors(root / name, {"epoch": 200, "arch": "resnet50", "state_dict": state})
    return root


@pytest.mark.parametrize(("words", "flags"), cases("moco_nonsem"))
def test_moco_nonsem(
    words: list[str], flags: dict[str, object], moco_place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert checked(words, moco_place, moco_place / "data") == 0
    said(capfd, flags)


def test_no_sub_project_is_left_out() -> None:
    assert {cell.sub_project for cell in EVERY} == set(NEEDS)
    assert all(len(commands(name)) > 10 for name in NEEDS)


@pytest.mark.parametrize(
    ("name", "data", "wrong"),
    [("ieg", "cifar", "--dataset=cifar100_asymmetric_0.4"), ("re_sln", "sln_data", "--lc_n_epoch=3")],
)
def test_a_flag_that_is_wrong_is_found(
    name: str,
    data: str,
    wrong: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """What these tests stand on: --check refuses, and a value that is not the cell's is seen."""
    installed(name)
    place = request.getfixturevalue(data)
    monkeypatch.setenv("DATA_DIR", str(place))
    words, flags = next(iter(commands(name).values()))
    assert checked(words, tmp_path, place, "--allow_unverified", wrong) == 2
    assert checked(words, tmp_path, place, "--allow_unverified", "--batch_size=16") == 0
    with pytest.raises(AssertionError, match="batch_size: 16 there, 128 in the cell"):
        said(capfd, {**flags, "batch_size": 128})
