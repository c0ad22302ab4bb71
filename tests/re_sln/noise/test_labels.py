import dataclasses
import errno
import hashlib
import logging
import os
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from common.errors import DataError, UsageError
from common.results.tables import csv_text
from data.cifar import load_cifar
from data.digits import load_digits
from data.photograph_patches import photograph_patches
from re_sln.noise import noise_files
from re_sln.noise.labels import check_request, noisy_labels
from re_sln.noise.noise_request import needs_predictions
from tests.data.standin import write_cifar
from tests.re_sln.noise_inputs import ROOT, request, toy_dataset

LABELS = np.random.default_rng(0).integers(0, 10, size=2000)
TOY = toy_dataset(LABELS)


def files_of(place, dataset_name="cifar10"):
    folder = place / "label_noisy" / dataset_name
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


@pytest.fixture
def standins(tmp_path):
    """CIFAR-10 and CIFAR-100 in the official layout, and the former as it is read."""
    write_cifar(tmp_path, "cifar10", train=300, test=20)
    write_cifar(tmp_path, "cifar100", train=200, test=100)
    return tmp_path, load_cifar("cifar10", tmp_path, allow_unverified=True)


# What is made


@pytest.mark.parametrize("rng", ["independent", "rerun"])
@pytest.mark.parametrize("mode", ["sym", "asym"])
@pytest.mark.parametrize("dataset_name, num_classes", [("cifar10", 10), ("cifar100", 100), ("digits", 10)])
def test_a_missing_file_is_made_then_read(tmp_path, caplog, mode, dataset_name, num_classes, rng):
    labels = np.arange(3000) % num_classes
    dataset, asked = toy_dataset(labels, num_classes), request(tmp_path, dataset_name, mode, custom_rng=rng)
    with caplog.at_level(logging.INFO):
        made = noisy_labels(asked, dataset)
    assert made.path is not None and f"made {made.path}" in caplog.text and "seed 123" in caplog.text
    lines = made.path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "label,label_noisy"
    assert [tuple(map(int, line.split(","))) for line in lines[1:]] == list(zip(labels, made.given, strict=True))
    assert made.given.dtype == np.int64 and np.array_equal(made.is_noisy, made.given != labels)
    assert 0 < made.is_noisy.mean() < 0.6 and made.images is None
    assert made.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()
    assert [set(rule) for rule in made.rules] == [{"src", "dsts", "p"}] * len(made.rules)
    for rule in made.rules:
        given = set(made.given[made.is_noisy & (labels == int(rule["src"]))].tolist())
        assert given <= set(map(int, rule["dsts"].strip("[]").split(","))) and rule["p"] == "0.4"
    before = files_of(tmp_path, dataset_name)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        again = noisy_labels(asked, dataset)
    assert not caplog.text and files_of(tmp_path, dataset_name) == before and len(before) == 2
    assert np.array_equal(again.given, made.given) and (again.rules, again.sha256) == (made.rules, made.sha256)


def test_files_of_other_seeds_rates_and_ways_to_draw_have_other_names(tmp_path):
    ways: list[dict[str, Any]] = [
        {}, {"seed": 5}, {"p": 0.45}, {"p": 0.5}, {"custom_rng": "rerun"}, {"asym_rules": "rerun"},
        {"custom_rng": "rerun", "asym_rules": "rerun"},
    ]  # fmt: skip
    found = [noisy_labels(request(tmp_path, mode="asym", **way), TOY) for way in ways]
    assert [noise.path.name for noise in found if noise.path] == [
        "asym0.4_custom_seed123.csv", "asym0.4_custom_seed5.csv", "asym0.45_custom_seed123.csv",
        "asym0.5_custom_seed123.csv", "asym0.4_custom_seed123_rng-rerun.csv", "asym0.4_custom_seed123_rules-rerun.csv",
        "asym0.4_custom_seed123_rng-rerun_rules-rerun.csv",
    ]  # fmt: skip
    assert len({noise.sha256 for noise in found}) == len(ways)
    # Where it makes no difference, a flag makes no other file.
    path = noisy_labels(request(tmp_path, asym_rules="rerun"), TOY).path
    assert path is not None and path.name == "sym0.4_custom_seed123.csv"


def test_no_global_generator_is_used(tmp_path):
    import torch

    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    numpy_state, torch_state = np.random.get_state(legacy=False)["state"]["key"].copy(), torch.get_rng_state()  # noqa: NPY002
    for rng in ("independent", "rerun"):
        noisy_labels(request(tmp_path, custom_rng=rng), TOY)
    assert np.array_equal(np.random.get_state(legacy=False)["state"]["key"], numpy_state)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_a_name_without_a_seed_is_read_for_want_of_another_and_that_is_said(tmp_path, caplog):
    own = noisy_labels(request(tmp_path, seed=9), TOY)
    assert own.path is not None
    old = own.path.rename(own.path.with_name("sym0.4_custom.csv"))
    found = noisy_labels(request(tmp_path), TOY)
    assert found.path == old and found.sha256 == own.sha256 and found.rules == ()
    assert "sym0.4_custom.csv does not say which seed" in caplog.text
    new = noisy_labels(request(tmp_path, make_new=True), TOY)
    assert new.path is not None and new.path.name == "sym0.4_custom_seed123.csv" and new.sha256 != own.sha256
    assert noisy_labels(request(tmp_path), TOY).path == new.path


@pytest.mark.parametrize(
    ("way", "former"),
    [
        ({"custom_rng": "rerun"}, "asym0.4_custom_seed123_rng-seed.csv"),
        ({"custom_rng": "rerun", "asym_rules": "rerun"}, "asym0.4_custom_seed123_rng-seed_rules-seed.csv"),
    ],
)
def test_a_file_marked_with_the_former_name_of_the_rerun_serves(tmp_path, caplog, way, former):
    asked = request(tmp_path, mode="asym", **way)
    made = noisy_labels(asked, TOY)
    assert made.path is not None
    for suffix in (".csv", "_noise_rules.csv"):
        made.path.with_name(made.path.stem + suffix).rename(made.path.with_name(former.removesuffix(".csv") + suffix))
    found = noisy_labels(asked, TOY)
    assert found.path is not None and found.path.name == former
    assert (
        (found.sha256, found.rules) == (made.sha256, made.rules) and found.rules and "does not say" not in caplog.text
    )
    new = noisy_labels(dataclasses.replace(asked, make_new=True), TOY)
    assert new.path == made.path and noisy_labels(asked, TOY).path == made.path


def test_make_new_replaces_a_file(tmp_path, caplog):
    made = noisy_labels(request(tmp_path), TOY)
    assert made.path is not None
    made.path.write_text("label,label_noisy\n")
    with caplog.at_level(logging.INFO):
        assert noisy_labels(request(tmp_path, make_new=True), TOY).sha256 == made.sha256
    assert "made " in caplog.text


def test_a_rate_of_zero_is_no_noise_and_no_file(tmp_path):
    noise = noisy_labels(request(tmp_path, p=0.0, custom=False), TOY)
    assert np.array_equal(noise.given, LABELS) and noise.given is not LABELS and not noise.is_noisy.any()
    assert (noise.images, noise.rules, noise.path, noise.sha256) == (None, (), None, "") and not files_of(tmp_path)


# Noise that depends on the image


def test_dependent_noise_is_made_from_predictions(tmp_path):
    softmax = np.random.default_rng(1).dirichlet(np.ones(10), size=2000)
    asked = request(tmp_path, mode="dependent", p=0.3, custom_rng="rerun")
    assert needs_predictions(asked)
    noise = noisy_labels(asked, TOY, softmax)
    assert not needs_predictions(asked) and needs_predictions(dataclasses.replace(asked, make_new=True))
    assert noise.is_noisy.sum() == 600 and noise.path is not None
    assert noise.path.name == "dependent0.3_custom_seed123.csv"
    doubt = np.where(np.arange(10) == LABELS[:, None], -1, softmax)
    assert np.array_equal(noise.given[noise.is_noisy], doubt.argmax(1)[noise.is_noisy])
    assert doubt.max(1)[noise.is_noisy].min() >= doubt.max(1)[~noise.is_noisy].max()
    shares = {int(rule["src"]): float(rule["p"]) for rule in noise.rules}
    assert all(abs(shares[c] - noise.is_noisy[LABELS == c].mean()) < 1e-4 for c in range(10))  # noqa: SIM300
    assert noisy_labels(request(tmp_path, mode="dependent", p=0.3), TOY).sha256 == noise.sha256


@pytest.mark.parametrize(
    "way", [{"mode": "sym"}, {"mode": "dependent", "custom": False}, {"mode": "dependent", "p": 0.0}]
)
def test_no_other_noise_needs_predictions(tmp_path, way):
    assert not needs_predictions(request(tmp_path, **way))


def test_dependent_noise_that_another_process_made_meanwhile_is_kept(tmp_path):
    random = np.random.default_rng(1)
    first, second = (random.dirichlet(np.ones(10), size=2000) for _ in range(2))
    made = noisy_labels(request(tmp_path, mode="dependent"), TOY, first)
    assert noisy_labels(request(tmp_path, mode="dependent"), TOY, second).sha256 == made.sha256
    assert noisy_labels(request(tmp_path, mode="dependent", make_new=True), TOY, second).sha256 != made.sha256


def test_dependent_noise_without_a_network_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"dependent0\.4_custom_seed123\.csv is missing: .* train_cifar\.py trains"):
        noisy_labels(request(tmp_path, mode="dependent"), TOY)


# Open-set noise


@pytest.mark.parametrize("rng", ["independent", "rerun"])
def test_open_set_noise_puts_cifar100_in_the_place_of_images(standins, rng):
    place, dataset = standins
    asked = request(place, mode="openset", p=0.5, custom_rng=rng)
    noise = noisy_labels(asked, dataset)
    assert noise.path is not None and noise.images is not None
    foreign = {image.tobytes() for image in load_cifar("cifar100", place, True).train_images}
    assert noise.is_noisy.sum() == 150 and np.array_equal(noise.given, dataset.train_labels)
    shown = [image.tobytes() for image in noise.images[noise.is_noisy]]
    assert set(shown) <= foreign and len(set(shown)) == 150
    assert np.array_equal(noise.images[~noise.is_noisy], dataset.train_images[~noise.is_noisy])
    lines = noise.path.read_text(encoding="utf-8").split()
    expected = [f"{label},{noisy}" for label, noisy in zip(dataset.train_labels, noise.is_noisy, strict=True)]
    assert lines == ["label,label_noisy", *expected]
    assert noise.rules == ({"src": "cifar10", "dst": "cifar100", "p": "0.5"},)
    name = f"openset0.5_custom_seed123{'_rng-rerun' if rng == 'rerun' else ''}"
    assert set(files_of(place)) == {f"{name}.csv", f"{name}.npy", f"{name}_noise_rules.csv"}
    shutil.rmtree(place / "cifar-100-python")
    again = noisy_labels(asked, dataset)
    assert again.images is not None and again.images.dtype == np.uint8 and np.array_equal(again.images, noise.images)


@pytest.mark.parametrize("size", [8, 12])
def test_open_set_noise_puts_photographs_in_the_place_of_digits(tmp_path, size):
    digits = load_digits(size)
    noise = noisy_labels(request(tmp_path, "digits", "openset", p=0.4), digits)
    assert noise.images is not None and noise.is_noisy.sum() == round(0.4 * 1437)
    foreign = {image.tobytes() for image in photograph_patches(size)}
    assert all(image.tobytes() in foreign for image in noise.images[noise.is_noisy])
    assert np.array_equal(noise.images[~noise.is_noisy], digits.train_images[~noise.is_noisy])
    assert noise.rules == ({"src": "digits", "dst": "photographs", "p": "0.4"},)
    with pytest.raises(UsageError, match="--make_new_custom_noise"):
        noisy_labels(request(tmp_path, "digits", "openset", p=0.4), load_digits(size + 1))


def test_open_set_noise_needs_cifar100_and_says_so_at_once(standins):
    place, _ = standins
    shutil.rmtree(place / "cifar-100-python")
    with pytest.raises(DataError, match="cifar100 is not here"):
        check_request(request(place, mode="openset"))


def test_images_of_open_set_noise_are_compared_with_the_data_set(standins):
    place, dataset = standins
    noise = noisy_labels(request(place, mode="openset"), dataset)
    assert noise.path is not None
    images = noise.path.with_suffix(".npy")
    other = dataset.train_images.copy()
    other[np.flatnonzero(~noise.is_noisy)[-1], 5, 5, 1] ^= 1
    with pytest.raises(UsageError, match="made from other images"):
        noisy_labels(request(place, mode="openset"), dataclasses.replace(dataset, train_images=other))
    np.save(images, np.zeros((300, 32, 32), np.uint8))
    with pytest.raises(UsageError, match=r"holds uint8 \(300, 32, 32\), the data set uint8 \(300, 32, 32, 3\)"):
        noisy_labels(request(place, mode="openset"), dataset)
    for content in (b"", b"\x93NUMPY", b"no array"):
        images.write_bytes(content)
        with pytest.raises(UsageError, match=r"openset0\.4_custom_seed123\.npy cannot be read"):
            noisy_labels(request(place, mode="openset"), dataset)
    images.unlink()
    with pytest.raises(UsageError, match=r"\.npy cannot be read .*--make_new_custom_noise"):
        noisy_labels(request(place, mode="openset"), dataset)


# Files that do not fit


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda text: text.replace("label,label_noisy", "label;label_noisy"), r"line 2: '.,.' must be 2 fields"),
        (lambda text: "", r"begins with ''"),
        (lambda text: text.rsplit("\n", 2)[0] + "\n", r"has 1999 labels, the data set has 2000"),
        (lambda text: text + "3,3\n", r"has 2001 labels, the data set has 2000"),
        (lambda text: text + "3,10\n", r"line 2002: '3,10' must be a label and a class 0…9"),
        (lambda text: text + "3\n", r"line 2002: '3' must be"),
        (lambda text: text + "3,True\n", r"line 2002: '3,True' must be"),
        (lambda text: text + "3,�\n", r"line 2002"),
    ],
)
def test_damaged_files_are_refused(tmp_path, change, message):
    path = noisy_labels(request(tmp_path), TOY).path
    assert path is not None
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        noisy_labels(request(tmp_path), TOY)


def test_files_for_other_data_are_refused_and_the_line_is_named(tmp_path):
    noisy_labels(request(tmp_path), TOY)
    other = LABELS.copy()
    other[41] = (other[41] + 1) % 10
    with pytest.raises(UsageError, match=f"line 43: label {LABELS[41]}, but the data set has {other[41]} there"):
        noisy_labels(request(tmp_path), toy_dataset(other))


def test_the_authors_files_are_verified(tmp_path):
    folder = tmp_path / "label_noisy" / "cifar10"
    folder.mkdir(parents=True)
    plain = request(tmp_path, custom=False, allow_unverified=False)
    with pytest.raises(UsageError, match=r"sym0\.4\.csv is missing: .*make data-sln-noise.*--custom_noise"):
        check_request(plain)
    noise = csv_text(noise_files.HEADER, [(label, 3) for label in LABELS.tolist()])
    for name in ("sym0.4.csv", "sym0.2.csv"):
        (folder / name).write_text(noise, encoding="utf-8")
    with pytest.raises(UsageError, match=r"sym0\.4\.csv is not the authors' \(size is .*--allow_unverified"):
        check_request(plain)
    with pytest.raises(UsageError, match=r"--p=0\.2 for cifar10: the authors published cifar10/asym0\.4, .*--custom"):
        check_request(dataclasses.replace(plain, p=0.2))
    for p in (0.4, 0.2):
        found = noisy_labels(request(tmp_path, custom=False, p=p), TOY)
        assert (found.given == 3).all() and np.array_equal(found.is_noisy, LABELS != 3)


# Requests that cannot be


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"dataset_name": "mnist"}, "--dataset_name=mnist: choose one of cifar10, cifar100, digits"),
        ({"mode": "pair"}, "--noise_mode=pair: choose one of sym, asym, dependent, openset"),
        ({"custom_rng": "numpy"}, "--custom_rng=numpy: choose one of independent, rerun"),
        ({"asym_rules": "mine"}, "--asym_rules=mine: choose one of authors, rerun"),
        ({"p": -0.1}, r"--p=-0\.1: the rate of the noise is above 0 and at most 1"),
        ({"p": 1.01}, r"--p=1\.01"),
        ({"p": float("nan")}, "--p=nan"),
        ({"seed": -1}, "--seed=-1: a seed is a whole number from 0 to 4294967096"),
        ({"seed": 2**32}, "--seed=4294967296"),
        ({"custom": False, "make_new": True}, "--make_new_custom_noise makes a custom file: add --custom_noise"),
        (
            {"dataset_name": "cifar100", "mode": "openset"},
            "--noise_mode=openset with cifar100: .*for cifar10 and digits alone",
        ),
        ({"mode": "openset", "custom": False, "allow_unverified": False}, "the authors published .*--custom_noise"),
        ({"dataset_name": "digits", "custom": False}, "for digits: the authors published .*--custom_noise"),
    ],
)
def test_impossible_requests_are_refused_at_once(tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        check_request(dataclasses.replace(request(tmp_path), **changes))
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path, monkeypatch):
    blocked = tmp_path / "label_noisy"
    blocked.write_text("a file")
    with pytest.raises(UsageError, match=f"seed123.csv must be made, but {blocked} cannot be written: .*--data_dir"):
        check_request(request(tmp_path))
    blocked.unlink()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UsageError, match=f"but {tmp_path} cannot be written"):
        check_request(request(tmp_path))


def test_a_full_disk_leaves_nothing_half_done(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(
            UsageError, match=r"seed123\.csv cannot be written \(No space left on device\): .*--data_dir"
        ):
            noisy_labels(request(tmp_path), TOY)
    assert files_of(tmp_path) == {}


def test_processes_that_ask_at_once_get_the_same(standins):
    place, _ = standins
    program = (
        "from pathlib import Path; from data.cifar import load_cifar; from tests.re_sln.noise_inputs import request;"
        "from re_sln.noise.labels import noisy_labels; import sys; place = Path(sys.argv[1]);"
        "dataset = load_cifar('cifar10', place, True);"
        "print([noisy_labels(request(place, mode=m, make_new=n), dataset).sha256"
        " for n in (False, True, True) for m in ('sym', 'openset')])"
    )
    command = [sys.executable, "-c", program, str(place)]
    started = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert len(set(printed)) == 1 and printed[0].count("'") == 12
    assert not [name for name in files_of(place) if name.endswith(".tmp")] and len(files_of(place)) == 5


@pytest.mark.parametrize(
    "save",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.replace(",", ";").encode(),
        lambda text: ("sep=;\n" + text.replace(",", ";")).encode(),
        lambda text: text.replace(",", '","').replace("\n", '"\n"')[:-1].join('"\n').encode(),
        lambda text: text.replace("\n", ",,\n").encode() + b",,,\n\n",
        lambda text: text.replace("\n", ".0\n").replace("y.0", "y").replace(",", ".0,").replace("l.0", "l").encode(),
        lambda text: "".join(f"{n - 1 if n else ''},{line}\n" for n, line in enumerate(text.splitlines())).encode(),
    ],
    ids=["mark", "utf-16", "excel", "cr", "semicolons", "sep", "quotes", "empty columns", "decimals", "index"],
)
def test_files_saved_by_spreadsheets_are_read(tmp_path, save):
    before = noisy_labels(request(tmp_path), TOY)
    assert before.path is not None
    before.path.write_bytes(save(before.path.read_text()))
    np.testing.assert_array_equal(noisy_labels(request(tmp_path), TOY).given, before.given)


def test_truth_values_as_spreadsheets_write_them(standins):
    place, dataset = standins
    before = noisy_labels(request(place, mode="openset"), dataset)
    assert before.path is not None
    before.path.write_text(before.path.read_text().replace("True", "TRUE").replace("False", "FALSE"))
    np.testing.assert_array_equal(noisy_labels(request(place, mode="openset"), dataset).is_noisy, before.is_noisy)


@pytest.mark.parametrize("label", ["²", "1.000", "1,0,", "eins"])
def test_labels_that_are_no_certain_numbers_are_named(tmp_path, label):
    path = noisy_labels(request(tmp_path), TOY).path
    assert path is not None
    path.write_text(f"{path.read_text()}3,{label}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"sym0\.4_custom_seed123\.csv, line 2002: .* must be"):
        noisy_labels(request(tmp_path), TOY)


def test_damaged_arrays_of_open_set_noise_are_named(standins):
    place, dataset = standins
    noise = noisy_labels(request(place, mode="openset"), dataset)
    assert noise.path is not None
    path = noise.path.with_suffix(".npy")
    whole, random = path.read_bytes(), np.random.default_rng(0)
    damaged = [b"PK\3\4", b"PK\5\6" + bytes(18), whole.replace(b"(300,", b"(3" + b"0" * 9 + b",", 1)]
    for _ in range(150):
        content = bytearray(whole[:4000])
        content[int(random.integers(140))] = int(random.integers(256))
        damaged.append(bytes(content))
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"\.npy (cannot be read|holds|was made)"):
            noisy_labels(request(place, mode="openset"), dataset)
